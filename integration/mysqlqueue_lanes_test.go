package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

// TestMySQLLanes: jobs of any priority that other processes have pushed are found, and reserved in the order of priorities.
func TestMySQLLanes(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		var jobs []sqlqueue.Pushable
		want := []int16{-32768, -32767, -5, -1, 0, 1, 2, 300, 32766, 32767}
		for i := range want {
			jobs = append(jobs, sqlqueue.With(sqlqueue.Named("x", nil), sqlqueue.Priority(int(want[len(want)-1-i]))))
		}
		for range 2 {
			if _, err := mysqlQueue(t, db).PushMany(t.Context(), jobs, sqlqueue.OnQueue("a", "b")); err != nil {
				t.Fatal(err)
			}
		}
		q := mysqlQueue(t, db)
		for round := range 2 {
			x := driver.Exchange{
				Number: fmt.Sprint("w-", round), Limit: 2 * len(want), Reserve: append(fromQueue("b", 0), fromQueue("a", 0)...),
			}
			var got []int16
			for _, j := range mustExchange(t, q, x).Reserved {
				if j.Queue == map[int]string{0: "b", 1: "a"}[round] {
					got = append(got, j.Priority)
				}
			}
			var twice []int16
			for _, priority := range want {
				twice = append(twice, priority, priority)
			}
			if !slices.Equal(got, twice) {
				t.Errorf("round %d: %v, want %v", round, got, twice)
			}
		}
	})
}

// TestMySQLMarks: exchanges do not walk over what is behind the marks, and what comes to light there is found all the same.
func TestMySQLMarks(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx, start := t.Context(), time.Now()
		inTime := func() {
			t.Helper()
			if time.Since(start) > 10*time.Minute {
				t.Fatal("it takes too long")
			}
		}
		db, other := s.Open(t, dsn), s.Open(t, dsn)
		db.SetMaxOpenConns(1)
		q, producer := mysqlQueue(t, db), mysqlQueue(t, other)
		count := 0
		reserve := func(n int) []sqlqueue.Job {
			t.Helper()
			inTime()
			count++
			return mustExchange(t, q, driver.Exchange{
				Number: fmt.Sprint("w-", count), Limit: n, Reserve: fromQueue("default", time.Hour),
			}).Reserved
		}
		push := func(q *sqlqueue.Queue, n int) []int64 {
			t.Helper()
			ids, err := q.PushMany(ctx, named(n))
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}

		const many = 3000
		push(q, many+100)
		reserve(many)
		const most = many / 2
		for read := many; read > most; { // on a slow machine most exchanges look at everything
			before := rowsRead(t, db)
			if len(reserve(1)) == 0 {
				push(producer, 100)
			}
			read = rowsRead(t, db) - before
		}

		const late, lateBy = 30, 700 * time.Millisecond
		tx, err := other.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		lateIDs := push(mysqlqueue.WithTx(producer, tx), late)
		for since := time.Now(); time.Since(since) < lateBy; reserve(2) {
			push(producer, 1)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for found := 0; found < late; {
			jobs := reserve(1)
			switch {
			case len(jobs) == 0 && found > 0:
				t.Fatalf("%d of %d jobs are found, and no more at once", found, late)
			case len(jobs) > 0 && slices.Contains(lateIDs, jobs[0].ID):
				found++
			}
		}

		for range 5 {
			id, err := q.Push(ctx, sqlqueue.Named("x", nil), sqlqueue.At(time.Now().Add(-time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			if jobs := reserve(1); len(jobs) != 1 || jobs[0].ID != id {
				t.Fatalf("a job pushed for a time that has passed is not found at once: %+v", jobs)
			}
		}

		requeued := func() int {
			inTime()
			return mustExchange(t, q, driver.Exchange{Requeue: 10}).Requeued
		}
		requeued()
		const expired = 30
		mustExec(t, other, fmt.Sprintf("UPDATE jobs SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR ORDER BY id LIMIT %d", expired))
		n := requeued()
		for n == 0 {
			n = requeued()
		}
		if more, all := requeued(), requeued(); n != 10 || more != 10 || all != 10 {
			t.Errorf("of %d that had expired long ago %d, %d and %d are requeued, want them by ten", expired, n, more, all)
		}
	})
}

// TestMySQLManyPriorities: a queue with thousands of priorities is reserved from in their order, by exchanges each of which sends a bounded
// number of statements, and the first of which brings jobs.
func TestMySQLManyPriorities(t *testing.T) {
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		const priorities, limit, enough = 20_000, 500, 1500
		statements := 0
		db := watch(func(string) { statements++ }).open(t, dsn)
		digits := "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL " +
			"SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
		mustExec(t, db, `INSERT INTO jobs (queue, payload, priority) SELECT 'mail', '{"job":"x"}', n - 10000 FROM
			(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n FROM `+digits+" a, "+digits+" b, "+digits+" c, "+digits+
			" d, (SELECT 0 d UNION ALL SELECT 1) e) numbers")
		q := mysqlQueue(t, db)
		var got []int16
		inVain := 0
		for n := 1; len(got) < enough; n++ {
			statements = 0
			x := driver.Exchange{Number: fmt.Sprint("w-", n), Limit: limit, Reserve: fromQueue("mail", time.Hour)}
			answer := mustExchange(t, q, x)
			if inVain++; len(answer.Reserved) > 0 {
				inVain = 0
			}
			if n == 1 && inVain > 0 || inVain > priorities/1000 { // lanes that are empty now are asked as well, from time to time
				t.Fatalf("exchange %d brought nothing, and %d jobs are left", n, enough-len(got))
			}
			const most = 260 // two for each of a hundred lanes, and what finds and asks them
			if statements > most {
				t.Fatalf("exchange %d sent %d statements, want %d at most", n, statements, most)
			}
			if answer.Everything {
				t.Errorf("exchange %d says that it has looked at everything, after %d jobs", n, len(got))
			}
			if len(answer.Reserved) < limit && answer.NextDue.After(answer.Now) {
				t.Fatalf("exchange %d says that the next job is due at %v, which is after %v", n, answer.NextDue, answer.Now)
			}
			var settle []driver.Settlement
			for _, j := range answer.Reserved {
				got = append(got, j.Priority)
				settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
			}
			mustExchange(t, q, driver.Exchange{Settle: settle})
		}
		if !slices.IsSorted(got) || got[len(got)-1]-got[0] != int16(len(got)-1) {
			t.Errorf("%d jobs from %d to %d, in order: %v", len(got), got[0], got[len(got)-1], slices.IsSorted(got))
		}
		mustExec(t, db, "DELETE FROM jobs")
		answer := mustExchange(t, q, driver.Exchange{Number: "w-last", Limit: 1, Reserve: fromQueue("mail", time.Hour), Everything: true})
		if len(answer.Reserved) > 0 || !answer.Everything {
			t.Errorf("of an empty queue: %+v", answer)
		}
	})
}

// TestMySQLFarPriority: a job is found behind thousands of priorities of which no job is due, also by exchanges that look at some only.
func TestMySQLFarPriority(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		const delayed = 5000
		jobs := make([]sqlqueue.Pushable, delayed)
		for i := range jobs {
			jobs[i] = sqlqueue.With(sqlqueue.Named("x", nil), sqlqueue.Priority(i), sqlqueue.Delay(time.Hour))
		}
		if _, err := q.PushMany(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		id, err := q.Push(t.Context(), sqlqueue.Named("far", nil), sqlqueue.Priority(delayed+1))
		if err != nil {
			t.Fatal(err)
		}
		for name, everything := range map[string]bool{"some at a time": false, "everything at once": true} {
			anew := mysqlQueue(t, db)
			const most = delayed/1000 + 5
			for n := 1; ; n++ {
				answer := mustExchange(t, anew, driver.Exchange{
					Number: fmt.Sprint(name, n), Limit: 1, Reserve: fromQueue("default", time.Hour), Everything: everything,
				})
				if len(answer.Reserved) == 1 {
					if answer.Reserved[0].ID != id {
						t.Errorf("%s: %+v", name, answer.Reserved[0])
					}
					mustExec(t, db, "UPDATE jobs SET reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL")
					break
				}
				if answer.Everything || answer.NextDue.After(answer.Now) {
					t.Fatalf("%s: exchange %d found nothing and says that there is nothing: %+v", name, n, answer)
				}
				if n == most || everything {
					t.Fatalf("%s: nothing found in %d exchanges", name, n)
				}
			}
		}
	})
}

// TestMySQLManyQueues: of thousands of queues that are listed by name, an exchange looks up each by an index, however many jobs others
// have.
func TestMySQLManyQueues(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		var sent []string
		db := watch(func(statement string) { sent = append(sent, statement) }).open(t, dsn)
		db.SetMaxOpenConns(1)
		const queues, large = 3000, 20_000
		names, jobs := make([]string, queues), make([]sqlqueue.Pushable, queues)
		for i := range queues {
			names[i] = fmt.Sprint("customer", i)
			jobs[i] = sqlqueue.With(sqlqueue.Named("x", nil), sqlqueue.OnQueue(names[i]))
		}
		q := mysqlQueue(t, db)
		_, err := q.PushMany(t.Context(), jobs)
		if err == nil {
			_, err = q.PushMany(t.Context(), named(large), sqlqueue.OnQueue(names[10]))
		}
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, "ANALYZE TABLE jobs")
		var reserve []driver.Reserve
		for _, name := range names {
			reserve = append(reserve, fromQueue(name, time.Hour)...)
		}
		anew := mysqlQueue(t, db)
		for n := 1; n <= 3; n++ {
			before := rowsRead(t, db)
			sent = nil
			answer := mustExchange(t, anew, driver.Exchange{Number: fmt.Sprint("w-", n), Limit: 10, Reserve: reserve})
			const most = 5_000 // some for each of a hundred lanes, and for each job
			if read := rowsRead(t, db) - before; read > most || len(answer.Reserved) != 10 {
				t.Errorf("exchange %d reserved %d jobs and read %d rows, want at most %d", n, len(answer.Reserved), read, most)
			}
			const statements = 60
			if len(sent) > statements {
				t.Errorf("exchange %d sent %d statements, want at most %d", n, len(sent), statements)
			}
			for _, statement := range slices.Clone(sent) {
				checkPlan(t, s, db, statement)
			}
		}
	})
}
