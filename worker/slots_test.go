package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Handlers that are fast get work while the worker waits for the database; slow ones are not given any that others could do.
func TestB1_LookAhead(t *testing.T) {
	const jobs, slots, exchange, during = 1000, 5, 15 * time.Millisecond, 2500 * time.Millisecond
	for name, c := range map[string]struct {
		handler     time.Duration
		least, most int // done, of 2,500 ms × 5 slots ÷ handler
		ahead       int // reserved beyond the slots, at most
	}{
		// Without it each slot would do one in 25 ms: 500.
		"10 ms: a tenth of the 500 a second": {10 * time.Millisecond, 1000, 1000, 50},
		"1 s: none":                          {time.Second, 10, 15, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { pass(c.handler); return nil })
				b.pushMany(jobs)
				ahead := 0
				b.store.intercept(func(context.Context, *driver.Exchange) error { pass(exchange); return nil },
					func(_ driver.Exchange, answer *driver.Exchanged) error {
						ahead = max(ahead, len(answer.Reserved)-slots)
						return nil
					})
				r := b.start(worker.Config{Concurrency: slots})
				pass(during)
				reserved := 0
				for _, job := range b.waiting() {
					reserved += b2i(job.Reserved)
				}
				r.stop()
				left := b.waiting()
				if done := jobs - len(left); done < c.least || done > c.most {
					t.Errorf("%d done, want %d to %d", done, c.least, c.most)
				}
				if ahead > c.ahead || reserved > slots+c.ahead {
					t.Errorf("%d reserved ahead at once, and %d in all, want at most %d", ahead, reserved, c.ahead)
				}
				for _, job := range left {
					if job.Reserved || job.Attempts != 0 {
						t.Fatalf("after the end, job %d has %d attempts, reserved %v", job.ID, job.Attempts, job.Reserved)
					}
				}
			})
		})
	}
}

func TestD2_MaxJobsAreRunAndNotOnlyReserved(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(time.Millisecond); return nil })
		b.pushMany(200)
		if err := b.start(worker.Config{Concurrency: 2, MaxJobs: 90}).ended(); err != nil {
			t.Fatal(err)
		}
		if left := len(b.waiting()); left != 110 {
			t.Errorf("%d jobs are left of 200, want 110", left)
		}
	})
}

func (b *bench) waiting() []sqlqueue.Job {
	b.t.Helper()
	var all []sqlqueue.Job
	for f := (operator.JobFilter{Limit: 1000}); ; f.After = all[len(all)-1].ID {
		jobs, err := operator.New(b.q).Jobs(b.t.Context(), f)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, jobs...)
		if len(jobs) < f.Limit {
			return all
		}
	}
}

// When handlers become slow, what was reserved ahead goes back to where others can take it.
func TestB1_LookAheadGoesBackWhenHandlersAreSlow(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const fast = 500
		n := 0
		b.handle(func(ctx context.Context, _ *raw) error {
			if n++; n > fast {
				<-ctx.Done()
			} else {
				pass(time.Millisecond)
			}
			return nil
		})
		b.pushMany(2 * fast)
		r := b.start(worker.Config{Concurrency: 1})
		pass(10 * time.Second)
		reserved := 0
		for _, job := range b.waiting() {
			if job.Reserved {
				reserved++
			} else if job.Attempts != 0 {
				t.Fatalf("job %d has %d attempts", job.ID, job.Attempts)
			}
		}
		if reserved != 1 {
			t.Errorf("%d jobs are reserved by one slow handler", reserved)
		}
		r.cancel()
		_ = r.ended()
	})
}

// A large payload is not gathered by the hundred.
func TestB1_LookAheadIsBoundedByBytes(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(time.Millisecond); return nil })
		large := make([]byte, 1<<20)
		for range 24 {
			if _, err := b.q.Push(t.Context(), sqlqueue.Named("job", large)); err != nil { // 1.4 MB
				t.Fatal(err)
			}
		}
		most := 0
		b.store.intercept(nil, func(_ driver.Exchange, answer *driver.Exchanged) error {
			most = max(most, len(answer.Reserved))
			return nil
		})
		b.drain(worker.Config{Concurrency: 1})
		if most < 2 || most > 12 {
			t.Errorf("%d MB were reserved at once", most)
		}
	})
}

func TestB7_FairServesTheQueuesInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error { seen.add("%s", job.Queue); pass(time.Second); return nil })
		for range 4 {
			for _, queue := range []string{"a", "b", "c"} {
				b.push(sqlqueue.OnQueue(queue))
			}
		}
		b.push(sqlqueue.OnQueue("a"))
		b.drain(worker.Config{Queues: []string{"a", "b", "c"}, Concurrency: 1, Fair: true})
		seen.want(t, "a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "c", "a")
	})
}

func TestD2_RestBetweenJobs(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var began []time.Duration
		start := time.Now()
		b.handle(func(context.Context, *raw) error { began = append(began, time.Since(start)); return nil })
		b.pushMany(3)
		r := b.start(worker.Config{Concurrency: 1, Rest: 10 * time.Second})
		within(t, time.Minute, "all done", func() bool { return len(b.waiting()) == 0 })
		if !slices.Equal(began, []time.Duration{0, 10 * time.Second, 20 * time.Second}) {
			t.Errorf("began at %v", began)
		}
		end := time.Now()
		r.stop()
		if took := time.Since(end); took > time.Second {
			t.Errorf("the end waited %v for a rest", took)
		}
	})
}

func TestD6_MemoryLimit(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var ran atomic.Int64
		b.handle(func(context.Context, *raw) error { ran.Add(1); pass(time.Second); return nil })
		b.pushMany(50)
		r := b.start(worker.Config{Concurrency: 2, MaxMemory: 1 << 40})
		pass(5500 * time.Millisecond)
		r.stop()
		if n := ran.Load(); n < 10 {
			t.Fatalf("%d jobs ran below the limit", n)
		}
		r = b.start(worker.Config{Concurrency: 2, MaxMemory: 1 << 20})
		err := r.ended()
		if !errors.Is(err, worker.ErrMemory) {
			t.Fatalf("Run: %v", err)
		}
		for _, job := range b.waiting() {
			if job.Reserved {
				t.Errorf("job %d is left reserved", job.ID)
			}
		}
	})
}

func TestD8_PauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var count atomic.Int64
		b.handle(func(context.Context, *raw) error { count.Add(1); pass(time.Second); return nil })
		b.pushMany(100)
		w := worker.New(b.q, b.mux, worker.Config{Concurrency: 1, Expire: 3 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		pass(5500 * time.Millisecond)
		w.Pause()
		synctest.Wait()
		pass(time.Second)
		before := count.Load()
		pass(time.Minute)
		if more := count.Load() - before; more != 0 || before != 6 {
			t.Errorf("%d jobs ran, and %d more while it was paused", before, more)
		}
		for _, job := range b.waiting() {
			if job.Reserved || job.Attempts != 0 {
				t.Errorf("job %d: reserved %v, attempts %d", job.ID, job.Reserved, job.Attempts)
			}
		}
		w.Resume()
		pass(3500 * time.Millisecond)
		if more := count.Load() - before; more < 3 {
			t.Errorf("%d jobs ran after it went on", more)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
