package worker

import (
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	// deniedFor is how long the database must have refused a kind of statement, without accepting one, before the worker ends: a
	// permission may be changed in two steps.
	deniedFor = 5 * time.Second

	// deniedTimes is how often at least.
	deniedTimes = 3
)

// denials are what the database has refused of late, which a wait does not mend: a permission is missing, or a table. There is
// one for each kind of statement, since a database may refuse to delete jobs and still reserve them. The zero value is none.
type denials struct{ beat, settle, touch, reserve, others denial }

type denial struct {
	since time.Time // zero: none
	times int
}

// of returns the denials of the kinds of statements that an exchange has.
func (d *denials) of(x driver.Exchange) []*denial {
	var of []*denial
	if len(x.Settle) > 0 {
		of = append(of, &d.settle)
	}
	if len(x.Touch) > 0 {
		of = append(of, &d.touch)
	}
	if x.Limit > 0 {
		of = append(of, &d.reserve)
	}
	if of == nil {
		of = append(of, &d.others)
	}
	return of
}

// granted notes that an exchange has gone well.
func (d *denials) granted(x driver.Exchange) {
	for _, kind := range d.of(x) {
		*kind = denial{}
	}
	d.others = denial{}
}

// refusedAgain notes that statements of these kinds were refused. It returns whether this is new, and for how long it has
// lasted if that is too long.
func refusedAgain(kinds []*denial, now time.Time) (isNew bool, lasted time.Duration) {
	for _, kind := range kinds {
		if kind.since.IsZero() {
			kind.since, isNew = now, true
		}
		kind.times++
		if since := now.Sub(kind.since); since >= deniedFor && kind.times >= deniedTimes {
			lasted = max(lasted, since)
		}
	}
	return isNew, lasted
}

// denied notes that the database has refused statements of these kinds. It returns an error if the worker is to end: at once
// before the first answer, and later when the refusal lasts.
func (t *talk) denied(kinds []*denial, err error) (fatal error) {
	isNew, lasted := refusedAgain(kinds, time.Now())
	switch {
	case !t.registered:
		return err
	case isNew:
		t.log.denied(err)
	}
	if lasted > 0 {
		return fmt.Errorf("for %v: %w", lasted.Round(time.Second), err)
	}
	return nil
}
