package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// transactionCases run once for each of the database's ways.
var transactionCases = []testCase{
	{
		"A9 push in a transaction exists if and only if it commits",
		"a job for an order that was rolled back, or an order without its job",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			for _, commit := range []bool{true, false} {
				before := f.count("SELECT count(*) FROM {jobs}")
				bound, tx := c.begin(way)
				id := bound.push()
				more := bound.pushMany(3, sqlqueue.OnQueue("mail", "sms"))
				f.must(tx.Exec(f.Context(), f.sql(`INSERT INTO {jobs} (queue, payload) VALUES ('business', '{}')`)))
				if id == 0 || len(more) != 6 || bound.job(id).ID != id {
					f.Errorf("ids %d and %v", id, more)
				}
				if n := f.count("SELECT count(*) FROM {jobs}"); n != before {
					f.Errorf("others see %d more jobs before the commit", n-before)
				}
				f.end(tx, commit)
				if commit {
					f.inserted()
					before += 8
				}
				if n := f.count("SELECT count(*) FROM {jobs}"); n != before {
					f.Errorf("commit %v: there are %d jobs, want %d", commit, n, before)
				}
				if commit {
					f.sameIDs(c.reserve(1, "default"), id)
				}
			}
		}),
	},
	{
		"A9 what is committed late is reserved soon",
		"a long transaction's job has an old time, and workers have come further since",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			if !f.db.RowLocks {
				f.Log("this database has one writer at a time: nothing can be reserved while the transaction is open")
			}
			worker := f.open()
			bound, tx := c.begin(way)
			id := bound.push()
			if f.db.RowLocks {
				for range 5 {
					c.pushMany(20)
					worker.reserve(20, "default")
				}
			}
			f.end(tx, true)
			f.sameIDs(worker.reserve(1, "default"), id)
		}),
	},
	{
		"A9 of many that are committed late, the first brings the others with it",
		"each that is looked for by itself would take as long as the first",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			const late, lateBy = 30, 700 * time.Millisecond
			worker := f.open()
			bound, tx := c.begin(way)
			ids := bound.pushMany(late)
			if start := worker.now(); f.db.RowLocks {
				f.eventually("workers have come further", func() bool {
					c.pushMany(2)
					worker.reserve(2, "default")
					return worker.now().Sub(start) > lateBy
				})
			}
			f.end(tx, true)
			f.sameIDs(worker.reserve(1, "default"), ids[0])
			for _, id := range ids[1:] {
				f.sameIDs(worker.take(1, "default"), id)
			}
		}),
	},
	{
		"A9 a duplicate key does not spoil the transaction",
		"on PostgreSQL, an error inside would make the caller's commit impossible",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			holder := c.push(sqlqueue.Unique("held"))
			bound, tx := c.begin(way)
			got, err := bound.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("held"))
			f.duplicate(err, sqlqueue.Duplicate{Queue: "default", Key: "held", Holder: holder})
			if got != holder {
				f.Errorf("got id %d, want %d", got, holder)
			}
			mine := bound.push(sqlqueue.Unique("mine"))
			if again, err := bound.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("mine")); again != mine || err == nil {
				f.Errorf("got id %d and %v, want %d", again, err, mine)
			}
			f.end(tx, true)
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(jobs, holder, mine)
		}),
	},
	{
		"F3 Delete in a transaction completes the job if and only if it commits",
		"the job's own writes and its end belong together",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			c.pushMany(2)
			for _, commit := range []bool{false, true} {
				j := c.reserve(1, "default")[0]
				bound, tx := c.begin(way)
				f.must(bound.Delete(f.Context(), j))
				f.must(tx.Exec(f.Context(), f.sql(`INSERT INTO {jobs} (queue, payload) VALUES ('business', '{}')`)))
				f.end(tx, commit)
				if commit {
					f.inserted()
					f.refused(c, j)
				} else {
					f.sameJob(c.job(j.ID), j)
					c.settle(done(j))
				}
			}
		}),
	},
	{
		"C7 F3 every outcome in a transaction happens if and only if it commits",
		"the row leaves jobs and enters failed_jobs in one transaction: the caller's",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			c.pushMany(4)
			jobs := c.reserve(4, "default")
			x := driver.Exchange{Settle: []driver.Settlement{
				done(jobs[0]), putBack(jobs[1], time.Hour), giveBack(jobs[2]), fail(jobs[3], "it's broken", "here"),
			}}
			for _, commit := range []bool{false, true} {
				before := f.dump()
				bound, tx := c.begin(way)
				if answer := bound.exchange(x); len(answer.Lost)+len(answer.Locked) > 0 {
					f.Errorf("lost %v, locked %v", answer.Lost, answer.Locked)
				}
				f.unchanged(before)
				f.end(tx, commit)
				if !commit {
					f.unchanged(before)
				}
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, jobs[1].ID, jobs[2].ID)
			if failed := c.failedJobs(); len(failed) != 1 || failed[0].Error != "it's broken" || left[0].Reserved || left[1].Attempts != 0 {
				f.Errorf("left %+v, failed %+v", left, failed)
			}
		}),
	},
	{
		"B5 F3 a lost reservation is refused in a transaction, which goes on",
		"the late handler must learn it before it commits its own writes",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			c.push()
			j := c.reserve(1, "default")[0]
			c.settle(giveBack(j))
			c.reserve(1, "default")
			before := f.dump()
			bound, tx := c.begin(way)
			if err := bound.Hold(f.Context(), j); !errors.Is(err, sqlqueue.ErrReservationLost) {
				f.Errorf("hold: got %v, want ErrReservationLost", err)
			}
			if err := bound.Delete(f.Context(), j); !errors.Is(err, sqlqueue.ErrReservationLost) {
				f.Errorf("delete: got %v, want ErrReservationLost", err)
			}
			answer := bound.exchange(driver.Exchange{Settle: []driver.Settlement{fail(j, "late", "")}})
			if !slices.Equal(answer.Lost, []sqlqueue.Reservation{j.Reservation()}) {
				f.Errorf("fail: lost %v", answer.Lost)
			}
			f.unchanged(before)
			id := bound.push(sqlqueue.OnQueue("after"))
			f.end(tx, true)
			f.sameIDs(c.reserve(1, "after"), id)
		}),
	},
	{
		"F3 Hold, the caller's own writes, Delete",
		"the pattern of the documentation",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			c.pushMany(2)
			for _, commit := range []bool{true, false} {
				j := c.reserve(1, "default")[0]
				bound, tx := c.begin(way)
				f.must(bound.Hold(f.Context(), j))
				f.must(bound.Hold(f.Context(), j))
				next := bound.push(sqlqueue.OnQueue("next"))
				f.must(bound.Delete(f.Context(), j))
				if err := bound.Hold(f.Context(), j); !errors.Is(err, sqlqueue.ErrReservationLost) {
					f.Errorf("hold after delete: got %v, want ErrReservationLost", err)
				}
				f.end(tx, commit)
				if commit {
					f.sameIDs(c.reserve(1, "next"), next)
				} else {
					f.sameIDs(c.take(1, "next"))
					c.settle(done(j))
				}
			}
		}),
	},
	{
		"E6 operators' changes in a transaction",
		"WithTx is the same Queue, with every operation",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			f.failOne(c, "job", "default")
			f.failOne(c, "job", "default")
			cancelled, edited := c.push(sqlqueue.OnQueue("mail")), c.push(sqlqueue.OnQueue("mail"), sqlqueue.Unique("key"))
			failedIDs := idsOfFailed(c.failedJobs())
			ctx := f.Context()
			for _, commit := range []bool{false, true} {
				before := f.dump()
				bound, tx := c.begin(way)
				priority := 5
				if n, err := operator.New(bound.Queue).Cancel(ctx, cancelled); n != 1 || err != nil {
					f.Errorf("cancelled %d, %v", n, err)
				}
				f.must(operator.New(bound.Queue).Edit(ctx, edited, operator.JobEdit{Priority: &priority, Data: "new"}))
				if n, err := operator.New(bound.Queue).Retry(ctx, operator.FailedFilter{IDs: failedIDs[:1]}); n != 1 || err != nil {
					f.Errorf("retried %d, %v", n, err)
				}
				if n, err := operator.New(bound.Queue).Forget(ctx, operator.FailedFilter{IDs: failedIDs[1:]}); n != 1 || err != nil {
					f.Errorf("forgot %d, %v", n, err)
				}
				f.must(operator.New(bound.Queue).Control(ctx, "mail", operator.ControlChange{Pause: true}))
				queues, err := operator.New(bound.Queue).Queues(ctx, 0)
				if err != nil || len(queues) != 2 || !queues[1].Control.Paused || queues[1].Ready != 1 {
					f.Errorf("in the transaction the queues are %+v, %v", queues, err)
				}
				f.unchanged(before)
				f.end(tx, commit)
				if !commit {
					f.unchanged(before)
				}
				if got := c.controlOf("mail").Paused; got != commit {
					f.Errorf("paused is %v, want %v", got, commit)
				}
			}
			if j := c.job(edited); j.Priority != 5 {
				f.Errorf("edited: %+v", j)
			}
			c.reserve(1, "default")
		}),
	},
	{
		"an exchange in a caller's transaction does nothing but settle",
		"a reservation that the caller rolls back would be worked on all the same",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			c.pushMany(2)
			j := c.reserve(1, "default")[0]
			before := f.dump()
			for what, x := range map[string]driver.Exchange{
				"reserve":   {Number: c.number(), Limit: 1, Reserve: from("default")},
				"touch":     {Touch: []driver.Touch{touch(j, time.Hour)}},
				"requeue":   {Requeue: 1},
				"give back": {Abandoned: []string{j.ReservedBy}},
			} {
				bound, tx := c.begin(way)
				if _, err := bound.Exchange(f.Context(), x); err == nil {
					f.Errorf("%s was allowed", what)
				}
				f.end(tx, false)
			}
			f.unchanged(before)
		}),
	},
	{
		"A9 a transaction that has ended refuses everything",
		"a push that nobody commits would be lost in silence",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			bound, tx := c.begin(way)
			f.end(tx, true)
			if _, err := bound.Push(f.Context(), sqlqueue.Named("job", nil)); err == nil {
				f.Error("a push was accepted")
			}
			f.empty()
		}),
	},
	{
		"A8 A9 many jobs in a transaction",
		"batches are for callers' transactions too",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			const n = 1500
			bound, tx := c.begin(way)
			ids := bound.pushMany(n)
			f.end(tx, true)
			jobs := c.reserve(n, "default")
			f.sameIDs(jobs, ids...)
			f.samePayload(jobs[n-1].Payload, fmt.Sprintf(`{"job":"job","data":%d}`, n-1))
		}),
	},
}

// inEachWay runs a test once for each way in which callers bring their transactions, with tables emptied in between.
func inEachWay(test func(f *fixture, c *client, way Transactions)) func(*fixture) {
	return func(f *fixture) {
		for i, way := range f.db.Transactions {
			if i > 0 {
				f.wipe()
			}
			failed := f.Failed()
			test(f, f.open(), way)
			if !failed && f.Failed() {
				f.Logf("with %s", way.Name)
			}
		}
	}
}

// wipe empties the tables, after the history up to here has been checked.
func (f *fixture) wipe() {
	f.Helper()
	f.checkHistory()
	for _, table := range sqldb.Tables() {
		f.exec("DELETE FROM {" + table + "}")
	}
	f.history = &history{}
}

// end commits a transaction, or rolls it back.
func (f *fixture) end(tx *recordedTx, commit bool) {
	f.Helper()
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	f.must(end(context.WithoutCancel(f.Context())))
}
