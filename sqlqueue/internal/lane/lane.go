// Package lane knows which lanes there are. A lane is one priority of one queue: stores scan each by itself, with equality on both, so
// that delayed jobs of a more urgent priority and jobs of other queues are never walked over.
package lane

import (
	"slices"
	"sync"
	"time"
)

// Interval is how long a lane that another process opens may stay unknown.
const Interval = time.Second

// Lane is one priority of one queue.
type Lane struct {
	Queue    string
	Priority int16
}

// Set is the lanes that a store has seen. The zero value knows none. It is safe for concurrent use.
type Set struct {
	mu         sync.Mutex
	priorities map[string][]int16 // sorted
	found      map[string]time.Time
}

// Learn adds a lane that the store has written to.
func (s *Set) Learn(queue string, priority int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.priorities[queue]
	at, ok := slices.BinarySearch(known, priority)
	if ok {
		return
	}
	if s.priorities == nil {
		s.priorities = map[string][]int16{}
	}
	s.priorities[queue] = slices.Insert(slices.Clone(known), at, priority)
}

// Stale returns those of the queues whose lanes were not looked for within Interval before now.
func (s *Set) Stale(queues []string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stale []string
	for _, queue := range queues {
		if found, ok := s.found[queue]; !ok || now.Sub(found) >= Interval || now.Before(found) {
			stale = append(stale, queue)
		}
	}
	return stale
}

// Found replaces what is known of a queue by what was found in the table, looked for at the given time.
func (s *Set) Found(queue string, priorities []int16, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.priorities == nil {
		s.priorities = map[string][]int16{}
	}
	if s.found == nil {
		s.found = map[string]time.Time{}
	}
	s.priorities[queue], s.found[queue] = slices.Sorted(slices.Values(priorities)), at
}

// Of returns the lanes of the queues in the order in which they are reserved from: by queue as given, then by priority. The priority 0
// of each is always among them.
func (s *Set) Of(queues []string) []Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lanes []Lane
	for _, queue := range queues {
		known := s.priorities[queue]
		if at, ok := slices.BinarySearch(known, 0); !ok {
			known = slices.Insert(slices.Clone(known), at, 0)
		}
		for _, priority := range known {
			lanes = append(lanes, Lane{queue, priority})
		}
	}
	return lanes
}
