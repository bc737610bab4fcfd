// Package lane knows which lanes there are. A lane is one priority of one queue: stores scan each by itself, with equality on both, so
// that delayed jobs of a more urgent priority and jobs of other queues are never walked over.
package lane

import (
	"maps"
	"slices"
	"sync"
	"time"
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

// Set is the lanes that a store has seen. The zero value knows none. It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	queues map[string]*priorities
}

type priorities struct {
	seen  map[int16]time.Time // when a job of the priority was pushed or found last
	found time.Time           // when the queue's priorities were looked for last
	marks marks
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
		p.seen[priority] = time.Now()
	}
}

// Stale returns those of the queues whose lanes were not looked for within Interval before now.
func (s *Set) Stale(queues []string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stale []string
	for _, queue := range queues {
		if found := s.of(queue).found; now.Sub(found) >= Interval || now.Before(found) {
			stale = append(stale, queue)
		}
	}
	return stale
}

// Found adds the priorities that were found in a queue, looked for at the given time, and forgets those that have long been empty.
func (s *Set) Found(queue string, found []int16, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of(queue)
	p.found = at
	for _, priority := range found {
		p.seen[priority] = at
	}
	maps.DeleteFunc(p.seen, func(_ int16, seen time.Time) bool { return at.Sub(seen) > keep })
}

// Of returns the lanes of the queues in the order in which they are reserved from: by queue as given, then by priority. The priority 0
// of each is always among them.
func (s *Set) Of(queues []string) []Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lanes []Lane
	for _, queue := range queues {
		known := slices.Sorted(maps.Keys(s.of(queue).seen))
		if at, ok := slices.BinarySearch(known, 0); !ok {
			known = slices.Insert(known, at, 0)
		}
		for _, priority := range known {
			lanes = append(lanes, Lane{queue, priority})
		}
	}
	return lanes
}
