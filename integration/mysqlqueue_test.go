package integration

import (
	"database/sql"
	"encoding/json"
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

// eachMySQL runs a test on every MySQL and MariaDB, with the address of tables of its own.
func eachMySQL(t *testing.T, test func(t *testing.T, s *servers.Server, dsn string)) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine == "postgres" {
			t.Skip("for MySQL and MariaDB")
		}
		test(t, s, migrated(t, s, ""))
	})
}

func mysqlQueue(tb testing.TB, db *sql.DB) *sqlqueue.Queue {
	tb.Helper()
	q, err := mysqlqueue.New(db, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func mustExec(tb testing.TB, db *sql.DB, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

func mustExchange(tb testing.TB, q *sqlqueue.Queue, x driver.Exchange) driver.Exchanged {
	tb.Helper()
	answer, err := q.Exchange(tb.Context(), x)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func fromQueue(queue string, expire time.Duration) []driver.Reserve {
	return []driver.Reserve{{Queue: queue, Expire: expire}}
}

// TestMySQLIncrement: ids are told in the order of the jobs, also where numbers go in steps and many push at once.
func TestMySQLIncrement(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		const producers, calls, rows = 8, 10, 1500
		var wg sync.WaitGroup
		for p := range producers {
			db := s.Open(t,
				with(t, with(t, dsn, "auto_increment_increment", fmt.Sprint(p%3+1)), "auto_increment_offset", fmt.Sprint(p%2+1)))
			q := mysqlQueue(t, db)
			wg.Go(func() {
				for call := range calls {
					jobs := make([]sqlqueue.Pushable, 1+call*rows/calls)
					for i := range jobs {
						jobs[i] = sqlqueue.Named("x", fmt.Sprint(p, " ", call, " ", i))
					}
					ids, err := q.PushMany(t.Context(), jobs)
					if err != nil {
						t.Error(err)
						return
					}
					for i, id := range ids[:min(len(ids), 5)] {
						checkPushed(t, q, id, fmt.Sprint(p, " ", call, " ", i))
					}
					last := len(ids) - 1
					checkPushed(t, q, ids[last], fmt.Sprint(p, " ", call, " ", last))
				}
			})
		}
		wg.Wait()
	})
}

func checkPushed(t *testing.T, q *sqlqueue.Queue, id int64, data string) {
	t.Helper()
	if j, err := operator.New(q).Job(t.Context(), id); err != nil || string(j.Payload) != fmt.Sprintf(`{"job":"x","data":%q}`, data) {
		t.Errorf("job %d is %s, %v; it was pushed with %s", id, j.Payload, err, data)
	}
}

// TestMySQLAbandoned: what an abandoned exchange has reserved is found also where it never expires.
func TestMySQLAbandoned(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		q := mysqlQueue(t, s.Open(t, dsn))
		for _, expire := range []time.Duration{0, time.Minute} {
			for _, reserve := range [][]driver.Reserve{nil, fromQueue("other", expire)} {
				id, err := q.Push(t.Context(), sqlqueue.Named("x", nil))
				if err != nil {
					t.Fatal(err)
				}
				mustExchange(t, q, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", expire)})
				mustExchange(t, q, driver.Exchange{Abandoned: []string{"w-0", "w-1"}, Reserve: reserve})
				if j, err := operator.New(q).Job(t.Context(), id); err != nil || j.Reserved || j.Attempts != 0 {
					t.Errorf("expire %v: %+v, %v", expire, j, err)
				}
				if _, err := operator.New(q).Clear(t.Context(), "", true); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestMySQLPacket: a payload may be nearly as large as max_allowed_packet, also one that is twice as long when it is quoted, and beyond
// that the error says so.
func TestMySQLPacket(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		for _, interpolate := range []string{"false", "true"} {
			db := s.Open(t, with(t, dsn, "interpolateParams", interpolate))
			mustExec(t, db, "DELETE FROM jobs")
			q := mysqlQueue(t, db)
			var packet int
			if err := db.QueryRowContext(t.Context(), "SELECT @@max_allowed_packet").Scan(&packet); err != nil {
				t.Fatal(err)
			}
			const around = 16 << 10
			data := strings.Repeat(`"`, (packet-around-len(`{"job":"x","data":""}`))/len(`\"`))
			id, err := q.Push(t.Context(), sqlqueue.Named("x", data))
			if err != nil {
				t.Fatalf("interpolateParams=%s: the largest payload: %v", interpolate, err)
			}
			jobs := mustExchange(t, q, driver.Exchange{
				Number: "w-" + interpolate, Limit: 1, Reserve: fromQueue("default", time.Minute),
			}).Reserved
			if len(jobs) != 1 || jobs[0].ID != id || len(jobs[0].Payload) < packet-around-2 {
				t.Error("the largest payload did not come back")
			}
			mustExchange(t, q, driver.Exchange{Settle: []driver.Settlement{{
				Reservation: sqlqueue.Reservation{ID: id, By: jobs[0].ReservedBy}, Outcome: driver.Delete,
				Push: []driver.NewJob{{Queue: "default", Payload: jobs[0].Payload}}, // as the next of a chain
			}}})
			_, err = q.PushMany(t.Context(), []sqlqueue.Pushable{sqlqueue.Named("x", 1), sqlqueue.Named("x", data+`""`)})
			if err == nil || !strings.Contains(err.Error(), "max_allowed_packet") || !strings.Contains(err.Error(), "job 2 of 2") {
				t.Errorf("%v", err)
			}
			if n := count(t, db); n != 1 {
				t.Errorf("%d jobs, want the first alone", n)
			}
		}
	})
}

// TestMySQLNesting: JSON that the server does not take is refused with a reason.
func TestMySQLNesting(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		levels := map[string]int{"mariadb": 31, "mysql": 100}[s.Engine] - 1 // the payload is one itself
		for _, options := range [][]sqlqueue.PushOption{nil, {sqlqueue.Unique("key")}} {
			nested := func(n int) sqlqueue.Pushable {
				return sqlqueue.Named("x", json.RawMessage(strings.Repeat("[", n)+strings.Repeat("]", n)))
			}
			if _, err := q.Push(t.Context(), nested(levels), options...); err != nil {
				t.Errorf("%d levels: %v", levels, err)
			}
			mustExec(t, db, "DELETE FROM jobs")
			if _, err := q.Push(t.Context(), nested(levels+1), options...); err == nil ||
				!strings.Contains(err.Error(), "levels of nesting") {
				t.Errorf("%d levels: %v", levels+1, err)
			}
		}
	})
}

func count(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMySQLCheck: what cannot work is said before jobs are lost.
func TestMySQLCheck(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		ctx := t.Context()
		for setting, want := range map[[2]string]string{
			{"charset", "latin1"}:  "charset=utf8mb4",
			{"charset", "utf8mb3"}: "charset=utf8mb4",
			{"autocommit", "0"}:    "autocommit",

			{"collation_connection", "'latin1_swedish_ci'"}: "collation_connection",
			{"sql_select_limit", "1"}:                       "sql_select_limit",
			{"unique_checks", "0"}:                          "unique_checks",
			{"sql_safe_updates", "1"}:                       "sql_safe_updates",
		} {
			q := mysqlQueue(t, s.Open(t, with(t, dsn, setting[0], setting[1])))
			_, pushError := q.Push(ctx, sqlqueue.Named("x", nil))
			_, exchangeError := q.Exchange(ctx, driver.Exchange{})
			for what, err := range map[string]error{"check": q.Check(ctx), "push": pushError, "exchange": exchangeError} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v: %s: %v", setting, what, err)
				}
			}
		}

		db := s.Open(t, with(t, dsn, "binlog_format", "'STATEMENT'"))
		_, err := db.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
		if err != nil {
			t.Fatal(err)
		}
		var logs bool
		if err := db.QueryRowContext(ctx, "SELECT @@log_bin").Scan(&logs); err != nil {
			t.Fatal(err)
		}
		if err := mysqlQueue(t, db).Check(ctx); logs != (err != nil && strings.Contains(err.Error(), "1665")) || !logs && err != nil {
			t.Errorf("with binlog_format=STATEMENT, log_bin %v: %v", logs, err)
		}

		db = s.Open(t, s.NewDatabase(t))
		q := mysqlQueue(t, db)
		r := sqlqueue.Reservation{ID: 1, By: "w-1"}
		for name, call := range map[string]func() error{
			"check":    func() error { return q.Check(ctx) },
			"push":     func() error { _, err := q.Push(ctx, sqlqueue.Named("x", nil)); return err },
			"many":     func() error { _, err := q.PushMany(ctx, named(2500)); return err },
			"unique":   func() error { _, err := q.Push(ctx, sqlqueue.Named("x", nil), sqlqueue.Unique("k")); return err },
			"exchange": func() error { _, err := q.Exchange(ctx, driver.Exchange{}); return err },
			"reserve": func() error {
				_, err := q.Exchange(ctx, driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", 0)})
				return err
			},
			"settle": func() error {
				_, err := q.Exchange(ctx, driver.Exchange{Settle: []driver.Settlement{{Reservation: r, Outcome: driver.Delete}}})
				return err
			},
			"hold":    func() error { return q.Hold(ctx, r) },
			"jobs":    func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{}); return err },
			"cancel":  func() error { _, err := operator.New(q).Cancel(ctx, 1); return err },
			"failed":  func() error { _, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{}); return err },
			"retry":   func() error { _, err := operator.New(q).Retry(ctx, operator.FailedFilter{}); return err },
			"forget":  func() error { _, err := operator.New(q).Forget(ctx, operator.FailedFilter{}); return err },
			"queues":  func() error { _, err := operator.New(q).Queues(ctx, 0); return err },
			"control": func() error { return operator.New(q).Control(ctx, "", operator.ControlChange{Restart: true}) },
			"workers": func() error { _, err := operator.New(q).Workers(ctx); return err },
		} {
			if err := call(); !errors.Is(err, sqlqueue.ErrNotMigrated) || strings.Count(err.Error(), "migrate up") != 1 {
				t.Errorf("without tables: %s: %v", name, err)
			}
			if n := db.Stats().InUse; n != 0 {
				t.Errorf("%s left %d connections in use", name, n)
			}
		}
	})
}

func named(n int) []sqlqueue.Pushable {
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("x", i)
	}
	return jobs
}

// TestMySQLIdle: an exchange that finds nothing to do writes nothing, and opens no transaction.
func TestMySQLIdle(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var sent []string
		var mu sync.Mutex
		q := mysqlQueue(t, watch(func(statement string) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, strings.Fields(statement)[0])
		}).open(t, dsn))
		if _, err := q.Push(t.Context(), sqlqueue.Named("x", nil), sqlqueue.Delay(time.Hour)); err != nil {
			t.Fatal(err)
		}
		x := driver.Exchange{Requeue: 100, Limit: 10, Reserve: fromQueue("default", time.Minute)}
		for i := range 5 {
			sent = nil
			x.Number = fmt.Sprint("w-", i)
			if answer := mustExchange(t, q, x); len(answer.Reserved) > 0 || answer.NextDue.IsZero() || answer.Now.IsZero() {
				t.Errorf("%+v", answer)
			}
			if i := slices.IndexFunc(sent, func(word string) bool { return word != "SELECT" }); i >= 0 || len(sent) > 4 {
				t.Errorf("an idle exchange sent %v", sent)
			}
		}
	})
}

// TestMySQLSteps: an exchange does not need more round trips than it did.
func TestMySQLSteps(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var packets atomic.Int64
		db := watch(func(string) { packets.Add(1) }).open(t, dsn)
		q := mysqlQueue(t, db)
		if _, err := q.PushMany(t.Context(), named(400)); err != nil {
			t.Fatal(err)
		}
		x := driver.Exchange{Requeue: 100, Limit: 100, Reserve: fromQueue("default", time.Minute)}
		least := int64(1000) // once a second an exchange looks for lanes, and on a slow machine that is each
		for i := range 4 {
			packets.Store(0)
			x.Number = fmt.Sprint("w-", i)
			answer := mustExchange(t, q, x)
			if i > 0 {
				least = min(least, packets.Load())
			}
			x.Settle = nil
			for _, j := range answer.Reserved {
				x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
			}
		}
		const most = 10 // isolation, START, lock, DELETE, controls, look, find, lock, UPDATE, COMMIT
		if least > most || len(x.Settle) != 100 {
			t.Errorf("an exchange that settled and reserved took %d round trips, want at most %d", least, most)
		}
	})
}
