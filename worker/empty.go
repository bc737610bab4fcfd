package worker

import (
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// looksAtAll is how many looks at everything in a row must have found nothing to be believed when the store does not say that it has looked at
// everything: one that never says so must not keep the worker for ever.
const looksAtAll = 3

// emptyCheck decides when "no job is due" may be believed. Stores leave out what they have looked at of late, so finding nothing may mean
// nothing. The zero value is ready.
type emptyCheck struct {
	everything bool // the next look is to be at everything
	looks      int  // how many of these in a row have found nothing and not said that they were whole
}

// asked takes in the answer to an exchange that has asked for jobs. It reports whether no job is due, and whether to ask again at once. Matters:
// somebody waits to know.
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
	if e.looks++; e.looks < looksAtAll {
		return false, true
	}
	*e = emptyCheck{}
	return true, false
}
