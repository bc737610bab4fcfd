package lane

import (
	"crypto/rand"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func TestLanesComeByQueueThenPriority(t *testing.T) {
	var s Set
	s.Found("mail", nil, time.Now())
	s.Learn("mail", 5)
	s.Learn("mail", -3)
	s.Learn("other", 1)
	got := s.Of([]string{"sms", "mail"})
	want := []Lane{{"sms", 0}, {"mail", -3}, {"mail", 0}, {"mail", 5}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestALaneComesOnceForJobsThatFollowEachOther(t *testing.T) {
	var jobs []driver.NewJob
	lanes := []Lane{{"mail", 0}, {"mail", 0}, {"mail", 5}, {"mail", 5}, {"sms", 5}, {"mail", 0}}
	for _, l := range lanes {
		jobs = append(jobs, driver.NewJob{Queue: l.Queue, Priority: l.Priority})
	}
	if got, want := slices.Collect(Of(jobs)), slices.Compact(lanes); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := slices.Collect(Of(make([]driver.NewJob, 2))); !slices.Equal(got, []Lane{{}}) {
		t.Errorf("of the empty lane: got %v", got)
	}
}

func TestQueuesAreLookedAtOnceInAnInterval(t *testing.T) {
	var s Set
	now := time.Now()
	if got := s.Stale([]string{"mail"}, now); len(got) != 1 {
		t.Error("a queue that was never looked at is not stale")
	}
	s.Found("mail", nil, now)
	for after, want := range map[time.Duration]int{0: 0, Interval - 1: 0, Interval: 1, -time.Second: 1} {
		if got := s.Stale([]string{"mail"}, now.Add(after)); len(got) != want {
			t.Errorf("%v later %d queues are stale, want %d", after, len(got), want)
		}
	}
}

func TestAnEmptyLaneIsForgottenAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		s.Found("mail", []int16{7}, time.Now())
		for _, step := range []struct {
			wait time.Duration
			want bool
		}{{keep, true}, {time.Nanosecond, false}} {
			<-time.After(step.wait) // in the bubble's time
			s.Found("mail", nil, time.Now())
			if got := slices.Contains(s.Of([]string{"mail"}), Lane{"mail", 7}); got != step.want {
				t.Errorf("the lane is known: %v, want %v", got, step.want)
			}
		}
	})
}

// A producer pushes to queues that nobody here reserves from, such as one for each customer.
func TestNothingIsKeptOfQueuesThatAreNotScanned(t *testing.T) {
	var s Set
	for range 1000 {
		s.Learn(rand.Text(), 0)
		s.Rewind(Lane{rand.Text(), 0}, time.Now())
	}
	if len(s.queues) != 0 {
		t.Errorf("%d queues are kept", len(s.queues))
	}
}
