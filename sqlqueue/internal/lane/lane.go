// Package lane knows which lanes there are. A lane is one priority of one queue: stores scan each by itself, with equality on both, so
// that delayed jobs of a more urgent priority and jobs of other queues are never walked over.
package lane

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Interval is how long a lane that another process opens may stay unknown.
const Interval = time.Second

// keep is how long a lane is remembered in which nothing waits: its jobs may all be reserved, and come back. An empty lane costs a look
// into the index.
const keep = time.Minute

// Lane is one priority of one queue.
type Lane struct {
	Queue    string
	Priority int16
}

// Of returns the lanes of jobs. Of jobs that follow each other in one lane it comes once.
func Of(jobs []driver.NewJob) iter.Seq[Lane] {
	return func(yield func(Lane) bool) {
		var last Lane
		for i, job := range jobs {
			l := Lane{job.Queue, job.Priority}
			if i > 0 && l == last {
				continue
			}
			if last = l; !yield(l) {
				return
			}
		}
	}
}

// Set is the lanes that a store has seen. The zero value knows none. It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	queues map[string]*priorities
}

type priorities struct {
	seen  map[int16]time.Time // when a job of the priority was pushed or found last
	found time.Time           // when the queue's priorities were looked for last
	order []int16             // those of seen and 0, sorted; nil: not sorted yet
	next  *int                // the priority from which on they were not looked for then; nil: all were
	marks marks
}

func (p *priorities) add(priority int16, at time.Time) {
	if _, ok := p.seen[priority]; !ok {
		p.order = nil
	}
	p.seen[priority] = at
}

// sorted returns the priorities in order, with 0.
func (p *priorities) sorted() []int16 {
	if p.order == nil {
		p.order = slices.Sorted(maps.Keys(p.seen))
		if at, ok := slices.BinarySearch(p.order, 0); !ok {
			p.order = slices.Insert(p.order, at, 0)
		}
	}
	return p.order
}

// of returns what is known of a queue. It is called with mu locked.
func (s *Set) of(queue string) *priorities {
	if s.queues == nil {
		s.queues = map[string]*priorities{}
	}
	p := s.queues[queue]
	if p == nil {
		p = &priorities{seen: map[int16]time.Time{}}
		s.queues[queue] = p
	}
	return p
}

// Learn adds a lane that the store has written to, if it also reserves from the queue. Nothing is kept of other queues: a producer may push
// to any number of them.
func (s *Set) Learn(queue string, priority int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.queues[queue]; p != nil {
		p.add(priority, time.Now())
	}
}

// Stale returns those of the queues whose lanes were not looked for within Interval before now, or not all of them.
func (s *Set) Stale(queues []string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stale []string
	for _, queue := range queues {
		if p := s.of(queue); now.Sub(p.found) >= Interval || now.Before(p.found) || p.next != nil {
			stale = append(stale, queue)
		}
	}
	return stale
}

// Cut notes that the search for the lanes of a queue, whose end Found notes, has not looked at the priorities from next on.
func (s *Set) Cut(queue string, next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(queue).next = &next
}

// Next returns the priority at which to go on, if the last search for the lanes of a queue was cut.
func (s *Set) Next(queue string) (next int, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.of(queue); p.next != nil {
		return *p.next, true
	}
	return 0, false
}

// Found adds the priorities that were found in a queue, looked for at the given time, and forgets those that have long been empty.
func (s *Set) Found(queue string, found []int16, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(queue)
	p.found, p.next = at, nil
	for _, priority := range found {
		p.add(priority, at)
	}
	before := len(p.seen)
	maps.DeleteFunc(p.seen, func(_ int16, seen time.Time) bool { return at.Sub(seen) > keep })
	if len(p.seen) < before {
		p.order = nil
	}
}

// Of returns the lanes of the queues in the order in which they are reserved from: by queue as given, then by priority. The priority 0
// of each is always among them.
func (s *Set) Of(queues []string) []Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := make([]Lane, 0, len(queues))
	for _, queue := range queues {
		for _, priority := range s.of(queue).sorted() {
			lanes = append(lanes, Lane{queue, priority})
		}
	}
	return lanes
}
