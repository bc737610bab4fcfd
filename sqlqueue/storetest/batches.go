package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// callbacks are all three, on a queue each.
func callbacks() []sqlqueue.Callback {
	on := func(queue string) sqlqueue.Pushable {
		return sqlqueue.With(sqlqueue.Named("callback", nil), sqlqueue.OnQueue(queue))
	}
	return []sqlqueue.Callback{
		sqlqueue.OnSuccess(on("success")), sqlqueue.OnFinish(on("finish")), sqlqueue.OnFailure(on("failure")),
	}
}

// batch makes a sealed batch with n jobs, and returns its id and queue. Its tables are written past the recorder.
func (c *client) batch(n int) (id int64, queue string) {
	c.f.Helper()
	b := c.Batch("import")
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("job", i)
	}
	_, err := b.Push(c.f.Context(), jobs...)
	c.f.must(err)
	c.f.history.inserted(n)
	id, err = b.Seal(c.f.Context(), callbacks()...)
	c.f.must(err)
	return id, fmt.Sprint("import/b", id)
}

// look is one sweep. It goes on behind the last that it has looked at.
func (c *client) look() driver.BatchLooked {
	c.f.Helper()
	looked, err := c.LookBatches(c.f.Context(), driver.BatchLook{Sweep: true})
	c.f.must(err)
	c.f.history.inserted(len(looked.Pushed))
	return looked
}

// called checks how many callbacks there are of success, finish and failure.
func (f *fixture) called(success, finish, failure int) {
	f.Helper()
	for queue, want := range map[string]int{"success": success, "finish": finish, "failure": failure} {
		if got := f.count("SELECT count(*) FROM {jobs} WHERE queue = '" + queue + "'"); got != want {
			f.Errorf("%d callbacks of %s, want %d", got, queue, want)
		}
	}
}

// inserted notes rows that were inserted past the recorder.
func (h *history) inserted(n int) {
	if n > 0 {
		h.add(h.tick(), event{what: inserted, count: n})
	}
}

var batchCases = []testCase{
	{
		"a batch that was closed long ago is deleted by a beat, and one that is newer, or open, stays",
		"a table of every batch that ever was would grow for ever",
		func(f *fixture) {
			c := f.open()
			old, _ := c.batch(0)
			newer, _ := c.batch(0)
			open, _ := c.batch(1)
			f.history.inserted(4) // callbacks of the two that were empty
			closed := func(id int64, ago time.Duration) {
				d := c.database()
				s := d.Statement("UPDATE %s SET ", d.Table("job_batches"))
				s.Add("closed_at = %s", s.Time(c.now().Add(-ago)))
				s.Add(" WHERE id = %s", s.Arg(id))
				_, err := s.Exec(f.Context(), d.DB)
				f.must(err)
			}
			closed(old, driver.BatchesKept+time.Hour)
			closed(newer, driver.BatchesKept-time.Hour)
			f.eventually("the old batch is deleted", func() bool {
				c.beat(driver.Beat{OldCounts: operator.CountsKept})
				_, err := operator.New(c.Queue).Batch(f.Context(), old)
				return errors.Is(err, sqlqueue.ErrNoBatch)
			})
			for _, id := range []int64{newer, open} {
				if _, err := operator.New(c.Queue).Batch(f.Context(), id); err != nil {
					f.Errorf("batch %d: %v", id, err)
				}
			}
		},
	},
	{
		"D4 a batch finishes when its queue is empty, and succeeds when nothing of it has failed",
		"an email when all thousand are done",
		func(f *fixture) {
			c := f.open()
			id, queue := c.batch(3)
			if looked := c.look(); !looked.Open || looked.Pushed != nil {
				f.Errorf("looked: %+v", looked)
			}
			jobs := c.reserve(3, queue)
			c.settle(done(jobs[0]))
			c.look()
			c.settle(fail(jobs[1], "no luck", ""), putBack(jobs[2], time.Hour))
			c.look()
			c.look()
			f.called(0, 0, 1)
			f.exec("UPDATE {jobs} SET available_at = created_at WHERE queue = ?", queue)
			j := c.reserve(1, queue)[0]
			c.look()
			c.settle(done(j))
			c.look()
			c.look()
			f.called(0, 1, 1)
			if _, err := c.BatchOf(id).Push(f.Context(), sqlqueue.Named("late", nil)); !errors.Is(err, sqlqueue.ErrBatchEnded) {
				f.Errorf("a push into a batch that has finished: %v", err)
			}
			_, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{})
			f.must(err)
			c.look()
			c.settle(done(c.reserve(1, queue)[0]))
			looked := c.look()
			c.look()
			f.called(1, 1, 1)
			if !looked.Open || c.look().Open {
				f.Errorf("a batch that has succeeded is open")
			}
			var told struct {
				Parent sqlqueue.Parent `json:"parent"`
			}
			f.must(json.Unmarshal(c.reserve(1, "failure")[0].Payload, &told))
			if told.Parent.Batch != id || told.Parent.Error != "no luck" {
				f.Errorf("the callback is told %+v", told.Parent)
			}
		},
	},
	{
		"D5 a batch without jobs ends when it is sealed, and only then",
		"an import of an empty file is done too",
		func(f *fixture) {
			c := f.open()
			b := c.Batch("import")
			id, err := b.Create(f.Context())
			f.must(err)
			c.look()
			f.called(0, 0, 0)
			all := callbacks()
			_, err = c.BatchOf(id).Seal(f.Context(), all[0], all[1]) // as another process does
			f.must(err)
			c.f.history.inserted(2)
			f.called(1, 1, 0)
			c.look()
			f.called(1, 1, 0)
			if _, err := b.Seal(f.Context()); !errors.Is(err, sqlqueue.ErrBatchEnded) {
				f.Errorf("sealed twice: %v", err)
			}
			if _, err := c.BatchOf(987654).Push(f.Context(), sqlqueue.Named("job", nil)); !errors.Is(err, sqlqueue.ErrNoBatch) {
				f.Errorf("a push into no batch: %v", err)
			}
		},
	},
	{
		"a batch in a caller's transaction is there if it commits",
		"the order and its jobs are one thing",
		func(f *fixture) {
			c := f.open()
			for _, way := range f.db.Transactions {
				bound, tx := c.begin(way)
				b := bound.Batch("order")
				_, err := b.Push(f.Context(), sqlqueue.Named("job", nil))
				f.must(err)
				_, err = b.Seal(f.Context(), callbacks()...)
				f.must(err)
				f.must(tx.Rollback(f.Context()))
				if n := f.count("SELECT count(*) FROM {job_batches}") + f.count("SELECT count(*) FROM {jobs}"); n != 0 {
					f.Fatalf("%d rows after the rollback", n)
				}
			}
			for _, way := range f.db.Transactions {
				bound, tx := c.begin(way)
				_, err := bound.Batch("empty").Seal(f.Context(), callbacks()...)
				f.must(err)
				f.must(tx.Commit(f.Context()))
				f.history.inserted(2)
			}
			f.called(len(f.db.Transactions), len(f.db.Transactions), 0)
		},
	},
	{
		"D3 every batch is called back once, and none early, when many look at once",
		"workers look while others push and settle",
		func(f *fixture) {
			const batches, workers = 20, 4
			first := f.open()
			queues := make([]string, batches)
			for i := range queues {
				_, queues[i] = first.batch(2)
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			pushed := 0
			for range workers {
				c := f.open()
				wg.Go(func() {
					for range 500 {
						looked, err := c.LookBatches(f.Context(), driver.BatchLook{Sweep: true})
						if err != nil {
							f.Error(err)
							return
						}
						mu.Lock()
						pushed += len(looked.Pushed)
						over := pushed >= 2*batches
						mu.Unlock()
						if over {
							return
						}
						time.Sleep(interval) //nolint:forbidigo // a pace, not a wait
					}
				})
			}
			for _, queue := range queues {
				for _, j := range first.reserve(2, queue) {
					first.settle(done(j))
				}
			}
			wg.Wait()
			f.history.inserted(pushed)
			f.called(batches, batches, 0)
			if n := f.count("SELECT count(*) FROM {job_batches} WHERE finished_at IS NULL OR closed_at IS NULL"); n != 0 {
				f.Errorf("%d batches are open", n)
			}
		},
	},
	{
		"a job that pushes into its own batch keeps it open",
		"a job that finds more work adds it before it ends",
		func(f *fixture) {
			c := f.open()
			_, queue := c.batch(1)
			c.settle(then(done(c.reserve(1, queue)[0]), queue, "more"))
			c.look()
			f.called(0, 0, 0)
			c.settle(done(c.reserve(1, queue)[0]))
			c.look()
			f.called(1, 1, 0)
		},
	},
}
