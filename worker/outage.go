package worker

import (
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	firstRetry = 100 * time.Millisecond
	mostRetry  = 5 * time.Second

	// refusedRetry is the wait after a refusal, whose end is sooner known.
	refusedRetry = 500 * time.Millisecond

	// outageEvery is how often an outage that lasts is logged again.
	outageEvery = 2 * time.Minute

	// requeueGrace is how long after an outage a worker leaves expired reservations alone: their owners, which wait up to mostRetry
	// between two tries, must be able to speak first.
	requeueGrace = 2 * mostRetry

	// clockStep is the least disagreement of two clocks, beside the time that the exchanges took, that is taken for a clock that was set.
	clockStep = time.Second

	// abandonFor is how long a number whose exchange may have reserved without our knowing is given back, where reservations never
	// expire.
	abandonFor = 10 * time.Minute
)

// outage is a time without answers from the database, and what is left of such times. The zero value is none.
type outage struct {
	since       time.Time // zero: the database answers
	failures    int
	kind        fault     // of the last failure
	said        time.Time // when it was logged last; zero: it was not
	requeueFrom time.Time

	clock   time.Time     // of the database; zero: not known yet
	asked   time.Time     // when it was asked for
	read    time.Time     // when it was read
	slow    time.Duration // how long the slowest exchange took of late
	slowFor time.Time     // until when that counts

	numbers []abandoned
}

// abandoned is the number of an exchange that may have reserved jobs without our knowing.
type abandoned struct {
	number string
	until  time.Time // what it has reserved has expired by then
	told   bool      // an exchange that gives it back has been answered
}

func (o *outage) on() bool { return !o.since.IsZero() }

// next notes that an exchange has failed, and returns how long to wait for the next. Refusals are logged by who counts them.
func (o *outage) next(log *journal, err error) time.Duration {
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
	case o.said.IsZero(), kind != o.kind:
		o.kind, o.said = kind, now
		log.away(err, kind)
	case now.Sub(o.said) >= outageEvery:
		o.said = now
		log.stillAway(err, now.Sub(o.since), o.failures)
	}
	return jitter(wait)
}

// over notes that the database has answered.
func (o *outage) over(log *journal) {
	if !o.on() {
		return
	}
	if !o.said.IsZero() {
		log.back(time.Since(o.since))
		o.requeueFrom = time.Now().Add(requeueGrace)
	}
	o.since, o.said = time.Time{}, time.Time{}
}

// answered notes the database's clock, and how long an exchange took. It returns by how much at least the clock was set since the last
// exchange, backwards if less than zero, or this machine slept; 0: neither. Then nothing is requeued for a while: owners of reservations must
// be able to touch them by the new clock first.
func (o *outage) answered(clock, sent, now time.Time) (step time.Duration) {
	clock = clock.Round(0)
	if !o.clock.IsZero() {
		moved := clock.Sub(o.clock)
		if least := moved - now.Sub(o.asked); least >= clockStep {
			step = least
		} else if most := moved - sent.Sub(o.read); most <= -clockStep {
			step = most
		}
	}
	if step != 0 {
		o.requeueFrom = later(o.requeueFrom, now.Add(requeueGrace))
	}
	o.clock, o.asked, o.read = clock, sent, now
	if took := now.Sub(sent); took >= o.slow || now.After(o.slowFor) {
		o.slow, o.slowFor = took, now.Add(requeueGrace)
	}
	return step
}

// expired is when reservations must have expired that an exchange sent now is to release, by the database's clock: it may lie there for
// long, if the database stands still, and at its end owners that live must be able to speak first. So must they after such a time.
func (o *outage) expired(now time.Time) time.Time { return o.serverTime(now).Add(-o.slow) }

// serverTime is now by the database's clock.
func (o *outage) serverTime(now time.Time) time.Time { return o.clock.Add(now.Sub(o.read)) }

func (o *outage) mayRequeue(now time.Time) bool { return !o.on() && !now.Before(o.requeueFrom) }

// abandon remembers the number of an exchange whose answer is not known.
func (o *outage) abandon(x driver.Exchange, now time.Time) {
	until := now
	for _, r := range x.Reserve {
		lasts := r.Expire
		if lasts == 0 {
			lasts = abandonFor
		}
		if end := now.Add(lasts); end.After(until) {
			until = end
		}
	}
	o.numbers = append(o.numbers, abandoned{number: x.Number, until: until})
}

// abandoned returns the numbers to give back. One exchange is not enough: what went wrong may still be under way in the database.
func (o *outage) abandoned(now time.Time) []string {
	o.numbers = slices.DeleteFunc(o.numbers, func(a abandoned) bool { return a.told && now.After(a.until) })
	var numbers []string
	for _, a := range o.numbers {
		numbers = append(numbers, a.number)
	}
	return numbers
}

// told notes that an exchange with these numbers was answered.
func (o *outage) told(numbers []string) {
	for i := range o.numbers {
		if slices.Contains(numbers, o.numbers[i].number) {
			o.numbers[i].told = true
		}
	}
}

// owes reports whether jobs may be reserved without our knowing that have not been given back even once.
func (o *outage) owes() bool {
	return slices.ContainsFunc(o.numbers, func(a abandoned) bool { return !a.told })
}
