package worker_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// B5: of a queue with a rate, jobs begin as often as it says and not more often, and after a quiet time no more than the burst at once.
func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const (
			rate    = 100 // a second
			burst   = 10
			seconds = 10
		)
		if err := operator.New(b.q).SetLimit(t.Context(), operator.Limit{
			Queue: "default", Rate: rate, Per: time.Second, Burst: burst,
		}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var starts []time.Time
		b.handle(func(context.Context, *worker.Job[json.RawMessage]) error {
			mu.Lock()
			defer mu.Unlock()
			starts = append(starts, time.Now())
			return nil
		})
		b.pushMany(rate * (seconds + 2))
		began := time.Now()
		w := b.start(worker.Config{Concurrency: 1})
		pass(seconds * time.Second)
		w.stop()
		if n := len(starts); n < rate*seconds*95/100 || n > rate*seconds+burst {
			t.Errorf("%d jobs have begun in %d s, want %d", n, seconds, rate*seconds)
		}
		for i, at := range starts {
			after, _ := slices.BinarySearchFunc(starts, at.Add(time.Second), time.Time.Compare)
			if n := after - i; n > rate+burst {
				t.Fatalf("%d jobs have begun in the second after %v, want at most %d", n, at.Sub(began), rate+burst)
			}
		}

		pass(10 * time.Minute)
		before := len(starts)
		w = b.start(worker.Config{Concurrency: 50})
		pass(5 * time.Millisecond)
		mu.Lock()
		n := len(starts) - before
		mu.Unlock()
		if n == 0 || n > burst {
			t.Errorf("%d jobs have begun at once after ten minutes, want at most %d", n, burst)
		}
		w.stop()
	})
}
