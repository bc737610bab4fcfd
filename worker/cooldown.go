package worker

import "time"

const (
	firstCooldown = time.Second
	mostCooldown  = time.Minute

	// begunAfter is how long a handler must run to be taken for one whose work has begun.
	begunAfter = time.Second
)

// cooldown is the pause of a worker whose machine cannot start jobs: see CannotStart. It lasts a second, and twice as long each
// time. Then the worker asks for one job at a time, until one has begun. The zero value is none.
type cooldown struct {
	wait     time.Duration // how long the last one was; 0: jobs can be started
	until    time.Time
	failedAt time.Time // when the last job could not be started
}

// on reports whether nothing is to be reserved.
func (c *cooldown) on(now time.Time) bool { return now.Before(c.until) }

// ended takes into account whether the work of a job that has ended could be begun. It returns how long the pause is that
// begins now; 0: none begins.
func (c *cooldown) ended(r *run, started, now time.Time) time.Duration {
	switch r.verdict.kind {
	case neverBegan:
		c.failedAt = now
		if c.on(now) {
			return 0
		}
		c.wait = min(max(2*c.wait, firstCooldown), mostCooldown)
		c.until = now.Add(c.wait)
		return c.wait
	case unknown, noKey, unstarted, 0:
	default:
		if r.starts && started.After(c.failedAt) {
			c.wait = 0
		}
	}
	return 0
}
