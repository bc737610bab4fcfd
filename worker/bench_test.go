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
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
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

// plenty is a Store that has so many jobs, and no database, so that what the worker itself costs can be seen.
type plenty struct {
	driver.Store
	payload []byte
	left    atomic.Int64
}

func (p *plenty) Check(context.Context) error             { return nil }
func (p *plenty) Beat(context.Context, driver.Beat) error { return nil }

func (p *plenty) Exchange(_ context.Context, x driver.Exchange) (driver.Exchanged, error) {
	now := time.Now()
	last := p.left.Add(-int64(x.Limit))
	reserved := make([]sqlqueue.Job, min(max(last+int64(x.Limit), 0), int64(x.Limit)))
	for i := range reserved {
		reserved[i] = sqlqueue.Job{
			ID: last + int64(i), Queue: "default", Payload: p.payload, Attempts: 1, Reserved: true, ReservedBy: x.Number,
			AvailableAt: now, CreatedAt: now,
		}
	}
	return driver.Exchanged{Now: now, Reserved: reserved, Everything: true}, nil
}

// drainPlenty runs so many jobs of a Store without a database.
func drainPlenty(tb testing.TB, jobs int) {
	tb.Helper()
	store := &plenty{payload: []byte(`{"job":"send_letter","data":{"text":"` + strings.Repeat("x", 80) + `"}}`)}
	store.left.Store(int64(jobs))
	q, err := sqlqueue.New(store, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	drain(tb, q, 100, nothing)
}

// BenchmarkWorker is what a job costs the worker itself.
func BenchmarkWorker(b *testing.B) {
	b.ReportAllocs()
	drainPlenty(b, b.N)
}

// What a job costs the worker itself must not grow unseen: its run, which is as large as can be without the next size of the allocator, two
// copies of the job, its context, what JSON needs, its settlement.
func TestWorkerAllocations(t *testing.T) {
	const jobs, most = 20_000, 2000 // 1880 on an idle machine, 1920 with the race detector
	got := least(most, func() float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		drainPlenty(t, jobs)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / jobs
	})
	if got > most {
		t.Errorf("%.0f bytes for each job, want at most %d", got, most)
	}
}

// What a job costs must not grow unseen. Half of it is the database's driver.
func TestDrainAllocations(t *testing.T) {
	const jobs, most = 5000, 38 // 28 without the race detector on an idle machine
	q, push := letters(t, 80)
	push(1000)
	drain(t, q, 100, nothing)
	got := least(most, func() float64 {
		push(jobs)
		before := allocations()
		drain(t, q, 100, nothing)
		return (allocations() - before) / jobs
	})
	if got > most {
		t.Errorf("%.1f allocations for each job, want at most %d", got, most)
	}
}

// least measures until that is no more than enough, at most five times: on a busy machine exchanges are smaller and more.
func least(enough float64, measure func() float64) float64 {
	got := math.Inf(1)
	for rounds := 5; rounds > 0 && got > enough; rounds-- {
		got = min(got, measure())
	}
	return got
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
