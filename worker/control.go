package worker

import (
	"maps"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// control is what operators have said, as of the last exchange. Pauses and maintenance are not here: the store reserves nothing then.
type control struct {
	slots    int                      // how many handlers may run
	restarts map[string]int64         // by queue, and "" for all, when the worker registered; nil before
	expires  map[string]time.Duration // by queue, and "" for all, where set
	closed   int                      // how many pauses and maintenances there are
	reopened bool                     // there are fewer than at the last exchange
}

// obey does what operators say. An exchange that has asked for some of the queues only leaves what was said of the others.
func (l *loop) obey(x driver.Exchange, answer driver.Exchanged) {
	c := &l.control
	restarts := map[string]int64{}
	expires := map[string]time.Duration{}
	closed := 0
	some := len(x.Reserve) < len(l.config.Queues)
	for queue, expire := range c.expires {
		if some && queue != "" && !slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return r.Queue == queue }) {
			expires[queue] = expire
		}
	}
	for _, said := range answer.Controls {
		if said.Paused || said.Maintenance && !l.config.Force {
			closed++
		}
		restarts[said.Queue] = said.Restarts
		if said.Expire != nil {
			expires[said.Queue] = *said.Expire
		}
	}
	if !maps.Equal(expires, c.expires) {
		c.expires, l.watch = expires, time.Time{}
	}
	if some {
		closed = c.closed
	}
	c.reopened, c.closed = closed < c.closed, closed
	if c.restarts == nil {
		c.restarts = restarts
	}
	for queue, count := range restarts {
		if count > c.restarts[queue] {
			l.stop("restart")
		}
	}
	wanted := answer.WantedConcurrency
	if wanted == 0 {
		wanted = l.config.Concurrency
	}
	if wanted != c.slots {
		l.log.concurrency(c.slots, wanted)
		c.slots = wanted
		l.slots.resize(wanted)
	}
}

// expire is how long a reservation of the queue lasts; 0: for ever.
func (l *loop) expire(queue string) time.Duration {
	for _, name := range []string{queue, ""} {
		if expire, ok := l.control.expires[name]; ok {
			return expire
		}
	}
	return l.config.Expire
}
