package worker

import "time"

const (
	firstRetry = 100 * time.Millisecond
	mostRetry  = 5 * time.Second

	// refusedRetry is the wait after a refusal. It is short, so that the end of the refusal is noticed soon.
	refusedRetry = 500 * time.Millisecond

	// outageEvery is how often an outage that lasts is logged again.
	outageEvery = 2 * time.Minute

	// requeueGrace is how long after an outage a worker leaves expired reservations alone: their owners, which wait up to mostRetry
	// between two tries, must be able to speak first.
	requeueGrace = 2 * mostRetry
)

// outage is a time without answers from the database. The worker then tries again after 100 ms, and after twice as long each
// time, up to 5 s. The zero value is none.
type outage struct {
	since       time.Time // zero: the database answers
	failures    int
	kind        fault     // of the last failure
	loggedAt    time.Time // zero: it was not logged
	requeueFrom time.Time // when expired reservations may be released again
}

func (o *outage) on() bool { return !o.since.IsZero() }

// failed notes that an exchange has failed, and returns how long to wait for the next. Refusals are logged elsewhere: see talk.denied.
func (o *outage) failed(log *journal, err error) time.Duration {
	now := time.Now()
	if !o.on() {
		o.since, o.failures = now, 0
	}
	wait := min(firstRetry<<min(o.failures, 10), mostRetry)
	o.failures++
	switch kind := faultOf(err); {
	case kind == refused:
		o.kind = kind
		return jitter(refusedRetry)
	case o.loggedAt.IsZero(), kind != o.kind:
		o.kind, o.loggedAt = kind, now
		log.away(err, kind)
	case now.Sub(o.loggedAt) >= outageEvery:
		o.loggedAt = now
		log.stillAway(err, now.Sub(o.since), o.failures)
	}
	return jitter(wait)
}

// end notes that the database has answered.
func (o *outage) end(log *journal) {
	if !o.on() {
		return
	}
	if !o.loggedAt.IsZero() {
		log.back(time.Since(o.since))
		o.requeueFrom = time.Now().Add(requeueGrace)
	}
	o.since, o.loggedAt = time.Time{}, time.Time{}
}

// delayRequeue leaves expired reservations alone for a while. After the clock was set, their owners must be able to touch them
// by the new clock first.
func (o *outage) delayRequeue(now time.Time) {
	o.requeueFrom = later(o.requeueFrom, now.Add(requeueGrace))
}

func (o *outage) mayRequeue(now time.Time) bool { return !o.on() && !now.Before(o.requeueFrom) }
