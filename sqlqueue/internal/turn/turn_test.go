package turn

import (
	"fmt"
	"testing"
	"time"
)

// TestRestOfManyQueues: the more queues a pattern has, the longer one rests that has no job to give, within bounds.
func TestRestOfManyQueues(t *testing.T) {
	for queues, want := range map[int]time.Duration{1: time.Second, 2000: time.Second, 4000: 2 * time.Second, 100_000: 5 * time.Second} {
		l := &line{queues: make([]string, queues)}
		if got := l.rest(); got != want {
			t.Errorf("of %d queues one rests for up to %v, want %v", queues, got, want)
		}
	}
}

// TestANewJobEndsTheRest: a queue that rests is asked again when a job is seen in it that was not there before.
func TestANewJobEndsTheRest(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &line{state: map[string]*state{}}
	l.see(map[string]int64{"mail/1": 7, "mail/2": 9}, now)
	for i := range 2 {
		*l.state[fmt.Sprint("mail/", i+1)] = state{openAt: now.Add(time.Minute), idle: time.Second, gave: now}
	}
	l.see(map[string]int64{"mail/1": 12, "mail/2": 9}, now)
	if s := l.state["mail/1"]; !s.openAt.IsZero() || s.idle != 0 {
		t.Errorf("a queue with a new job rests until %v", s.openAt)
	}
	if s := l.state["mail/2"]; s.openAt.IsZero() {
		t.Error("a queue without a new job rests no longer")
	}
}
