package worker

import "time"

const (
	// clockStep is the least disagreement of two clocks, beside the time that the exchanges took, that is taken for a clock that was set.
	clockStep = time.Second

	// slowestOver is the time over which the slowest exchange counts.
	slowestOver = 10 * time.Second
)

// serverClock is what is known of the database's clock, and of how long it takes to ask it. The zero value knows nothing.
type serverClock struct {
	read    time.Time     // what it showed last; zero: not known yet
	askedAt time.Time     // by our clock, when it was asked for that
	readAt  time.Time     // by our clock, when the answer came
	slowest time.Duration // how long the slowest exchange took of late
	slowFor time.Time     // until when that counts
}

// answered takes in what the clock showed in the answer to an exchange. It returns by how much at least the clock was set since the last
// exchange, backwards if less than zero, or this machine slept; 0: neither.
func (c *serverClock) answered(clock, sent, now time.Time) (step time.Duration) {
	clock = clock.Round(0)
	if !c.read.IsZero() {
		moved := clock.Sub(c.read)
		if least := moved - now.Sub(c.askedAt); least >= clockStep {
			step = least
		} else if most := moved - sent.Sub(c.readAt); most <= -clockStep {
			step = most
		}
	}
	c.read, c.askedAt, c.readAt = clock, sent, now
	if took := now.Sub(sent); took >= c.slowest || now.After(c.slowFor) {
		c.slowest, c.slowFor = took, now.Add(slowestOver)
	}
	return step
}

// at is a time of ours by the database's clock.
func (c *serverClock) at(t time.Time) time.Time { return c.read.Add(t.Sub(c.readAt)) }

// expiredBy is when reservations must have expired that an exchange sent now is to release, by the database's clock. A database that stands
// still keeps the exchange for so long, and at the end owners that live must be able to touch their reservations first.
func (c *serverClock) expiredBy(now time.Time) time.Time { return c.at(now).Add(-c.slowest) }
