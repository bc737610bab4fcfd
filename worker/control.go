package worker

import (
	"maps"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// control is what operators have said to this worker, as of the last exchange. Pauses of queues and maintenance are only
// counted here: it is the store that then reserves nothing.
//
// It is used only by the goroutine of Run.
type control struct {
	config *Config

	slots    int                      // how many handlers may run
	restarts map[string]int64         // by queue, and "" for all, when the worker began; nil before
	expires  map[string]time.Duration // by queue, and "" for all, where set
	closed   int                      // how many pauses and maintenances there are
	reopened bool                     // there are fewer than at the last exchange
}

// changes are what operators have said since the last exchange that others have to act on.
type changes struct {
	restart     bool // the worker is to end
	expire      bool // how long reservations last
	concurrency int  // how many handlers may run; 0: no change
}

// apply takes over what operators say, and returns what is new. After an exchange that has asked for some of the queues only,
// what was said of the others holds on.
func (c *control) apply(x driver.Exchange, answer driver.Exchanged) (changed changes) {
	restarts := map[string]int64{}
	expires := map[string]time.Duration{}
	closed := 0
	some := len(x.Reserve) < len(c.config.Queues)
	for queue, expire := range c.expires {
		if some && queue != "" && !slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return r.Queue == queue }) {
			expires[queue] = expire
		}
	}
	for _, said := range answer.Controls {
		if said.Paused || said.Maintenance && !c.config.Force {
			closed++
		}
		restarts[said.Queue] = said.Restarts
		if said.Expire != nil {
			expires[said.Queue] = *said.Expire
		}
	}
	if !maps.Equal(expires, c.expires) {
		c.expires, changed.expire = expires, true
	}
	if some {
		closed = c.closed
	}
	c.reopened, c.closed = closed < c.closed, closed
	if c.restarts == nil {
		c.restarts = restarts
	}
	for queue, count := range restarts {
		changed.restart = changed.restart || count > c.restarts[queue]
	}
	wanted := answer.WantedConcurrency
	if wanted == 0 {
		wanted = c.config.Concurrency
	}
	if wanted != c.slots {
		c.slots, changed.concurrency = wanted, wanted
	}
	return changed
}

// expire is how long a reservation of the queue lasts; 0: for ever.
func (c *control) expire(queue string) time.Duration {
	if len(c.expires) == 0 { // as nearly always, and a worker may have ten thousand queues
		return c.config.Expire
	}
	if expire, ok := c.expires[queue]; ok {
		return expire
	}
	if !slices.Contains(c.config.Queues, queue) {
		for _, pattern := range c.config.Queues {
			if expire, ok := c.expires[pattern]; ok && driver.InPattern(pattern, queue) {
				return expire
			}
		}
	}
	if expire, ok := c.expires[""]; ok {
		return expire
	}
	return c.config.Expire
}

// pause is that of Worker.Pause and Resume.
type pause struct {
	asked func() bool // whether the worker is to be paused; may be called by several goroutines at once
	on    bool        // whether it is paused
}

// changed updates on, and reports whether it has changed.
func (p *pause) changed() bool {
	was := p.on
	p.on = p.asked()
	return p.on != was
}
