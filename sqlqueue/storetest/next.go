package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// then adds jobs on a queue that are pushed when the settlement ends its job.
func then(s driver.Settlement, queue string, names ...string) driver.Settlement {
	for i, name := range names {
		s.Push = append(s.Push, driver.NewJob{
			Queue: queue, Priority: int16(i),
			Payload: fmt.Appendf(nil, `{"job":%q,"data":{"é":[1,"\\\\"]}}`, name), Delay: time.Duration(i) * time.Hour,
		})
	}
	return s
}

// named are the jobs of a queue, by name.
func (f *fixture) named(c *client, queue string, want ...string) []sqlqueue.Job {
	f.Helper()
	jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Queue: queue})
	f.must(err)
	if len(jobs) != len(want) {
		f.Fatalf("queue %s has %d jobs, want %v", queue, len(jobs), want)
	}
	for i, j := range jobs {
		f.samePayload(j.Payload, fmt.Sprintf(`{"job":%q,"data":{"é":[1,"\\\\"]}}`, want[i]))
		if j.Reserved || j.Attempts != 0 || j.UniqueKey != "" || j.Priority != int16(i) {
			f.Errorf("job %d of queue %s is %+v", i, queue, j)
		}
	}
	return jobs
}

var nextCases = []testCase{
	{
		"delete and fail push what comes next, in order",
		"a chain goes on when a job has ended",
		func(f *fixture) {
			c := f.open()
			c.pushMany(3)
			jobs := c.reserve(3, "default")
			before := c.now()
			c.settle(then(done(jobs[0]), "ended", "a", "b"), done(jobs[1]), then(fail(jobs[2], "why", ""), "failed", "c"))
			after := c.now()
			next := f.named(c, "ended", "a", "b")
			f.between("available_at", next[1].AvailableAt, before.Add(time.Hour), after.Add(time.Hour))
			f.named(c, "failed", "c")
			if got := c.reserve(1, "ended"); got[0].ID != next[0].ID {
				f.Errorf("reserved %d, want %d", got[0].ID, next[0].ID)
			}
			if n := len(c.failedJobs()); n != 1 {
				f.Errorf("%d failed jobs, want 1", n)
			}
		},
	},
	{
		"D8 a lost reservation, and a release, push nothing",
		"another worker has the job, and pushes what comes next when it is done there",
		func(f *fixture) {
			c := f.open()
			c.pushMany(3)
			jobs := c.reserve(3, "default")
			c.settle(done(jobs[0]))
			stranger := jobs[1]
			stranger.ReservedBy = c.number()
			for _, settle := range []driver.Settlement{
				then(done(jobs[0]), "next", "a"), then(fail(jobs[0], "why", ""), "next", "b"),
				then(done(stranger), "next", "c"), then(fail(stranger, "why", ""), "next", "d"),
			} {
				if answer := c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}}); len(answer.Lost) != 1 {
					f.Errorf("%v: lost %v, want it", settle, answer.Lost)
				}
			}
			c.settle(then(putBack(jobs[2], 0), "next", "e"))
			f.named(c, "next")
			if n := f.count("SELECT count(*) FROM {jobs}"); n != 2 {
				f.Errorf("%d jobs are left, want 2", n)
			}
		},
	},
	{
		"a settlement that is repeated pushes once",
		"an answer that never came is asked for again",
		func(f *fixture) {
			c := f.open()
			c.push()
			settle := then(done(c.reserve(1, "default")[0]), "next", "a")
			c.settle(settle)
			c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
			f.named(c, "next", "a")
		},
	},
	{
		"a locked job pushes nothing until it is settled",
		"what is skipped is tried again, and must not push twice",
		func(f *fixture) {
			if !f.db.RowLocks {
				f.Log("a database with one writer has no locked rows")
				return
			}
			c := f.open()
			c.push()
			j := c.reserve(1, "default")[0]
			settle := then(done(j), "next", "a")
			for _, way := range f.db.Transactions[:1] {
				bound, tx := c.begin(way)
				f.must(bound.Hold(f.Context(), j))
				answer := c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
				if len(answer.Locked) != 1 {
					f.Errorf("locked %v, want one", answer.Locked)
				}
				f.named(c, "next")
				f.must(tx.Rollback(context.Background()))
			}
			f.eventually("the row is free", func() bool {
				return len(c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}}).Locked) == 0
			})
			f.named(c, "next", "a")
		},
	},
	{
		"in a caller's transaction, what comes next is there if it commits",
		"a handler that completes its job in its own transaction is part of a chain too",
		func(f *fixture) {
			c := f.open()
			for i, way := range f.db.Transactions {
				c.push()
				settle := then(done(c.reserve(1, "default")[0]), fmt.Sprint("next", i), "a")
				bound, tx := c.begin(way)
				bound.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
				f.must(tx.Rollback(f.Context()))
				f.named(c, fmt.Sprint("next", i))
				bound, tx = c.begin(way)
				bound.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
				f.must(tx.Commit(f.Context()))
				f.named(c, fmt.Sprint("next", i), "a")
			}
		},
	},
	{
		"thousands of jobs that end at once push as many",
		"a busy worker settles in large batches",
		func(f *fixture) {
			f.long()
			c := f.open()
			const n = 2000
			c.pushMany(n)
			var settle []driver.Settlement
			for _, j := range c.reserve(n, "default") {
				settle = append(settle, then(done(j), "next", "a"))
			}
			c.settle(settle...)
			if got := f.count("SELECT count(*) FROM {jobs}"); got != n {
				f.Errorf("%d jobs, want %d", got, n)
			}
		},
	},
}
