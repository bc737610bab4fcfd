package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// names are what workers have written by name.
func (b *bench) names() map[string]operator.NameStats {
	b.t.Helper()
	counts, err := operator.New(b.q).Names(b.t.Context(), time.Hour)
	if err != nil {
		b.t.Fatal(err)
	}
	of := map[string]operator.NameStats{}
	for _, n := range counts.Names {
		of[n.Queue+" "+n.Name] = n
	}
	return of
}

// near reports whether a number of seconds is as far from a duration as a histogram may be.
func near(seconds float64, d time.Duration) bool {
	return seconds >= d.Seconds()*0.75 && seconds <= d.Seconds()*1.25
}

// TestCountsByName: how long handlers ran, and how long jobs had waited, also while the database is away for a while.
func TestCountsByName(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(3 * time.Second); return nil })
		failures := 0
		b.store.interceptBeats(func(_ context.Context, beat *driver.Beat) error {
			if len(beat.Names) > 0 && failures < 2 {
				failures++
				return errors.New("the database is away")
			}
			return nil
		})
		b.pushMany(3)
		b.push(sqlqueue.OnQueue("mail/42"))
		b.push(sqlqueue.OnQueue("mail/eu/7"))
		pass(10 * time.Second)
		r := b.start(worker.Config{Queues: []string{"default", "mail/42", "mail/eu/7"}, Concurrency: 10})
		pass(time.Minute)
		got := b.names()
		if n := got["default job"]; n.Done != 3 || !near(n.Run.P50, 3*time.Second) || !near(n.Wait.P99, 10*time.Second) {
			t.Errorf("got %+v", n)
		}
		if n := got["mail job"]; failures != 2 || len(got) != 2 || n.Done != 2 || n.Failed != 0 || n.Released != 0 {
			t.Errorf("after %d failures got %+v", failures, got)
		}
		r.stop()
	})
}

// TestCountsByNameOfOutcomes: the same outcomes are counted as by queue.
func TestCountsByNameOfOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		outcome error
		want    [3]int64 // done, failed, released
	}{
		"processed": {nil, [3]int64{1, 0, 0}},
		"discarded": {worker.Discard(), [3]int64{1, 0, 0}},
		"failed":    {worker.Fail(errors.New("no")), [3]int64{0, 1, 0}},
		"released":  {worker.Release(time.Hour), [3]int64{0, 0, 1}},
		"snoozed":   {worker.Snooze(time.Hour), [3]int64{0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { return test.outcome })
				b.push()
				b.drain(worker.Config{})
				n := b.names()["default job"]
				if got := [3]int64{n.Done, n.Failed, n.Released}; got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		})
	}
}

// TestCountsOfTooManyNames: a program that puts ids into names does not make rows without end, and loses no run.
func TestCountsOfTooManyNames(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const more = 20
		b.mux.HandleAll(func(context.Context, *raw) error { return nil })
		for i := range driver.NamesMost + more {
			b.raw(fmt.Sprintf(`{"job":"send %d %s"}`, i, strings.Repeat("漢", i%200)))
		}
		b.drain(worker.Config{})
		got := b.names()
		var done int64
		for _, n := range got {
			done += n.Done
		}
		if others := got[" "]; len(got) > driver.NamesMost+1 || others.Done == 0 || done != driver.NamesMost+more {
			t.Errorf("%d names have %d done, %d of them among the others", len(got), done, others.Done)
		}
	})
}

// TestUpkeep: the workers of a database measure its queues once a minute, all together.
func TestUpkeep(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return nil })
		b.push(sqlqueue.OnQueue("other"))
		first, second := b.start(worker.Config{}), b.start(worker.Config{})
		pass(10*time.Minute + time.Second)
		var rows int
		if err := b.db.QueryRowContext(t.Context(),
			"SELECT count(*) FROM job_sizes WHERE queue = 'other' AND ready = 1").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows < 9 || rows > 11 {
			t.Errorf("in ten minutes the queue was measured %d times", rows)
		}
		first.stop()
		second.stop()
	})
}
