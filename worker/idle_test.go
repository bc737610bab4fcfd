package worker_test

import (
	"context"
	"encoding/json"
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
			if err := q.Schedule(t.Context(), sqlqueue.Schedule{Name: "s", Every: "20s", Job: sqlqueue.Named("scheduled", nil)}); err != nil {
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
			if _, err := b.db.Exec("DELETE FROM jobs WHERE queue LIKE 'import/%'"); err != nil {
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
