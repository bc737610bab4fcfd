package worker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// counting counts the calls of schedules and batches. If silent, exchanges tell nothing of them.
type counting struct {
	driver.Store
	driver.Scheduler
	driver.Batcher
	silent                    bool
	exchanges, looks, batches atomic.Int32
}

func (c *counting) Unwrap() driver.Store { return c.Store }

func (c *counting) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	c.exchanges.Add(1)
	answer, err := c.Store.Exchange(ctx, x)
	if c.silent {
		answer.Chores = nil
	}
	return answer, err
}

func (c *counting) DueSchedules(ctx context.Context) ([]driver.Schedule, time.Time, time.Time, error) {
	c.looks.Add(1)
	return c.Scheduler.DueSchedules(ctx)
}

func (c *counting) LookBatches(ctx context.Context, look driver.BatchLook) (driver.BatchLooked, error) {
	c.batches.Add(1)
	return c.Batcher.LookBatches(ctx, look)
}

// counts wraps the queue's store.
func (b *bench) counts(silent bool) (*sqlqueue.Queue, *counting) {
	c := &counting{silent: silent}
	return b.q.Bind(func(s driver.Store) (driver.Store, error) {
		c.Store = s
		c.Scheduler, _ = driver.As[interface {
			driver.Store
			driver.Scheduler
		}](s)
		c.Batcher, _ = driver.As[interface {
			driver.Store
			driver.Batcher
		}](s)
		return c, nil
	}), c
}

// An idle worker makes one exchange a second, and asks nothing else while no schedule is due and no batch is open.
func TestIdleWorkerAsksForNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		q, c := b.counts(false)
		if err := q.Schedule(t.Context(), sqlqueue.Schedule{Name: "daily", Every: "24h", Job: sqlqueue.Named("x", nil)}); err != nil {
			t.Fatal(err)
		}
		c.looks.Store(0)
		b.handle(func(context.Context, *raw) error { return nil })
		r := b.startOn(q, worker.Config{})
		pass(time.Minute)
		r.stop()
		if looks, batches := c.looks.Load(), c.batches.Load(); looks > 0 || batches > 0 {
			t.Errorf("in a minute it has looked %d times for schedules and %d times for batches", looks, batches)
		}
		if n := c.exchanges.Load(); n > 65 {
			t.Errorf("it has made %d exchanges in a minute", n)
		}
	})
}

// What is due is found within a second of the exchange that tells of it, and a store that tells nothing is asked.
func TestSchedulesAndBatchesOfAnyStore(t *testing.T) {
	for _, silent := range []bool{false, true} {
		bubble(t, func(t *testing.T, b *bench) {
			q, c := b.counts(silent)
			var ran notes
			b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
				ran.add("%s", job.Name)
				return nil
			})
			b.startOn(q, worker.Config{})
			pass(time.Minute)
			if err := q.Schedule(t.Context(), sqlqueue.Schedule{
				Name: "s", Every: "20s", Job: sqlqueue.Named("scheduled", nil),
			}); err != nil {
				t.Fatal(err)
			}
			pass(30 * time.Second)
			ran.want(t, "scheduled")
			batch := q.Batch("import") // no worker serves its queue: another has run its jobs, and died
			if _, err := batch.Push(t.Context(), sqlqueue.Named("x", nil)); err != nil {
				t.Fatal(err)
			}
			if _, err := batch.Seal(t.Context(), sqlqueue.OnFinish(sqlqueue.Named("finished", nil))); err != nil {
				t.Fatal(err)
			}
			if _, err := b.db.ExecContext(t.Context(), "DELETE FROM jobs WHERE queue LIKE 'import/%'"); err != nil {
				t.Fatal(err)
			}
			pass(9 * time.Second)
			ran.want(t, "scheduled", "finished")
			c.looks.Store(0)
			pass(100 * time.Second)
			if looks := c.looks.Load(); silent == (looks <= 12) { // 5 times in 100 s, and once more after each
				t.Errorf("silent: %v: it has looked for schedules %d times", silent, looks)
			}
		})
	}
}

// A worker that ends when there is no job pushes those of the schedules that are due first, and runs them.
func TestStopWhenEmptyWaitsForSchedules(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var ran notes
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			ran.add("%s", job.Name)
			return nil
		})
		if err := b.q.Schedule(t.Context(), sqlqueue.Schedule{Name: "s", Every: "1h", Job: sqlqueue.Named("scheduled", nil)}); err != nil {
			t.Fatal(err)
		}
		b.drain(worker.Config{})
		ran.want(t)
		pass(90 * time.Minute)
		b.drain(worker.Config{})
		ran.want(t, "scheduled")
	})
}

// Of many idle workers of the same queues each looks less often, so that all together look as often as ten, and polls when it looks. One
// that was busy looks as often as if it were alone.
func TestManyIdleWorkersShareTheirLooks(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var workers, exchanges, polls, asked atomic.Int32
		var shortest, longest, last atomic.Int64
		b.store.intercept(nil, func(x driver.Exchange, answer *driver.Exchanged) error {
			exchanges.Add(1)
			if x.Limit > 0 {
				polls.Add(1)
				now := time.Now().UnixNano()
				gap := now - last.Swap(now)
				shortest.Store(min(shortest.Load(), gap))
				longest.Store(max(longest.Load(), gap))
			}
			if x.IdleWorkers {
				asked.Add(1)
				answer.IdleWorkers = int(workers.Load())
			}
			return nil
		})
		var tidied [3]atomic.Int32 // of workers, counts and errors
		b.store.interceptBeats(func(_ context.Context, b *driver.Beat) error {
			for i, tidies := range []bool{b.Unseen > 0, b.OldCounts > 0, b.OldErrors > 0} {
				if tidies {
					tidied[i].Add(1)
				}
			}
			return nil
		})
		var ran notes
		end := make(chan struct{})
		b.handle(func(_ context.Context, job *raw) error {
			ran.add("%d", job.ID)
			if job.ID == 2 {
				<-end
			}
			return nil
		})
		w := worker.New(b.q, b.mux, worker.Config{Timeout: -1, Logger: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		for _, of := range []struct{ workers, exchangesLeast, exchangesMost, pollsLeast, pollsMost, tidied int32 }{
			{1, 590, 620, 190, 210, 10},
			{10, 590, 620, 190, 210, 10},
			{20, 250, 350, 90, 180, 5},
			{30, 170, 230, 100, 230, 3},
			{1000, 100, 145, 100, 145, 0}, // not more seldom than every five seconds, or every 7.5 s once
			{0, 590, 620, 190, 210, 10},   // the store does not tell
		} {
			workers.Store(of.workers)
			pass(time.Minute)
			exchanges.Store(0)
			polls.Store(0)
			asked.Store(0)
			for i := range tidied {
				tidied[i].Store(0)
			}
			last.Store(time.Now().UnixNano())
			longest.Store(0)
			shortest.Store(int64(time.Hour))
			pass(10 * time.Minute)
			if n := exchanges.Load(); n < of.exchangesLeast || n > of.exchangesMost {
				t.Errorf("one of %d workers has made %d exchanges in 10 minutes, want %d to %d",
					of.workers, n, of.exchangesLeast, of.exchangesMost)
			}
			if n := polls.Load(); n < of.pollsLeast || n > of.pollsMost {
				t.Errorf("one of %d workers has asked %d times for jobs in 10 minutes, want %d to %d",
					of.workers, n, of.pollsLeast, of.pollsMost)
			}
			for i, had := range []int32{tidied[0].Load(), tidied[1].Load(), tidied[2].Load()} {
				if had < of.tidied-1 || had > of.tidied+1 {
					t.Errorf("one of %d workers has had old rows deleted %d times in 10 minutes (%d), want %d",
						of.workers, had, i, of.tidied)
				}
			}
			if gap := time.Duration(longest.Load()); gap > 8*time.Second {
				t.Errorf("one of %d workers has not asked for jobs for %v", of.workers, gap)
			}
			if of.workers == 1000 && (time.Duration(shortest.Load()) > 4*time.Second || time.Duration(longest.Load()) < 6*time.Second) {
				t.Errorf("its rests are between %v and %v: many workers that start together would look together",
					time.Duration(shortest.Load()), time.Duration(longest.Load()))
			}
			if n := asked.Load(); n < 70 || n > 125 {
				t.Errorf("one of %d workers has counted them %d times in 10 minutes", of.workers, n)
			}
		}

		workers.Store(1000)
		pass(time.Minute)
		b.push()
		pass(time.Second)
		ran.want(t, "1")
		exchanges.Store(0)
		pass(8 * time.Second)
		if n := exchanges.Load(); n < 8 {
			t.Errorf("after a job it has made %d exchanges in 8 s", n)
		}

		b.push()
		pass(5 * time.Minute)
		exchanges.Store(0)
		pass(time.Minute)
		if n := exchanges.Load(); n < 60 {
			t.Errorf("while a handler runs it has made %d exchanges in a minute", n)
		}
		close(end)

		pass(5 * time.Minute)
		w.Pause()
		pass(8 * time.Second)
		b.push()
		pass(time.Minute)
		ran.want(t, "1", "2")
		w.Resume()
		pass(time.Second)
		ran.want(t, "1", "2", "3")

		tidied[1].Store(0)
		for range 300 {
			b.push()
			pass(2 * time.Second)
		}
		if n := tidied[1].Load(); n < 9 || n > 11 {
			t.Errorf("a busy worker has had old counts deleted %d times in 10 minutes, want 10", n)
		}
	})
}
