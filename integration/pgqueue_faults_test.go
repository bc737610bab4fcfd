package integration

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

func postgresQueue(t *testing.T, s *servers.Server, dsn string) *sqlqueue.Queue {
	t.Helper()
	q, err := pgqueue.New((&tables{server: s, dsn: dsn}).pool(t), sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// partitioning is the SQL of docs/scaling.md that partitions jobs by queue, for tables with a prefix.
func partitioning(t *testing.T, prefix, by string) string {
	t.Helper()
	_, documented, _ := strings.Cut(content(t, "../docs/scaling.md"), "## Partitions")
	_, documented, _ = strings.Cut(documented, "```sql\n")
	documented, _, _ = strings.Cut(documented, "```")
	if by == "list" {
		lists := `CREATE TABLE jobs_mail PARTITION OF jobs_parts FOR VALUES IN ('mail');
			CREATE TABLE jobs_others PARTITION OF jobs_parts DEFAULT;` + "\n"
		first, end := strings.Index(documented, "CREATE TABLE jobs_0"), strings.Index(documented, "DO $$")
		documented = strings.Replace(documented[:first], "BY HASH", "BY LIST", 1) + lists + documented[end:]
	}
	return regexp.MustCompile(`\bjobs(_[a-z0-9]+)?\b`).ReplaceAllString(documented, `"`+prefix+`$0"`)
}

// A table that is partitioned by queue, in the words of docs/scaling.md, works as any other. Rows of other partitions have the same places.
// The conformance suite runs on one, too.
func TestPostgresPartitions(t *testing.T) {
	for _, by := range []string{"list", "hash"} {
		t.Run(by, func(t *testing.T) {
			eachPostgres(t, func(t *testing.T, s *servers.Server) {
				dsn := migrated(t, s, "")
				q, db := postgresQueue(t, s, dsn), s.Open(t, dsn)
				first, err := q.Push(t.Context(), sqlqueue.Named("x", 1), sqlqueue.OnQueue("mail"))
				if err != nil {
					t.Fatal(err)
				}
				mustExec(t, db, partitioning(t, "", by))
				queues := []string{"mail", "sms", "a", "b"}
				reserve := []driver.Reserve{}
				for _, queue := range queues {
					reserve = append(reserve, driver.Reserve{Queue: queue, Expire: time.Minute})
					for range 5 {
						id, err := q.Push(t.Context(), sqlqueue.Named("x", 1), sqlqueue.OnQueue(queue))
						if err != nil || id <= first {
							t.Fatalf("pushed job %d, %v", id, err)
						}
					}
				}
				for range 2 {
					_, err := q.Push(t.Context(), sqlqueue.Named("x", 1), sqlqueue.OnQueue("sms"), sqlqueue.Unique("k"))
					var held *sqlqueue.DuplicateError
					if err != nil && !errors.As(err, &held) {
						t.Fatal(err)
					}
				}
				answer := mustExchange(t, q, driver.Exchange{Limit: 100, Number: "w-1", Reserve: reserve, Everything: true})
				if len(answer.Reserved) != 22 {
					t.Fatalf("reserved %d jobs, want 22", len(answer.Reserved))
				}
				var settle []driver.Settlement
				for _, j := range answer.Reserved {
					switch {
					case j.Queue == "mail" && j.ID != first:
						settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete})
					case j.UniqueKey != "":
						settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: "e"})
					}
				}
				answer = mustExchange(t, q, driver.Exchange{Settle: settle})
				if answer.Lost != nil || answer.Locked != nil {
					t.Errorf("settled with %+v", answer)
				}
				wantCounts(t, q, map[string][2]int64{"mail": {0, 1}, "sms": {0, 5}, "a": {0, 5}, "b": {0, 5}})
				mustExec(t, db, "UPDATE jobs SET expires_at = '-infinity' WHERE reserved AND queue IN ('a', 'b')")
				if answer = mustExchange(t, q, driver.Exchange{Requeue: 100}); answer.Requeued != 10 {
					t.Errorf("requeued %d, want 10", answer.Requeued)
				}
				if n, err := operator.New(q).Retry(t.Context(), operator.FailedFilter{Queue: "sms"}); err != nil || n != 1 {
					t.Errorf("retried %d, %v", n, err)
				}
				var moved int64
				if err := db.QueryRowContext(t.Context(), "SELECT min(id) FROM jobs WHERE queue = 'a'").Scan(&moved); err != nil {
					t.Fatal(err)
				}
				to := "mail" // another partition
				if err := operator.New(q).Edit(t.Context(), moved, operator.JobEdit{Queue: &to}); err != nil {
					t.Error(err)
				}
				wantCounts(t, q, map[string][2]int64{"mail": {1, 1}, "sms": {1, 5}, "a": {4, 0}, "b": {5, 0}})
				if n, err := operator.New(q).Clear(t.Context(), "", true); err != nil || n != 17 {
					t.Errorf("cleared %d, %v, want 17", n, err)
				}
			})
		})
	}
}

// wantCounts compares the ready and the reserved jobs of queues.
func wantCounts(t *testing.T, q *sqlqueue.Queue, want map[string][2]int64) {
	t.Helper()
	infos, err := operator.New(q).Queues(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		if got := [2]int64{info.Ready, info.Reserved}; info.Queue != "" && got != want[info.Queue] {
			t.Errorf("queue %s has %d ready and %d reserved jobs, want %v", info.Queue, got[0], got[1], want[info.Queue])
		}
	}
}

// A server that answers with an error and then with nothing does not hold a worker.
func TestPostgresRollbackHangs(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		config, err := pgxpool.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		var swallowed atomic.Int64
		dial := config.ConnConfig.DialFunc
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &swallowing{Conn: conn, swallowed: &swallowed}, err
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		q, err := pgqueue.New(pool, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		db := s.Open(t, dsn)
		mustExec(t, db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
			`CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()`,
			`INSERT INTO jobs (payload) VALUES ('{"job":"job"}')`)
		x := driver.Exchange{Number: "w-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "default"}}}
		done := make(chan error, 1)
		go func() {
			_, err := q.Exchange(context.WithoutCancel(t.Context()), x)
			done <- err
		}()
		select {
		case err = <-done:
		case <-time.After(time.Minute):
			t.Fatal("the exchange still waits for its rollback")
		}
		if err == nil || !strings.Contains(err.Error(), "no (SQLSTATE P0001)") || swallowed.Load() == 0 {
			t.Errorf("the exchange says %v, and %d rollbacks had no answer", err, swallowed.Load())
		}
		mustExec(t, db, "DROP TRIGGER refuse ON jobs")
		mustExchange(t, q, x)
	})
}

// swallowing is a connection whose server does not answer a rollback.
type swallowing struct {
	net.Conn
	swallowed *atomic.Int64
}

func (c *swallowing) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("ROLLBACK")) {
		c.swallowed.Add(1)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// After an exchange that stood still, before its scan or after it, jobs whose transactions commit late are found by the next.
func TestPostgresLateCommitAfterAStall(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		for _, table := range []string{"failed_jobs", "job_workers"} {
			t.Run(table, func(t *testing.T) { lateCommitAfterAStall(t, s, table) })
		}
	})
}

func lateCommitAfterAStall(t *testing.T, s *servers.Server, table string) {
	t.Helper()
	dsn := migrated(t, s, "")
	q, db := postgresQueue(t, s, dsn), s.Open(t, dsn)
	x := driver.Exchange{Limit: 10, Number: "w-1", Reserve: fromQueue("default", time.Minute)}
	if _, err := q.PushMany(t.Context(), named(1)); err != nil {
		t.Fatal(err)
	}
	answer := mustExchange(t, q, x)
	if len(answer.Reserved) != 1 { // the lane has a mark
		t.Fatalf("reserved %+v", answer.Reserved)
	}
	stall, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stall.Rollback() }()
	if _, err := stall.ExecContext(t.Context(), "LOCK TABLE "+table); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		stalled := x
		stalled.Number, stalled.Everything = "w-2", true
		stalled.Settle = []driver.Settlement{{Reservation: answer.Reserved[0].Reservation(), Outcome: driver.Fail, Error: "no"}}
		_, err := q.Exchange(t.Context(), stalled)
		done <- err
	}()
	for waits := 0; waits == 0; {
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event = 'relation' AND clock_timestamp() - query_start > interval '700 ms'`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := stall.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `INSERT INTO jobs (payload, available_at) VALUES ('{"job":"late"}', now() - interval '10 s')`)
	x.Number = "w-3"
	if answer := mustExchange(t, q, x); len(answer.Reserved) != 1 {
		t.Error("the job that committed late is not found")
	}
}

// Texts cross unchanged, or the session is refused.
func TestPostgresClientEncoding(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		mustExec(t, s.Open(t, dsn),
			`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET client_encoding = LATIN1', current_database()); END $$`)
		pool := (&tables{server: s, dsn: dsn}).pool(t)
		q, err := pgqueue.New(pool, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		sqlTx, err := s.Open(t, dsn).BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sqlTx.Rollback() }()
		for name, do := range map[string]func() error{
			"check":     func() error { return q.Check(t.Context()) },
			"push":      func() error { _, err := q.PushMany(t.Context(), named(1)); return err },
			"pgx.Tx":    func() error { _, err := pgqueue.WithTx(q, tx).PushMany(t.Context(), named(1)); return err },
			"sql.Tx":    func() error { _, err := pgqueue.WithSQLTx(q, sqlTx).PushMany(t.Context(), named(1)); return err },
			"exchange":  func() error { _, err := q.Exchange(t.Context(), driver.Exchange{Requeue: 1}); return err },
			"list":      func() error { _, err := operator.New(q).Jobs(t.Context(), operator.JobFilter{}); return err },
			"operators": func() error { return operator.New(q).Control(t.Context(), "", operator.ControlChange{Resume: true}) },
		} {
			var refused *sqlqueue.RefusedError
			if err := do(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "client_encoding is LATIN1") {
				t.Errorf("%s: got %v, want a refusal", name, err)
			}
		}
		set := postgresQueue(t, s, with(t, dsn, "client_encoding", "UTF8"))
		if _, err := set.Push(t.Context(), sqlqueue.Named("x", "é")); err != nil {
			t.Fatal(err)
		}
		var data string
		if err := s.Open(t, with(t, dsn, "client_encoding", "UTF8")).QueryRowContext(t.Context(), "SELECT payload ->> 'data' FROM jobs").
			Scan(&data); err != nil || data != "é" {
			t.Errorf("another client reads %q, %v", data, err)
		}
	})
}

// What the server refuses for good says what to do; what may pass does not.
func TestPostgresRefusals(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		db := s.Open(t, dsn)
		exchange := func(q *sqlqueue.Queue) error {
			_, err := q.Exchange(t.Context(), driver.Exchange{Limit: 1, Number: "w-1", Reserve: fromQueue("default", time.Minute)})
			return err
		}
		push := func(q *sqlqueue.Queue) error { _, err := q.PushMany(t.Context(), named(1)); return err }
		elsewhere, err := url.Parse(dsn)
		if err != nil {
			t.Fatal("the address of the test's database is not one")
		}
		elsewhere.Path = "/no_such_database"
		for _, c := range []struct {
			dsn, change, back, cure string
		}{
			{with(t, dsn, "role", "pg_monitor"), "", "", "grant the role"},
			{with(t, dsn, "default_transaction_read_only", "on"), "", "", "default_transaction_read_only"},
			{elsewhere.String(), "", "", "create the database"},
			{
				dsn, "ALTER TABLE jobs RENAME COLUMN priority TO urgency", "ALTER TABLE jobs RENAME COLUMN urgency TO priority",
				"not as sqlqueue migrate up makes them",
			},
			{
				dsn, "ALTER TABLE jobs ALTER COLUMN payload TYPE integer USING 0",
				"ALTER TABLE jobs ALTER COLUMN payload TYPE json USING '{}'", "not as sqlqueue migrate up makes them",
			},
		} {
			if c.change != "" {
				mustExec(t, db, "DELETE FROM jobs", c.change)
			}
			q := postgresQueue(t, s, c.dsn)
			for name, do := range map[string]func(*sqlqueue.Queue) error{"exchange": exchange, "push": push} {
				if strings.Contains(c.change, "integer") && name == "exchange" {
					continue // it reads the column as text, whatever it is
				}
				err := do(q)
				var refused *sqlqueue.RefusedError
				if !errors.As(err, &refused) || !strings.Contains(refused.Cure, c.cure) {
					t.Errorf("%s after %q: got %v, want a refusal with the cure %q", name, c.change, err, c.cure)
				}
			}
			if c.back != "" {
				mustExec(t, db, c.back)
			}
		}
		mustExec(t, db, "ALTER TABLE jobs RENAME TO elsewhere")
		if err := exchange(postgresQueue(t, s, dsn)); !errors.Is(err, sqlqueue.ErrNotMigrated) {
			t.Errorf("without the table: %v", err)
		}
	})
}

func TestPostgresNils(t *testing.T) {
	if _, err := pgqueue.New(nil, sqlqueue.Config{}); err == nil || !strings.Contains(err.Error(), "nil") {
		t.Errorf("New without a pool: %v", err)
	}
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	q, err := pgqueue.New(pool, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, bound := range map[string]*sqlqueue.Queue{
		"pgx.Tx": pgqueue.WithTx(q, nil), "*pgxpool.Tx": pgqueue.WithTx(q, (*pgxpool.Tx)(nil)),
		"*sql.Tx": pgqueue.WithSQLTx(q, (*sql.Tx)(nil)),
		"quiet":   pgqueue.Quiet(pgqueue.WithTx(q, pgx.Tx(nil))),
	} {
		if _, err := bound.PushMany(t.Context(), named(1)); err == nil || !strings.Contains(err.Error(), "the transaction is nil") {
			t.Errorf("%s: a push says %v", name, err)
		}
	}
}
