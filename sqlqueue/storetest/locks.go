package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var lockCases = []testCase{
	{
		"settling a row that another transaction has locked does not wait",
		"one handler's open transaction, or somebody's psql, must not stop the heartbeat of all",
		whileLocked(func(f *fixture, c *client, jobs []sqlqueue.Job, release func()) {
			for what, settle := range map[string]func(sqlqueue.Job) driver.Settlement{
				"delete":    done,
				"release":   func(j sqlqueue.Job) driver.Settlement { return putBack(j, time.Hour) },
				"give-back": giveBack,
				"fail":      func(j sqlqueue.Job) driver.Settlement { return fail(j, "no", "") },
			} {
				free := c.reserve(1, "default")[0]
				answer := c.promptly(driver.Exchange{Settle: []driver.Settlement{settle(jobs[0]), settle(free)}})
				f.locked(what, answer, jobs[0])
				if got := c.job(jobs[0].ID); !got.Reserved || got.ReservedBy != jobs[0].ReservedBy {
					f.Errorf("%s: the locked job is %+v", what, got)
				}
			}
			release()
			c.settle(fail(jobs[0], "no", ""))
		}),
	},
	{
		"touching a row that another transaction has locked does not wait",
		"the other reservations would expire meanwhile",
		whileLocked(func(f *fixture, c *client, jobs []sqlqueue.Job, release func()) {
			answer := c.promptly(driver.Exchange{Touch: []driver.Touch{touch(jobs[0], 0), touch(jobs[1], 0)}})
			f.locked("touch", answer, jobs[0])
			if !c.job(jobs[1].ID).ExpiresAt.IsZero() || c.job(jobs[0].ID).ExpiresAt.IsZero() {
				f.Error("the free job must have been touched, and the locked one not")
			}
			release()
			if answer := c.exchange(driver.Exchange{Touch: []driver.Touch{touch(jobs[0], 0)}}); len(answer.Lost)+len(answer.Locked) > 0 {
				f.Errorf("after the lock: %+v", answer)
			}
		}),
	},
	{
		"a lost reservation whose row is locked is not settled, and not taken for the holder's",
		"the fence holds also where the store cannot look",
		whileLocked(func(f *fixture, c *client, jobs []sqlqueue.Job, release func()) {
			stale := jobs[0]
			stale.ReservedBy = c.number()
			answer := c.promptly(driver.Exchange{Settle: []driver.Settlement{done(stale)}})
			if len(answer.Lost)+len(answer.Locked) != 1 {
				f.Errorf("lost %v, locked %v; want it in one of them", answer.Lost, answer.Locked)
			}
			release()
			f.refused(c, stale)
			c.settle(done(jobs[0]))
		}),
	},
	{
		"requeue and give-back skip rows that are locked, and take them later",
		"they stand before every fetch",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			c.pushMany(4)
			expired := c.reserveFrom(2, fromFor(brief, "default"))
			abandoned := c.reserve(2, "default")
			c.awaitDeadline(expired...)
			release := f.lock(expired[0].ID, abandoned[0].ID)
			x := driver.Exchange{Requeue: 9, Abandoned: []string{abandoned[0].ReservedBy}}
			if n := c.promptly(x).Requeued; n != 1 {
				f.Errorf("requeued %d, want the one that is not locked", n)
			}
			if free, held := c.job(abandoned[1].ID), c.job(abandoned[0].ID); free.Reserved || !held.Reserved {
				f.Errorf("of the abandoned, the free one is %+v and the locked one %+v", free, held)
			}
			release()
			if n := c.exchange(x).Requeued; n != 1 {
				f.Errorf("requeued %d after the lock, want 1", n)
			}
			if j := c.job(abandoned[0].ID); j.Reserved || j.Attempts != 0 {
				f.Errorf("abandoned: %+v", j)
			}
		},
	},
	{
		"B1 reserving skips rows that are locked, and takes them later",
		"an operator who edits one job must not stop its queue",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			ids := c.pushMany(5)
			release := f.lock(ids[0], ids[2])
			f.sameIDs(c.promptly(driver.Exchange{Number: c.number(), Limit: 2, Reserve: from("default")}).Reserved, ids[1], ids[3])
			f.sameIDs(c.promptly(driver.Exchange{Number: c.number(), Limit: 9, Reserve: from("default")}).Reserved, ids[4])
			release()
			got := idsOf(c.reserve(2, "default"))
			slices.Sort(got)
			if want := []int64{ids[0], ids[2]}; !slices.Equal(got, want) {
				f.Errorf("reserved %v after the lock, want %v", got, want)
			}
		},
	},
	{
		"neither a beat nor an exchange waits for locked rows of workers and queues",
		"an operator's open transaction there must not stop anybody's heartbeat",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			id := c.push()
			b := driver.Beat{Worker: driver.Worker{ID: c.worker, Queues: []string{"default"}, Concurrency: 3}}
			c.beat(b)
			c.control("default", operator.ControlChange{Restart: true})
			release := f.lockSQL("SELECT id FROM {job_workers} FOR UPDATE", "SELECT queue FROM {job_queues} FOR UPDATE")
			c.promptlyBeats(b)
			b.Leave, b.Unseen = true, time.Microsecond
			c.promptlyBeats(b)
			answer := c.promptly(driver.Exchange{Reserve: from("default"), Limit: 1, Number: c.number()})
			f.sameIDs(answer.Reserved, id)
			if len(answer.Controls) == 0 || answer.Controls[len(answer.Controls)-1].Restarts == 0 {
				f.Errorf("controls are %+v", answer.Controls)
			}
			release()
		},
	},
	{
		"an exchange does not wait for pushes that are not committed",
		"a long transaction that pushes must not stop workers",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c, worker := f.open(), f.open()
			for _, way := range f.db.Transactions {
				first := c.push()
				bound, tx := c.begin(way)
				id := bound.push()
				keyed := bound.push(sqlqueue.Unique(way.Name))
				j := worker.promptly(driver.Exchange{Number: worker.number(), Limit: 9, Reserve: from("default")}).Reserved
				f.sameIDs(j, first)
				worker.promptly(driver.Exchange{Settle: []driver.Settlement{done(j[0])}, Requeue: 9})
				f.end(tx, true)
				f.sameIDs(worker.reserve(2, "default"), id, keyed)
			}
		},
	},
	{
		"F3 Hold keeps the reservation while its transaction is open",
		"then the lock is the heartbeat, however long the transaction takes",
		func(f *fixture) {
			c, other := f.open(), f.open()
			for _, way := range f.db.Transactions {
				c.push()
				j := c.reserveFrom(1, fromFor(brief, "default"))[0]
				bound, tx := c.begin(way)
				f.must(bound.Hold(f.Context(), j))
				other.awaitDeadline(j)
				if f.db.RowLocks {
					if n := other.promptly(driver.Exchange{Requeue: 9}).Requeued; n != 0 {
						f.Errorf("with %s: requeued %d while it was held", way.Name, n)
					}
					f.locked("touch of what is held", c.promptly(driver.Exchange{Touch: []driver.Touch{touch(j, keep)}}), j)
				} else {
					f.Log("this database has one writer at a time: while a job is held, every other writer waits")
					impatient, cancel := context.WithTimeout(f.Context(), 2*brief)
					defer cancel()
					if answer, err := other.Exchange(impatient, driver.Exchange{Requeue: 9}); err == nil {
						f.Errorf("an exchange did not wait for the transaction that holds a job: %+v", answer)
					}
				}
				f.must(bound.Delete(f.Context(), j))
				f.end(tx, true)
				f.refused(c, j)
			}
		},
	},
	{
		"F3 Hold and operators wait for a locked row, and do not take it for lost",
		"an answer that is not true would make a handler, or an operator, give up",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			for _, way := range f.db.Transactions {
				waiting := c.push(sqlqueue.OnQueue("other"))
				c.push()
				j := c.reserve(1, "default")[0]
				release := f.lock(waiting, j.ID)

				impatient, cancel := context.WithTimeout(f.Context(), 2*brief)
				defer cancel()
				if n, err := operator.New(c.Queue).Cancel(impatient, waiting); n != 0 || err == nil ||
					errors.Is(err, operator.ErrNotFound) || errors.Is(err, operator.ErrReserved) {
					f.Errorf("cancelled %d locked jobs, %v", n, err)
				}
				bound, tx := c.begin(way)
				held := make(chan error, 1)
				go func() { held <- bound.Hold(f.Context(), j) }()
				cancelled := make(chan error, 1)
				go func() {
					_, err := operator.New(c.Queue).Cancel(f.Context(), waiting)
					cancelled <- err
				}()
				release()
				if err := <-held; err != nil {
					f.Errorf("with %s: hold: %v", way.Name, err)
				}
				f.must(<-cancelled)
				f.end(tx, true)
				c.settle(done(j))
			}
		},
	},
	{
		"a writer that finds the database locked waits, and goes on",
		"another process's transaction is no error",
		func(f *fixture) {
			if f.db.RowLocks {
				f.Log("this database locks rows: the other cases show what waits and what does not")
			}
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(1, "default")
			tx, err := f.db.SQL.BeginTx(f.Context(), nil)
			f.must(err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(f.Context(), f.sql("INSERT INTO {jobs} (queue, payload) VALUES ('other', '{}')"))
			f.must(err)
			type answer struct {
				driver.Exchanged
				err error
			}
			answers := make(chan answer, 1)
			started := make(chan struct{})
			go func() {
				close(started)
				got, err := c.Exchange(f.Context(), driver.Exchange{
					Settle: []driver.Settlement{done(jobs[0])}, Number: c.number(), Limit: 1, Reserve: from("default"),
				})
				answers <- answer{got, err}
			}()
			<-started
			f.must(tx.Commit())
			f.inserted()
			if got := <-answers; got.err != nil || len(got.Lost) > 0 {
				f.Errorf("got %+v, %v", got.Exchanged, got.err)
			}
		},
	},
}

// whileLocked runs a test with two reserved jobs, the first of them locked by another transaction, and ready ones.
func whileLocked(test func(f *fixture, c *client, jobs []sqlqueue.Job, release func())) func(*fixture) {
	return func(f *fixture) {
		if !f.hasRowLocks() {
			return
		}
		c := f.open()
		c.pushMany(8)
		jobs := c.reserve(2, "default")
		test(f, c, jobs, f.lock(jobs[0].ID))
	}
}

func (f *fixture) hasRowLocks() bool {
	if !f.db.RowLocks {
		f.Log("this database has no row locks: nothing of it to show; what waits for its one writer is shown by the last case of locks")
	}
	return f.db.RowLocks
}

// lock locks jobs in a transaction of its own, which ends when release is called, or with the test.
func (f *fixture) lock(ids ...int64) (release func()) {
	f.Helper()
	slices.Sort(ids)
	var queries []string
	for _, id := range ids {
		queries = append(queries, fmt.Sprintf("SELECT id FROM {jobs} WHERE id = %d FOR UPDATE", id))
	}
	return f.lockSQL(queries...)
}

func (f *fixture) lockSQL(queries ...string) (release func()) {
	f.Helper()
	tx, err := f.db.SQL.BeginTx(f.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	f.must(err)
	f.Cleanup(func() { _ = tx.Rollback() })
	for _, query := range queries {
		var locked any
		if err := tx.QueryRowContext(f.Context(), f.sql(query)).Scan(&locked); err != nil {
			f.Fatalf("%s: %v", query, err)
		}
	}
	return func() {
		f.Helper()
		f.must(tx.Rollback())
	}
}

// promptly is an exchange that must not wait.
func (c *client) promptly(x driver.Exchange) driver.Exchanged {
	c.f.Helper()
	ctx, cancel := context.WithTimeout(c.f.Context(), promptly)
	defer cancel()
	answer, err := c.Exchange(ctx, x)
	if errors.Is(err, context.DeadlineExceeded) {
		c.f.Fatalf("an exchange waited for a lock: %v", err)
	}
	c.f.must(err)
	return answer
}

func (c *client) promptlyBeats(b driver.Beat) {
	c.f.Helper()
	if b.Worker.ID == "" {
		b.Worker = driver.Worker{ID: c.worker, Queues: []string{"default"}, Concurrency: 1}
	}
	ctx, cancel := context.WithTimeout(c.f.Context(), promptly)
	defer cancel()
	c.f.must(c.Beat(ctx, b))
}

// locked sees that one job is told as locked, and nothing as lost.
func (f *fixture) locked(what string, answer driver.Exchanged, j sqlqueue.Job) {
	f.Helper()
	if len(answer.Lost) > 0 || !slices.Equal(answer.Locked, []sqlqueue.Reservation{j.Reservation()}) {
		f.Errorf("%s: lost %v, locked %v; want locked %v", what, answer.Lost, answer.Locked, j.Reservation())
	}
}
