package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestMySQLDeadlocks: sixteen sessions that settle, touch, requeue and reserve do not deadlock, and no job has two owners.
func TestMySQLDeadlocks(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		const sessions, jobs, expire = 16, 4000, 15 * time.Millisecond
		var deadlocks atomic.Int64
		db := (&tap{received: func(p []byte) { deadlocks.Add(int64(bytes.Count(p, []byte("Deadlock found")))) }}).open(t, dsn)
		db.SetMaxIdleConns(sessions)
		q := mysqlQueue(t, db)
		all := make([]sqlqueue.Pushable, jobs)
		for i := range all {
			all[i] = sqlqueue.Named("x", i)
		}
		if _, err := q.PushMany(t.Context(), all); err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var done, requeued atomic.Int64
		var owners sync.Map // of reservations; each is given once
		var wg sync.WaitGroup
		for session := range sessions {
			wg.Go(func() {
				defer cancel() // one that ends, ends all
				var settle []driver.Settlement
				var touch []driver.Touch
				for count := 1; done.Load() < jobs; count++ {
					x := driver.Exchange{
						Settle: settle, Touch: touch, Requeue: 50, Limit: 20, Number: fmt.Sprintf("w%d-%d", session, count),
						Reserve: fromQueue("default", expire),
					}
					answer, err := q.Exchange(ctx, x)
					if err != nil {
						if done.Load() < jobs {
							t.Errorf("session %d: %v", session, err)
						}
						return
					}
					requeued.Add(int64(answer.Requeued))
					lost, locked := map[sqlqueue.Reservation]bool{}, map[sqlqueue.Reservation]bool{}
					for _, r := range answer.Lost {
						lost[r] = true
					}
					for _, r := range answer.Locked {
						locked[r] = true
					}
					for _, s := range x.Settle {
						if !lost[s.Reservation] && !locked[s.Reservation] {
							done.Add(1)
						}
					}
					settle = slices.DeleteFunc(settle, func(s driver.Settlement) bool { return !locked[s.Reservation] })
					for _, tc := range touch { // what was touched is settled next
						if !lost[tc.Reservation] {
							settle = append(settle, driver.Settlement{Reservation: tc.Reservation, Outcome: driver.Delete})
						}
					}
					touch = nil
					for _, j := range answer.Reserved {
						if _, twice := owners.LoadOrStore(fmt.Sprint(j.ID, " ", j.Attempts), j.ReservedBy); twice {
							t.Errorf("job %d was given twice at attempt %d", j.ID, j.Attempts)
						}
						switch (int(j.ID) + count) % 10 {
						case 0: // forgotten: it expires
						case 1, 2, 3:
							touch = append(touch, driver.Touch{Reservation: j.Reservation(), Expire: expire})
						default:
							settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
						}
					}
				}
			})
		}
		wg.Wait()
		// MariaDB's SKIP LOCKED waits for a moment, and two can look like a deadlock
		most := map[string]int64{"mysql": 0, "mariadb": 5}[s.Engine]
		if n := deadlocks.Load(); n > most {
			t.Errorf("%d transactions were deadlocks, and repeated; want at most %d", n, most)
		}
		if requeued.Load() == 0 {
			t.Error("nothing expired, so requeue was not tested")
		}
		var left int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d jobs are left: %v", left, err)
		}
	})
}

// TestMySQLKeyLocked: a job can be settled, or at least the others, while a transaction that met its key is open.
func TestMySQLKeyLocked(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		db := s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "2"))
		q := mysqlQueue(t, db)
		for _, options := range [][]sqlqueue.PushOption{{sqlqueue.Unique("key")}, nil} {
			if _, err := q.Push(ctx, sqlqueue.Named("x", nil), options...); err != nil {
				t.Fatal(err)
			}
		}
		jobs := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 9, Reserve: fromQueue("default", time.Minute)}).Reserved
		var settle []driver.Settlement
		for _, j := range jobs {
			settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
		}

		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		var duplicate *sqlqueue.DuplicateError
		if id, err := mysqlqueue.WithTx(q, tx).Push(ctx, sqlqueue.Named("x", nil), sqlqueue.Unique("key")); !errors.As(err, &duplicate) ||
			id != jobs[0].ID {
			t.Fatalf("%d, %v", id, err)
		}
		answer := mustExchange(t, q, driver.Exchange{Settle: settle})
		if want := []sqlqueue.Reservation{jobs[0].Reservation()}; !slices.Equal(answer.Locked, want) || answer.Lost != nil {
			t.Errorf("locked %v, lost %v; want %v locked", answer.Locked, answer.Lost, want)
		}
		if _, err := operator.New(q).Job(ctx, jobs[1].ID); !errors.Is(err, operator.ErrNotFound) {
			t.Errorf("the other job: %v", err)
		}
		if answer := mustExchange(t, q, driver.Exchange{
			Touch: []driver.Touch{{Reservation: jobs[0].Reservation(), Expire: time.Hour}},
		}); answer.Locked != nil {
			t.Error("a touch changes nothing in the index of keys, so it need not be refused")
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if answer := mustExchange(t, q, driver.Exchange{Settle: settle[:1]}); len(answer.Locked)+len(answer.Lost) > 0 {
			t.Errorf("afterwards: %+v", answer)
		}
	})
}

// TestMySQLPassedRowsAreFree: an exchange keeps no lock of rows that it has only looked at.
func TestMySQLPassedRowsAreFree(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		var atCommit func()
		tapped := mysqlQueue(t, watch(func(statement string) {
			if strings.HasPrefix(statement, "COMMIT") && atCommit != nil {
				atCommit()
			}
		}).open(t, dsn))
		q := mysqlQueue(t, s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "2")))
		if _, err := q.PushMany(ctx, []sqlqueue.Pushable{
			sqlqueue.Named("x", 1), sqlqueue.Named("x", 2), sqlqueue.Named("x", 3),
		}); err != nil {
			t.Fatal(err)
		}
		mine := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", time.Minute)}).Reserved[0]
		checked := false
		atCommit = func() {
			checked = true
			answer := mustExchange(t, q, driver.Exchange{
				Settle: []driver.Settlement{{Reservation: mine.Reservation(), Outcome: driver.Delete}},
			})
			if len(answer.Lost)+len(answer.Locked) > 0 {
				t.Errorf("while another exchange is open, the settle is answered with %+v", answer)
			}
		}
		stale := sqlqueue.Reservation{ID: mine.ID, By: "w-0"} // what looks at the row in every way there is
		answer := mustExchange(t, tapped, driver.Exchange{
			Settle:  []driver.Settlement{{Reservation: stale, Outcome: driver.Delete}},
			Requeue: 9, Number: "v-1", Limit: 1, Reserve: fromQueue("default", time.Minute),
		})
		if !checked || len(answer.Reserved) != 1 || len(answer.Lost) != 1 {
			t.Errorf("%+v, checked: %v", answer, checked)
		}
	})
}

// TestMySQLBetweenLookAndLock: what others do between the statement that finds rows and the one that locks or changes them.
func TestMySQLBetweenLookAndLock(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		var before string    // begin and part of a statement
		var meanwhile func() // what happens before it, once
		var erase bool       // locks are not taken
		tapped := mysqlQueue(t, (&tap{sent: func(statement string) (string, bool) {
			if begin, part, _ := strings.Cut(before, "…"); meanwhile != nil && strings.HasPrefix(strings.TrimSpace(statement), begin) &&
				strings.Contains(statement, part) {
				do := meanwhile
				meanwhile = nil
				do()
			}
			if lock := "FOR UPDATE SKIP LOCKED"; erase {
				statement = strings.ReplaceAll(statement, lock, strings.Repeat(" ", len(lock)))
			}
			return statement, true
		}}).open(t, dsn))
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		reserve := func(q *sqlqueue.Queue, number string, n int, expire time.Duration) []sqlqueue.Job {
			return mustExchange(t, q, driver.Exchange{Number: number, Limit: n, Reserve: fromQueue("default", expire)}).Reserved
		}
		start := func(t *testing.T, jobs int) []int64 {
			mustExec(t, db, "DELETE FROM jobs")
			ids, err := q.PushMany(t.Context(), named(jobs))
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}

		t.Run("a job that was reserved and released by another is given once", func(t *testing.T) {
			ids := start(t, 25)
			locked, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = locked.Rollback() }()
			if _, err := locked.ExecContext(t.Context(), "SELECT id FROM jobs WHERE id = ? FOR UPDATE", ids[1]); err != nil {
				t.Fatal(err)
			}
			before, meanwhile = "SELECT id, payload…FOR UPDATE", func() {
				j := reserve(q, "other-1", 1, time.Minute)[0]
				mustExchange(t, q, driver.Exchange{Settle: []driver.Settlement{{Reservation: j.Reservation(), Outcome: driver.Release}}})
			}
			given := map[int64]int{}
			for _, j := range reserve(tapped, "tapped-1", 25, time.Minute) {
				given[j.ID]++
			}
			if len(given) != 24 || given[ids[0]] != 1 {
				t.Errorf("%d different jobs, want all but the locked one, 24; the first %d times", len(given), given[ids[0]])
			}
		})
		t.Run("a job that was moved to another queue is not taken", func(t *testing.T) {
			ids := start(t, 2)
			before, meanwhile = "SELECT id, payload…FOR UPDATE", func() {
				queue := "other"
				if err := operator.New(q).Edit(t.Context(), ids[0], operator.JobEdit{Queue: &queue}); err != nil {
					t.Error(err)
				}
			}
			if got := reserve(tapped, "tapped-2", 2, time.Minute); len(got) != 1 || got[0].ID != ids[1] {
				t.Errorf("%+v", got)
			}
		})
		t.Run("without any lock, rows that another has reserved are not ours", func(t *testing.T) {
			ids := start(t, 3)
			before, erase, meanwhile = "UPDATE…reserved = 1", true, func() { reserve(q, "other-3", 2, time.Minute) }
			defer func() { erase = false }()
			got := reserve(tapped, "tapped-3", 3, time.Minute)
			if len(got) != 1 || got[0].ID != ids[2] {
				t.Errorf("%+v", got)
			}
			if j, err := operator.New(q).Job(t.Context(), ids[0]); err != nil || j.ReservedBy != "other-3" || j.Attempts != 1 {
				t.Errorf("%+v, %v", j, err)
			}
		})
		t.Run("a reservation that was touched is not requeued", func(t *testing.T) {
			start(t, 2)
			jobs := reserve(q, "other-4", 2, time.Minute)
			mustExec(t, db, "UPDATE jobs SET expires_at = UTC_TIMESTAMP(6)")
			before, meanwhile = "SELECT id, queue, priority FROM…expires_at <= UTC_TIMESTAMP(6)\nLIMIT", func() {
				mustExchange(t, q, driver.Exchange{Touch: []driver.Touch{{Reservation: jobs[0].Reservation(), Expire: time.Minute}}})
			}
			if n := mustExchange(t, tapped, driver.Exchange{Requeue: 9}).Requeued; n != 1 || meanwhile != nil {
				t.Errorf("requeued %d, want the other one; touched: %v", n, meanwhile == nil)
			}
			if j, err := operator.New(q).Job(t.Context(), jobs[0].ID); err != nil || j.ReservedBy != "other-4" {
				t.Errorf("%+v, %v", j, err)
			}
		})
		t.Run("an abandoned reservation that has become another's is not given back", func(t *testing.T) {
			start(t, 1)
			reserve(q, "other-5", 1, time.Minute)
			before, meanwhile = "SELECT id FROM…FORCE INDEX (PRIMARY)", func() {
				mustExec(t, db, "UPDATE jobs SET expires_at = UTC_TIMESTAMP(6)")
				mustExchange(t, q, driver.Exchange{Requeue: 1, Number: "other-6", Limit: 1, Reserve: fromQueue("default", time.Minute)})
			}
			mustExchange(t, tapped, driver.Exchange{Abandoned: []string{"other-5"}})
			if jobs, err := operator.New(q).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 ||
				jobs[0].ReservedBy != "other-6" || meanwhile != nil {
				t.Errorf("%+v, %v", jobs, err)
			}
		})
		t.Run("many workers that want one job each get one each", func(t *testing.T) {
			start(t, 8)
			var got []int64
			var nested func(n int)
			nested = func(n int) { // each while the one before has locked its job
				before, meanwhile = "UPDATE…reserved = 1", func() {
					if n < 7 {
						nested(n + 1)
					}
				}
				for _, j := range reserve(tapped, fmt.Sprint("many-", n), 1, time.Minute) {
					got = append(got, j.ID)
				}
			}
			nested(0)
			slices.Sort(got)
			if len(slices.Compact(got)) != 8 {
				t.Errorf("%v", got)
			}
		})
	})
}

// TestMySQLOperatorsPassLockedRows: what operators change is not held up by locks of other rows.
func TestMySQLOperatorsPassLockedRows(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		db := s.Open(t, with(t, dsn, "innodb_lock_wait_timeout", "10"))
		q := mysqlQueue(t, db)
		ids, err := q.PushMany(ctx, named(1020)) // MariaDB scans the table for lists of a thousand
		if err != nil {
			t.Fatal(err)
		}
		jobs := mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 9, Reserve: fromQueue("default", time.Minute)}).Reserved
		var fail []driver.Settlement
		for _, j := range jobs[2:] {
			fail = append(fail, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: "e"})
		}
		mustExchange(t, q, driver.Exchange{Settle: fail})
		failed, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{})
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if err := mysqlqueue.WithTx(q, tx).Hold(ctx, jobs[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE failed_jobs SET error = 'being looked at' WHERE id = ?", failed[0].ID); err != nil {
			t.Fatal(err)
		}
		priority := 3
		start := time.Now()
		for _, operation := range []struct {
			name string
			call func() error
		}{
			{"cancel", func() error { _, err := operator.New(q).Cancel(ctx, ids[12], ids[11], ids[13]); return err }},
			{"edit", func() error { return operator.New(q).Edit(ctx, ids[14], operator.JobEdit{Priority: &priority}) }},
			{"release", func() error { _, err := operator.New(q).Release(ctx, jobs[1].ID); return err }},
			{"retry", func() error {
				_, err := operator.New(q).Retry(ctx, operator.FailedFilter{IDs: []int64{failed[1].ID, failed[2].ID, failed[3].ID}})
				return err
			}},
			{"forget", func() error {
				_, err := operator.New(q).Forget(ctx, operator.FailedFilter{IDs: []int64{failed[4].ID, failed[5].ID, failed[6].ID}})
				return err
			}},
			{"clear", func() error { _, err := operator.New(q).Clear(ctx, "default", false); return err }},
		} {
			if err := operation.call(); err != nil {
				t.Errorf("%s: %v", operation.name, err)
			}
		}
		if waited := time.Since(start); waited > 25*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}
