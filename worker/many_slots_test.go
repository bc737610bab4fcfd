package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// The slots bound a call, so a worker with few of them does not wait for jobs that cannot come.
func TestManyJobsWithFewSlots(t *testing.T) {
	for name, c := range map[string]struct {
		config worker.Config
		want   []string
		warns  int
	}{
		"concurrency": {worker.Config{Concurrency: 2, StopWhenEmpty: true}, []string{"[1 2]", "[3 4]"}, 1},
		"once":        {worker.Config{Once: true}, []string{"[1]"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var calls notes
				worker.HandleMany(b.mux, 500, 30*time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
					calls.add("%v", numbers(jobs))
					return nil
				})
				b.rows(1, 4)
				began := time.Now()
				if err := b.start(c.config).ended(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				calls.want(t, c.want...)
				b.logged("handler of many jobs gets fewer than it takes: each holds a place, so set Concurrency to as many", c.warns)
			})
		})
	}
}

// An operator may take slots away while jobs gather.
func TestManyJobsWhenSlotsBecomeFewer(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		worker.HandleMany(b.mux, 10, 20*time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			calls.add("%v", numbers(jobs))
			return nil
		})
		b.rows(1, 3)
		r := b.start(worker.Config{Concurrency: 10})
		within(t, time.Second, "reserved", func() bool { return b.reserved() == 3 })
		workers, err := operator.New(b.q).Workers(t.Context())
		if err != nil || len(workers) != 1 {
			t.Fatal(workers, err)
		}
		if err := operator.New(b.q).SetConcurrency(t.Context(), workers[0].ID, 2); err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, "done", func() bool { return b.count() == 0 })
		b.rows(4, 7)
		within(t, time.Minute, "done", func() bool { return b.count() == 0 })
		r.stop()
		calls.want(t, "[1 2 3]", "[4 5]", "[6 7]")
	})
}

// Two workers of one mux gather each for themselves.
func TestManyJobsOfTwoWorkers(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		worker.HandleMany(b.mux, 10, time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			for _, job := range jobs {
				if job.Queue != jobs[0].Queue {
					t.Errorf("jobs of %s and %s are together", job.Queue, jobs[0].Queue)
				}
			}
			calls.add("%v", numbers(jobs))
			return nil
		})
		b.rows(1, 2, sqlqueue.OnQueue("a"))
		b.rows(3, 4, sqlqueue.OnQueue("b"))
		a := b.start(worker.Config{Concurrency: 10, Queues: []string{"a"}, Name: "a"})
		other := b.start(worker.Config{Concurrency: 10, Queues: []string{"b"}, Name: "b"})
		within(t, time.Minute, "done", func() bool { return b.count() == 0 })
		a.stop()
		other.stop()
		if got := calls.all(); len(got) != 2 {
			t.Errorf("the calls are %q", got)
		}
	})
}
