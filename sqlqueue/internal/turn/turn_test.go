package turn

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// TestRestOfManyQueues: the more queues a pattern has, the longer one rests that has no job to give, within bounds.
func TestRestOfManyQueues(t *testing.T) {
	for queues, want := range map[int]time.Duration{1: time.Second, 2000: time.Second, 4000: 2 * time.Second, 100_000: 5 * time.Second} {
		l := &line{state: map[string]*state{}}
		for i := range queues {
			l.state[fmt.Sprint(i)] = &state{}
		}
		if got := l.mostRest(); got != want {
			t.Errorf("of %d queues one rests for up to %v, want %v", queues, got, want)
		}
	}
}

// TestANewJobEndsTheRest: a queue that rests is asked again when a job is seen in it that was not there before.
func TestANewJobEndsTheRest(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &line{state: map[string]*state{}}
	l.see(map[string]int64{"mail/1": 7, "mail/2": 9}, now)
	l.queues = nil
	for i := range 2 {
		*l.state[fmt.Sprint("mail/", i+1)] = state{openAt: now.Add(time.Minute), idle: time.Second, gave: now}
	}
	l.see(map[string]int64{"mail/1": 12, "mail/2": 9}, now)
	if s := l.state["mail/1"]; !s.openAt.IsZero() || s.idle != 0 || !slices.Equal(l.queues, []string{"mail/1"}) {
		t.Errorf("a queue with a new job rests until %v; in line are %v", s.openAt, l.queues)
	}
	if s := l.state["mail/2"]; s.openAt.IsZero() {
		t.Error("a queue without a new job rests no longer")
	}
}

// TestQueuesWithoutJobsRest: queues that have no job to give are asked many at a time, and then not before their rest is over.
func TestQueuesWithoutJobsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{state: map[string]*state{}}
		for i := range 300 {
			l.add(fmt.Sprint("mail/", i), time.Now())
		}
		turns := &Turns{lines: map[string]*line{"mail/*": l}}
		exchange := func(gives bool) (asked int, again time.Duration) {
			p := turns.plan(driver.Exchange{Limit: 10, Reserve: []driver.Reserve{{Queue: "mail/*"}}})
			answer := driver.Exchanged{Now: time.Now()}
			if gives {
				answer.Reserved = []sqlqueue.Job{{Queue: p.Reserve[0].Queue}}
			}
			p.Done(&answer)
			return len(p.Reserve), answer.NextDue.Sub(answer.Now)
		}
		for i, want := range []struct {
			gives bool
			asked int
			again time.Duration
		}{
			{true, leastOpen, time.Millisecond},  // the first stays open
			{false, leastOpen, time.Millisecond}, // there are more
			{false, mostOpen, time.Millisecond},
			{false, 300 - 2*leastOpen - mostOpen + 1, firstIdle},
			{false, 0, firstIdle},
		} {
			if asked, again := exchange(want.gives); asked != want.asked || again != want.again {
				t.Errorf("exchange %d asked %d queues, and the next is due in %v; want %d, %v", i, asked, again, want.asked, want.again)
			}
		}
		time.Sleep(firstIdle) //nolint:forbidigo // virtual time
		if asked, _ := exchange(false); asked != mostOpen {
			t.Errorf("after their rest %d queues are asked, want %d", asked, mostOpen)
		}
	})
}
