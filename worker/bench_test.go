package worker_test

import (
	"context"
	"database/sql"
	"log/slog"
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

type letter struct {
	Text string `json:"text"`
}

func (letter) JobName() string { return "send_letter" }

// letters returns a queue, on a database of its own, and a function that pushes n jobs with data of so many bytes.
func letters(tb testing.TB, bytes int) (*sqlqueue.Queue, func(n int)) {
	tb.Helper()
	db, err := sql.Open("sqlite", newFile(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	batch := make([]sqlqueue.Pushable, 1000)
	for i := range batch {
		batch[i] = letter{strings.Repeat("x", bytes)}
	}
	return q, func(n int) {
		for left := n; left > 0; left -= len(batch) {
			if _, err := q.PushMany(tb.Context(), batch[:min(left, len(batch))]); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// drain runs all jobs.
func drain(tb testing.TB, q *sqlqueue.Queue, concurrency int, handler func(context.Context) error) {
	tb.Helper()
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, _ *worker.Job[letter]) error { return handler(ctx) })
	config := worker.Config{Concurrency: concurrency, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)}
	if err := worker.New(q, mux, config).Run(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func nothing(context.Context) error { return nil }

// allocations is how often the process has allocated.
func allocations() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}

// BenchmarkDrain is what a job costs from its reservation until it is settled, the database included: SQLite lives in the process.
func BenchmarkDrain(b *testing.B) {
	q, push := letters(b, 80)
	push(b.N)
	before := allocations()
	b.ResetTimer()
	drain(b, q, 100, nothing)
	b.ReportMetric((allocations()-before)/float64(b.N), "allocs/job")
}

// What a job costs must not grow unseen. Half of it is the database's driver.
func TestDrainAllocations(t *testing.T) {
	const jobs, most, rounds = 5000, 45, 5 // 25 without the race detector on an idle machine
	q, push := letters(t, 80)
	push(1000)
	drain(t, q, 100, nothing)
	least := math.Inf(1)
	for range rounds { // on a busy machine exchanges are smaller and more
		push(jobs)
		before := allocations()
		drain(t, q, 100, nothing)
		if least = min(least, (allocations()-before)/jobs); least <= most {
			return
		}
	}
	t.Errorf("%.1f allocations for each job, want at most %d", least, most)
}

// heap is how much memory is in use on the heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// live is how much of the heap was in use at the end of the latest garbage collection. What is not collected yet depends on the machine.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// A worker's memory is bounded by its settings: a thousand handlers, with a kilobyte each, and what it reserves ahead.
func TestMemoryOfAThousandHandlers(t *testing.T) {
	const jobs, handlers, most = 5_000, 1000, 32 << 20
	q, push := letters(t, 1000)
	push(jobs)
	runtime.GC()
	before := live()
	var highest atomic.Uint64
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.GC()
			highest.Store(max(highest.Load(), live()))
			select {
			case <-watching.Done():
				return
			case <-tick.C:
			}
		}
	}()
	var running atomic.Int64
	together := make(chan struct{})
	drain(t, q, handlers, func(ctx context.Context) error {
		if running.Add(1) == handlers {
			close(together)
		}
		select {
		case <-together:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	stop()
	<-watched
	if got := highest.Load(); got > before+most || running.Load() != jobs {
		t.Errorf("%d jobs ran, with %d MB of heap, want %d with at most %d MB", running.Load(), got>>20, jobs, most>>20)
	}
}

// Nothing of the jobs that were pushed stays in the process.
func TestMemoryOfAProducer(t *testing.T) {
	const most = 4 << 20
	_, push := letters(t, 80)
	push(5_000)
	runtime.GC()
	before := heap()
	push(30_000)
	runtime.GC()
	if after := heap(); after > before+most {
		t.Errorf("30,000 pushes have left %d MB on the heap", (after-before)>>20)
	}
}
