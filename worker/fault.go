package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// fault is what kind of thing an error of the store is.
type fault int

const (
	away    fault = iota // the database does not answer, or not now: waiting helps
	refused              // it answers, and refuses for good: waiting does not help
	bug                  // sqlqueue or the driver is at fault
)

func faultOf(err error) fault {
	var refusal *sqlqueue.RefusedError
	var schema *sqlqueue.SchemaError
	var panicked *PanicError
	switch {
	case errors.As(err, &refusal), errors.As(err, &schema),
		errors.Is(err, sqlqueue.ErrNotMigrated), errors.Is(err, sqlqueue.ErrUnsupportedServer):
		return refused
	case errors.As(err, &panicked):
		return bug
	}
	return away
}

const (
	// deniedFor is how long the database must have refused the same, and nothing of the kind have gone well, until the worker ends: a
	// permission may be changed in two steps.
	deniedFor = 5 * time.Second

	// deniedTimes is how often at least.
	deniedTimes = 3
)

// denials are what the database refuses of late: one for each kind of statement, since it may refuse to delete jobs and still reserve them.
// The zero value is none.
type denials struct{ beat, settle, touch, reserve, others denial }

type denial struct {
	since time.Time // zero: none
	times int
}

// of are the kinds that an exchange has to do with.
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

// refusedAgain notes that statements of these kinds were refused, and returns whether this is new, and for how long it has lasted if it has lasted too long.
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

// granted notes that an exchange has gone well.
func (d *denials) granted(x driver.Exchange) {
	for _, kind := range d.of(x) {
		*kind = denial{}
	}
	d.others = denial{}
}

// denied deals with a refusal of statements of these kinds.
func (l *loop) denied(kinds []*denial, err error) {
	isNew, lasted := refusedAgain(kinds, time.Now())
	if isNew && l.registered {
		l.log.denied(err)
	}
	switch {
	case l.fatal != nil:
	case !l.registered:
		l.end(err)
	case lasted > 0:
		l.end(fmt.Errorf("for %v: %w", lasted.Round(time.Second), err))
	}
}

// end stops the worker because of an error that waiting does not mend. Handlers have Config.Grace.
func (l *loop) end(err error) {
	l.fatal = fmt.Errorf("the database refuses what the worker needs: %w", err)
	l.log.ending(l.fatal)
	l.stop("the database refuses")
	l.quit()
}
