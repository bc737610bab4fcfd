package worker

import "time"

// A worker whose machine cannot start the work of a job reserves nothing for so long, and twice as long each time. Then it asks for one
// job at a time until one has begun.
const (
	firstCooldown = time.Second
	mostCooldown  = time.Minute

	// begunAfter is how long a handler must run to be taken for one whose work has begun.
	begunAfter = time.Second
)

// cooldown is the pause of a worker whose machine cannot start jobs. The zero value is none.
type cooldown struct {
	wait  time.Duration // the last one; 0: jobs can be started
	until time.Time
	since time.Time // when the last job could not be started
}

// on reports whether nothing is to be reserved.
func (c *cooldown) on(now time.Time) bool { return now.Before(c.until) }

// hopeful bounds how many jobs to ask for: after a pause one, and the next when that one has begun.
func (l *loop) hopeful(n int, now time.Time) int {
	switch c := &l.cooldown; {
	case c.on(now):
		return 0
	case c.wait == 0:
		return n
	}
	for _, r := range l.keeper.held {
		if at := l.slots.startOf(r); at.IsZero() || at.After(l.cooldown.since) && now.Sub(at) < begunAfter {
			return 0
		}
	}
	return min(n, 1)
}

// couldNot notes that a job could not be started, and returns how long the pause is that begins with it; 0: none begins.
func (c *cooldown) couldNot(now time.Time) time.Duration {
	c.since = now
	if c.on(now) {
		return 0
	}
	c.wait = min(max(2*c.wait, firstCooldown), mostCooldown)
	c.until = now.Add(c.wait)
	return c.wait
}

// began notes that a job's work could be begun, at that time.
func (c *cooldown) began(at time.Time) {
	if at.After(c.since) {
		c.wait = 0
	}
}

// noteBegin takes in whether the work of a job that has ended could be begun.
func (l *loop) noteBegin(r *run, now time.Time) {
	switch r.verdict.kind {
	case neverBegan:
		if !l.config.Once { // it has not run: it is not one of Config.MaxJobs
			l.taken--
		}
		if pause := l.cooldown.couldNot(now); pause > 0 {
			l.log.cannotStart(r, pause)
			l.giveBack(all)
		}
	case unknown, unstarted, 0:
	default:
		if r.starts {
			l.cooldown.began(l.slots.startOf(r))
		}
	}
}
