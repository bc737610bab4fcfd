package mysqlqueue

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// A queue may have as many lanes as there are priorities. One exchange asks for jobs in a bounded number of them, and searches for a
// bounded number of new ones, in order; the next exchange goes on from there. Only Exchange.Everything asks all of them at once.
const (
	mostAsked  = 1000 // lanes that one exchange asks for jobs
	mostSweeps = 10   // statements of one exchange that look for lanes one after the other
	mostPlaces = 1000 // queues, and lists of queues, that are remembered
)

// places remembers where exchanges go on. Its zero value begins at the first lane of every queue. It is safe for concurrent use.
type places struct {
	mu   sync.Mutex
	find map[string]int   // by queue: the priority from which on to search for lanes
	ask  map[string]place // by the list of queues of an exchange
}

// place is where the next exchange goes on to ask lanes.
type place struct {
	from  lane.Lane
	began time.Time // when the first lane was asked
	next  time.Time // when the next job of the lanes before will be due; zero: not known
}

// finding returns the priority from which on to search for lanes of a queue, if the last search was cut short there.
func (p *places) finding(queue string) (from int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, ok = p.find[queue]
	return from, ok
}

// found notes the priority at which the search for lanes of a queue goes on, or, unless it was cut short, that it is done.
func (p *places) found(queue string, next int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.find, queue)
	if !cut {
		return
	}
	if p.find == nil || len(p.find) >= mostPlaces {
		p.find = map[string]int{}
	}
	p.find[queue] = next
}

// asking returns where to begin to ask the lanes of queues.
func (p *places) asking(queues []string, now time.Time) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.ask[strings.Join(queues, ",")]; ok {
		return at
	}
	return place{began: now}
}

// asked notes where to go on to ask the lanes of queues, or, unless that was cut short, that all were asked.
func (p *places) asked(queues []string, at place, cut bool) {
	key := strings.Join(queues, ",")
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ask, key)
	if !cut {
		return
	}
	if p.ask == nil || len(p.ask) >= mostPlaces {
		p.ask = map[string]place{}
	}
	p.ask[key] = at
}

// pushed makes exchanges go back to a lane that has got a job.
func (p *places) pushed(l lane.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, at := range p.ask {
		if at.from.Queue == l.Queue && l.Priority < at.from.Priority {
			at.from = l
			p.ask[key] = at
		}
	}
}

// before compares lanes by the order of their queues, then by priority.
func before(queues []string) func(a, b lane.Lane) int {
	order := make(map[string]int, len(queues))
	for i, queue := range queues {
		order[queue] = i
	}
	return func(a, b lane.Lane) int {
		if of := order[a.Queue] - order[b.Queue]; of != 0 {
			return of
		}
		return int(a.Priority) - int(b.Priority)
	}
}

// from returns the lanes from a place on.
func from(lanes []lane.Lane, at lane.Lane, compare func(a, b lane.Lane) int) []lane.Lane {
	first, _ := slices.BinarySearchFunc(lanes, at, compare)
	return lanes[first:]
}
