package mysqlqueue

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// A queue may have as many lanes as there are priorities. One exchange asks and looks for a bounded number of them, in order, and the next
// goes on from there; only Exchange.Everything asks for all at once.
const (
	mostAsked  = 1000 // lanes that one exchange asks for jobs
	mostSweeps = 10   // statements of one exchange that look for lanes one after the other
	mostPlaces = 1000 // of queues, or lists of them, that are remembered
)

// places is where to go on. Its zero value begins everywhere. It is safe for concurrent use.
type places struct {
	mu   sync.Mutex
	find map[string]int   // by queue: the priority from which on to look for lanes
	ask  map[string]place // by the queues of an exchange
}

// place is where exchanges go on to ask lanes.
type place struct {
	from  lane.Lane
	began time.Time // at the first lane
	next  time.Time // when the next job of the lanes passed will be due; zero: none is known
}

// finding returns the priority from which on to look for the lanes of a queue, if a search was cut short there.
func (p *places) finding(queue string) (from int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, ok = p.find[queue]
	return from, ok
}

// found notes that the search for lanes of a queue goes on at a priority or, unless cut, is done.
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

// asked notes where to go on to ask the lanes of queues or, unless cut, that all were asked.
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

// pushed goes back to a lane that has got a job.
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
