package worker

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Meter measures a worker: package promqueue has one. Its functions are called for every job, directly, by the goroutines that do the
// work, so they must return at once: what may wait, or is more than counting, is for Events or middleware. Each may be nil. Several may
// be called at once. A panic in one is dropped.
type Meter struct {
	Started  func(job JobInfo)                // its handler starts
	Returned func(job JobInfo)                // its handler, and all other code of the application for this run, has returned
	Ended    func(job JobInfo, result Result) // the end of a run has been written to the database

	Lost  func(job JobInfo) // the reservation was lost
	Stuck func(job JobInfo) // the handler has not returned Config.StuckAfter after its timeout or after Lost

	// of Concurrency; what there is at first, and at the end what there was
	Slots     func(change int)
	Exchanged func(took time.Duration, answer driver.Exchanged, err error) // an exchange with the database has ended
}

func (m *Meter) started(r *run) {
	if m.Started != nil {
		defer ignorePanic()
		m.Started(r.info)
	}
}

func (m *Meter) returned(r *run) {
	if m.Returned != nil {
		defer ignorePanic()
		m.Returned(r.info)
	}
}

func (m *Meter) ended(r *run, result Result) {
	if m.Ended != nil {
		defer ignorePanic()
		m.Ended(r.info, result)
	}
}

func (m *Meter) lost(r *run) {
	if m.Lost != nil {
		defer ignorePanic()
		m.Lost(r.info)
	}
}

func (m *Meter) stuck(r *run) {
	if m.Stuck != nil {
		defer ignorePanic()
		m.Stuck(r.info)
	}
}

func (m *Meter) slots(change int) {
	if m.Slots != nil && change != 0 {
		defer ignorePanic()
		m.Slots(change)
	}
}

func (m *Meter) exchanged(took time.Duration, answer driver.Exchanged, err error) {
	if m.Exchanged != nil {
		defer ignorePanic()
		m.Exchanged(took, answer, err)
	}
}

func ignorePanic() { _ = recover() }

// Outcome is how a run of a job ended.
type Outcome string

// The outcomes. Released is after an error, or by Release; Snoozed by Snooze or Throttle; NotStarted: the worker stopped before, or
// CannotStart said so.
const (
	Done       Outcome = "done"
	Discarded  Outcome = "discarded"
	Released   Outcome = "released"
	Snoozed    Outcome = "snoozed"
	Failed     Outcome = "failed"
	Unhandled  Outcome = "unhandled" // there is no handler of its name
	NotStarted Outcome = "not_started"
)

// OutcomeOf returns what a handler's error says becomes of its job, as middleware sees it: Done for nil, and for an ordinary error
// Released, though the job has failed if that was its last try.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Done
	}
	if said := outcomeOf(err); said != nil && said.kind != kept {
		return said.kind.outcome()
	}
	return Released
}

func (k kind) outcome() Outcome {
	switch k {
	case processed:
		return Done
	case discarded:
		return Discarded
	case snoozed, throttled:
		return Snoozed
	case failed, kept:
		return Failed
	case unknown, noKey:
		return Unhandled
	case unstarted, neverBegan:
		return NotStarted
	default:
		return Released
	}
}

// Meters returns a Meter that calls several, in order.
func Meters(meters ...Meter) (all Meter) {
	for _, m := range meters {
		all = Meter{
			Started: both(all.Started, m.Started), Returned: both(all.Returned, m.Returned), Lost: both(all.Lost, m.Lost),
			Stuck: both(all.Stuck, m.Stuck), Slots: both(all.Slots, m.Slots), Ended: all.Ended, Exchanged: all.Exchanged,
		}
		if first := all.Ended; first == nil {
			all.Ended = m.Ended
		} else if m.Ended != nil {
			all.Ended = func(job JobInfo, r Result) { first(job, r); m.Ended(job, r) }
		}
		if first := all.Exchanged; first == nil {
			all.Exchanged = m.Exchanged
		} else if m.Exchanged != nil {
			all.Exchanged = func(took time.Duration, answer driver.Exchanged, err error) {
				first(took, answer, err)
				m.Exchanged(took, answer, err)
			}
		}
	}
	return all
}

// both returns a function that calls two, each of which may be nil.
func both[T any](first, second func(T)) func(T) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(v T) { first(v); second(v) }
}

// IsRelease reports whether a handler's error is a Release, and so no error.
func IsRelease(err error) bool {
	said := outcomeOf(err)
	return said != nil && said.kind == released
}
