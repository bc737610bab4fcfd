package lane

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A program that pushes to ever new queues does not grow for ever, and those that are reserved from are known all the same.
func TestQueuesThatAreOnlyPushedToAreNotRememberedWithoutEnd(t *testing.T) {
	var s Set
	for i := range 100_000 {
		queue := fmt.Sprint("user ", i)
		s.Learn(queue, 1)
		s.Rewind(Lane{queue, 1}, time.Now())
	}
	if n := len(s.queues); n > mostPushed {
		t.Errorf("%d queues are remembered", n)
	}
	now := time.Now()
	if stale := s.Stale([]string{"user 99999"}, now); len(stale) != 1 {
		t.Error("a queue that is forgotten is not looked for")
	}
	s.Found("user 99999", []int16{1}, now)
	if lanes := s.Of([]string{"user 99999"}); !slices.Contains(lanes, Lane{"user 99999", 1}) {
		t.Errorf("its lanes are %v", lanes)
	}
}
