package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Throttle: the job goes back without an attempt, nothing of its queue begins for that time, also not what was reserved before, and other
// queues go on.
func TestThrottle(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const rest = time.Minute
		var mu sync.Mutex
		var begun []time.Duration
		start, others := time.Now(), 0
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			mu.Lock()
			defer mu.Unlock()
			if job.Queue == "other" {
				others++
				return nil
			}
			if begun = append(begun, time.Since(start)); len(begun) == 1 {
				return worker.Throttle(rest)
			}
			return nil
		})
		first := b.push(sqlqueue.OnQueue("api"))
		for range 5 {
			b.push(sqlqueue.OnQueue("api"))
		}
		b.push(sqlqueue.OnQueue("other"))
		w := b.start(worker.Config{Queues: []string{"api", "other"}, Concurrency: 1})
		pass(rest / 2)
		b.waits(first, 0, rest/2)
		mu.Lock()
		if len(begun) != 1 || others != 1 {
			t.Errorf("%d jobs of the queue that rests have begun, and %d others; want 1 and 1", len(begun), others)
		}
		mu.Unlock()
		pass(rest)
		w.stop()
		if len(begun) != 7 {
			t.Errorf("%d runs have begun, want the throttled one and 6", len(begun))
		}
		for _, at := range begun[1:] {
			if at < rest || at > rest+2*time.Second {
				t.Errorf("a run has begun after %v, want soon after %v", at, rest)
			}
		}
	})
}

// A worker whose database refuses the pause keeps the queue closed by itself; a delay of nothing closes nothing.
func TestThrottleIsNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const rest = time.Minute
		delays := []time.Duration{0, rest}
		var runs atomic.Int32
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error {
			if n := int(runs.Add(1)); n <= len(delays) {
				return worker.Throttle(delays[n-1])
			}
			return nil
		})
		b.push()
		b.push()
		if _, err := b.db.ExecContext(t.Context(),
			"CREATE TRIGGER broken BEFORE INSERT ON job_queues BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
			t.Fatal(err)
		}
		w := b.start(worker.Config{Concurrency: 1})
		pass(rest / 2)
		if runs.Load() != 2 {
			t.Errorf("%d runs, want 2: the second has said Throttle", runs.Load())
		}
		pass(rest)
		w.stop()
		if runs.Load() != 4 {
			t.Errorf("%d runs, want 4", runs.Load())
		}
		b.logged("cannot pause a queue that is to rest: other workers go on with it", 1)
	})
}

// An operator ends the rest.
func TestThrottleIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var runs atomic.Int32
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error {
			if runs.Add(1) == 1 {
				return worker.Throttle(time.Hour)
			}
			return nil
		})
		b.push()
		b.push()
		w := b.start(worker.Config{Concurrency: 1})
		pass(time.Minute)
		if runs.Load() != 1 {
			t.Errorf("%d runs while the queue rests, want 1", runs.Load())
		}
		b.control("default", operator.ControlChange{Resume: true})
		pass(3 * time.Second)
		w.stop()
		if runs.Load() != 2 {
			t.Errorf("%d runs after the rest was ended, want 2: the throttled job still waits", runs.Load())
		}
	})
}

// A store that cannot let queues rest has the job snoozed.
func TestThrottleOfAnotherStore(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		q := b.q.Bind(func(s driver.Store) (driver.Store, error) { return onlyStore{s}, nil })
		if err := q.Throttle(t.Context(), "default", time.Minute); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Throttle: %v", err)
		}
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error { return worker.Throttle(time.Hour) })
		id := b.push()
		w := b.startOn(q, worker.Config{})
		pass(time.Minute)
		b.waits(id, 0, time.Hour-time.Minute)
		w.stop()
	})
}

// onlyStore hides what else a store can do.
type onlyStore struct{ driver.Store }
