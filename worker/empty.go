package worker

import (
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// pollsOfAll is how many polls in a row that asked for everything must have found nothing until that is believed of a store
// which does not say that it has looked at everything. One that never says so must not keep the worker from stopping.
const pollsOfAll = 3

// emptyCheck decides when a worker knows that no job is due. A poll that finds nothing does not prove it, because stores leave
// out what they have looked at a moment ago. So the worker asks again at once, for everything. The zero value is ready.
type emptyCheck struct {
	everything bool // the next poll asks for everything
	polls      int  // how many of these in a row have found nothing, from a store that has not said that it looked at everything
}

// asked takes the answer to an exchange that has asked for jobs into account. It reports whether no job is due, and whether to
// ask again at once, which it does only if it matters to somebody that no job is due.
func (e *emptyCheck) asked(x driver.Exchange, answer driver.Exchanged, matters bool) (empty, again bool) {
	switch {
	case len(answer.Reserved) > 0:
		*e = emptyCheck{}
		return false, false
	case answer.Everything:
		*e = emptyCheck{}
		return true, false
	case !matters:
		return false, false
	case !x.Everything:
		e.everything = true
		return false, true
	}
	if e.polls++; e.polls < pollsOfAll {
		return false, true
	}
	*e = emptyCheck{}
	return true, false
}
