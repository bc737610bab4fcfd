package lane

import (
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Controls remembers for an Interval what operators have said of the queues of exchanges that ask for many: to look up thousands of names
// takes longer than the rest of an exchange. Its zero value remembers nothing. It is safe for concurrent use.
type Controls struct {
	mu sync.Mutex
	of map[uint64]said // by the queues of the exchange
}

type said struct {
	controls []driver.Control
	at       time.Time
}

// Recent returns what was said of the queues, if it was asked within an Interval before now. It never was if there are not many.
func (c *Controls) Recent(queues []string, now time.Time) (controls []driver.Control, ok bool) {
	if len(queues) <= few {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.of[keyOf(queues)]
	return s.controls, ok && now.Sub(s.at) < Interval && !now.Before(s.at)
}

// Note remembers what was said of the queues at a time, if there are many.
func (c *Controls) Note(queues []string, controls []driver.Control, at time.Time) {
	if len(queues) <= few {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || len(c.of) >= places {
		c.of = map[uint64]said{}
	}
	c.of[keyOf(queues)] = said{controls, at}
}
