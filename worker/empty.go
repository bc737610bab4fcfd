package worker

import (
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// looksAtAll is how many looks at everything in a row must have found nothing to be believed when the store does not say that it has looked at
// everything: one that never says so must not keep the worker for ever.
const looksAtAll = 3

// emptiness decides when "no job is due" may be believed. Stores leave out what they have looked at of late, so finding nothing may mean
// nothing. The zero value is ready.
type emptiness struct {
	all   bool // the next look is to be at everything
	looks int  // how many of these in a row have found nothing and not said that they were whole
}

// asked takes in the answer to an exchange that has asked for jobs. It reports whether no job is due, and whether to ask again at once. Matters:
// somebody waits to know.
func (e *emptiness) asked(x driver.Exchange, answer driver.Exchanged, matters bool) (empty, again bool) {
	switch {
	case len(answer.Reserved) > 0:
		*e = emptiness{}
		return false, false
	case answer.Everything:
		*e = emptiness{}
		return true, false
	case !matters:
		return false, false
	case !x.Everything:
		e.all = true
		return false, true
	}
	if e.looks++; e.looks < looksAtAll {
		return false, true
	}
	*e = emptiness{}
	return true, false
}
