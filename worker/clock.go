package worker

import "time"

const (
	// clockStep is how much two clocks must disagree, more than the time of the exchanges explains, until one is taken to have
	// been set.
	clockStep = time.Second

	// slowestOver is how long a slow exchange is remembered.
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

// answered takes over what the clock showed in the answer to an exchange. It returns by how much at least the clock was set
// since the last exchange, backwards if less than zero, or this machine slept; 0: neither.
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

// expiredBy is when reservations must have expired, by the database's clock, to be released by an exchange that is sent now. A
// server that stands still for a while carries the exchange out later, and owners that are alive must be able to touch their
// reservations first.
func (c *serverClock) expiredBy(now time.Time) time.Time { return c.at(now).Add(-c.slowest) }
