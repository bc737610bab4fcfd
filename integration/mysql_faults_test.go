package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// TestMySQLBytes: payloads are fetched up to a number of bytes, in order, and what does not fit is neither reserved nor sent.
func TestMySQLBytes(t *testing.T) {
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var received atomic.Int64
		tapped := tap{received: func(p []byte) { received.Add(int64(len(p))) }}
		q := mysqlQueue(t, tapped.open(t, dsn))
		const size, n = 100_000, 20
		var ids []int64
		for i := range n {
			id, err := q.Push(t.Context(), sqlqueue.Named("x", strings.Repeat("x", size)), sqlqueue.Priority(i/10))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		var got []int64
		for i, c := range []struct {
			bytes int64
			want  int
		}{{1, 1}, {3*size + size/2, 3}, {size, 1}, {7 * size, 6}, {0, 9}} {
			received.Store(0)
			answer := mustExchange(t, q, driver.Exchange{
				Number: fmt.Sprint("w-", i), Limit: 100, Bytes: c.bytes, Reserve: fromQueue("default", time.Hour), Everything: true,
			})
			for _, j := range answer.Reserved {
				got = append(got, j.ID)
				if len(j.Payload) < size {
					t.Errorf("job %d has a payload of %d bytes", j.ID, len(j.Payload))
				}
			}
			if len(answer.Reserved) != c.want || answer.Everything != (c.bytes == 0) {
				t.Errorf("%d bytes: %d jobs, everything %v; want %d", c.bytes, len(answer.Reserved), answer.Everything, c.want)
			}
			if most := int64(2*size) + 2*c.bytes; c.bytes > 0 && received.Load() > most {
				t.Errorf("%d bytes: received %d", c.bytes, received.Load())
			}
			if c.bytes > 0 && answer.NextDue.After(answer.Now) {
				t.Errorf("%d bytes: the next is due at %v, now is %v", c.bytes, answer.NextDue, answer.Now)
			}
		}
		if !slices.Equal(got, ids) {
			t.Errorf("got %v, pushed %v", got, ids)
		}
	})
}

// TestMySQLDuplicateOfATrigger: an error of somebody's own index is not taken for a unique key that is held, with which callers may be
// content.
func TestMySQLDuplicateOfATrigger(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		mustExec(t, db, "CREATE TABLE theirs (queue VARCHAR(191), UNIQUE KEY jobs_unique_too (queue))",
			"CREATE TRIGGER t BEFORE INSERT ON jobs FOR EACH ROW INSERT INTO theirs VALUES (NEW.queue)")
		q := mysqlQueue(t, db)
		push := func(key string) error {
			_, err := q.Push(t.Context(), sqlqueue.Named("x", nil), sqlqueue.Unique(key))
			return err
		}
		if err := push("a"); err != nil {
			t.Fatal(err)
		}
		var duplicate *sqlqueue.DuplicateError
		if err := push("b"); err == nil || errors.As(err, &duplicate) {
			t.Errorf("a push that the trigger refuses: %v", err)
		}
		if err := push("a"); !errors.As(err, &duplicate) {
			t.Errorf("a push of a key that is held: %v", err)
		}
	})
}

// TestMySQLRollbackHangs: a transaction whose ROLLBACK is never answered ends within seconds, with the error that made it end.
func TestMySQLRollbackHangs(t *testing.T) {
	eachMySQL(t, func(t *testing.T, _ *servers.Server, dsn string) {
		var hang atomic.Bool
		hung := false
		tapped := tap{sent: func(statement string) (string, bool) {
			if hang.Load() && strings.HasPrefix(statement, "ROLLBACK") {
				hung = true
				return "DO SLEEP(60)" + strings.Repeat(" ", len(statement)-len("DO SLEEP(60)")), true
			}
			return statement, true
		}}
		q := mysqlQueue(t, tapped.open(t, dsn))
		if err := q.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		hang.Store(true)
		start := time.Now()
		err := q.Beat(t.Context(), driver.Beat{Worker: driver.Worker{ID: "w", Name: strings.Repeat("x", 300)}})
		var refused *sqlqueue.RefusedError
		if !errors.As(err, &refused) || !hung {
			t.Errorf("the error is %v; ROLLBACK was sent: %v", err, hung)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestMySQLRefused: what the server refuses for good is said so, with what to do.
func TestMySQLRefused(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		readOnly := map[string]string{"mysql": "transaction_read_only", "mariadb": "tx_read_only"}[s.Engine]
		_, err := mysqlQueue(t, s.Open(t, with(t, dsn, readOnly, "1"))).Push(t.Context(), sqlqueue.Named("x", nil))
		var refused *sqlqueue.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Cure, "transaction_read_only") {
			t.Errorf("a push in a read-only session: %v", err)
		}
		mustExec(t, db, "ALTER TABLE jobs DROP COLUMN exceptions")
		if _, err := q.Push(t.Context(), sqlqueue.Named("x", nil)); err != nil {
			t.Fatal(err)
		}
		_, err = q.Exchange(t.Context(), driver.Exchange{Number: "w-1", Limit: 1, Reserve: fromQueue("default", time.Minute)})
		if !errors.As(err, &refused) || !strings.Contains(refused.Cure, "sqlqueue migrate up") {
			t.Errorf("a reserve without a column: %v", err)
		}
	})
}

// TestMySQLMigrateWaits: migrations wait for each other whatever the session says about the time of statements, and leave no session
// changed.
func TestMySQLMigrateWaits(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		limit := map[string][2]string{"mysql": {"max_execution_time", "1000"}, "mariadb": {"max_statement_time", "1"}}[s.Engine]
		if limit[0] == "" {
			t.Skip("for MySQL and MariaDB")
		}
		dsn := s.NewDatabase(t)
		holder, err := s.Open(t, dsn).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = holder.Close() }()
		db := s.Open(t, with(t, with(t, dsn, limit[0], limit[1]), "sql_mode", "'ANSI_QUOTES'"))
		db.SetMaxOpenConns(1)
		before := variables(t, db)
		m, err := migrations.New(db, migrations.MySQL, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Version(t.Context()); err != nil { // it makes nothing, and waits for nothing
			t.Fatal(err)
		}
		var lock string
		if err := holder.QueryRowContext(
			t.Context(), "SELECT LEFT(CONCAT('sqlqueue_migrations_', SHA2(CONCAT(LOWER(DATABASE()), '/sqlqueue_migrations'), 256)), 64)",
		).Scan(&lock); err != nil {
			t.Fatal(err)
		}
		if _, err := holder.ExecContext(t.Context(), "DO GET_LOCK('"+lock+"', 0)"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := m.Up(t.Context())
			done <- err
		}()
		for waited := 0; waited < 75; { // longer than the limit
			select {
			case err := <-done:
				t.Fatalf("migrate did not wait: %v", err)
			default:
			}
			var waits, slept int
			if err := holder.QueryRowContext(t.Context(), "SELECT COUNT(*), SLEEP(0.02) FROM information_schema.processlist "+
				"WHERE info LIKE '%GET_LOCK(''"+lock+"''%' AND id <> CONNECTION_ID()").Scan(&waits, &slept); err != nil {
				t.Fatal(err)
			}
			waited += waits
		}
		if _, err := holder.ExecContext(t.Context(), "DO RELEASE_LOCK('"+lock+"')"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		for name, value := range variables(t, db) {
			if before[name] != value && name != "pseudo_thread_id" { // of another connection
				t.Errorf("%s was %q and is %q", name, before[name], value)
			}
		}
	})
}

// TestMySQLRetryBesidePush: a failed job whose key another transaction takes at the same moment stays, and the others of the page are
// retried. An edit that moves a job to the queue of such a key says who has it.
func TestMySQLRetryBesidePush(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		for _, key := range []string{"a", "b", "c"} {
			mustExec(t, db,
				"INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, unique_key, error, stack, created_at) "+
					"VALUES (1, 'mail', 0, '{}', 1, '"+key+"', '', '', UTC_TIMESTAMP(6))")
		}
		moved, err := q.Push(t.Context(), sqlqueue.Named("x", nil), sqlqueue.OnQueue("other"), sqlqueue.Unique("z"))
		if err != nil {
			t.Fatal(err)
		}
		to := "mail"
		for name, c := range map[string]struct {
			key string
			do  func() error
		}{
			"retry": {"b", func() error {
				n, err := operator.New(q).Retry(t.Context(), operator.FailedFilter{})
				if n != 2 {
					t.Errorf("retried %d, want 2", n)
				}
				return err
			}},
			"edit": {"z", func() error { return operator.New(q).Edit(t.Context(), moved, operator.JobEdit{Queue: &to}) }},
		} {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(),
				"INSERT INTO jobs (queue, payload, unique_key) VALUES ('mail', '{}', '"+c.key+"')"); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- c.do() }()
			// until it waits for the key; the server renews what it says only when nobody has asked for 0.1 s
			for waits, slept := 0, 0; waits == 0; {
				if err := db.QueryRowContext(t.Context(), "SELECT SLEEP(0.15), (SELECT COUNT(*) FROM information_schema.innodb_trx"+
					" JOIN information_schema.processlist p ON p.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' "+
					"AND p.db = DATABASE())").Scan(&slept, &waits); err != nil {
					t.Fatal(err)
				}
				if len(done) > 0 {
					t.Fatalf("%s did not wait: %v", name, <-done)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			var duplicate *sqlqueue.DuplicateError
			if err := <-done; !errors.As(err, &duplicate) || len(duplicate.Duplicates) != 1 || duplicate.Duplicates[0].Key != c.key ||
				duplicate.Duplicates[0].Holder == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestMySQLLateCommitAfterAStall: a scan that stood still does not keep the next one that begins at the start of a lane waiting for long.
// So a job whose transaction commits late is found soon.
func TestMySQLLateCommitAfterAStall(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		mustExchange(t, q, driver.Exchange{Number: "w-0"})
		if _, err := mysqlQueue(t, db).Push(t.Context(), sqlqueue.Named("first", nil)); err != nil {
			t.Fatal(err)
		}
		stall, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stall.Close() }()
		if _, err := stall.ExecContext(t.Context(), "LOCK TABLES jobs WRITE"); err != nil {
			t.Fatal(err)
		}
		type answered struct {
			driver.Exchanged
			err error
		}
		done := make(chan answered, 1)
		go func() {
			answer, err := q.Exchange(t.Context(), driver.Exchange{Number: "w-1", Limit: 10, Reserve: fromQueue("default", time.Hour)})
			done <- answered{answer, err}
		}()
		for waits, slept := 0, 0; waits == 0; {
			if err := db.QueryRowContext(t.Context(), "SELECT SLEEP(0.05), COUNT(*) FROM information_schema.processlist"+
				" WHERE db = DATABASE() AND state LIKE 'Waiting for table%' AND time >= 2").Scan(&slept, &waits); err != nil {
				t.Fatal(err)
			}
			if len(done) > 0 {
				t.Fatalf("the exchange did not wait: %+v", <-done)
			}
		}
		if _, err := stall.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
			t.Fatal(err)
		}
		if first := <-done; first.err != nil || len(first.Reserved) != 1 { // so the lane has a mark
			t.Fatalf("the exchange that stood still: %+v", first)
		}
		mustExec(t, db, `INSERT INTO jobs (payload, available_at) VALUES ('{"job":"late"}', UTC_TIMESTAMP(6) - INTERVAL 10 SECOND)`)
		for n := 2; ; n++ {
			answer := mustExchange(t, q, driver.Exchange{Number: fmt.Sprint("w-", n), Limit: 10, Reserve: fromQueue("default", time.Hour)})
			if len(answer.Reserved) == 1 {
				break
			}
			if again := answer.NextDue.Sub(answer.Now); answer.NextDue.IsZero() || again > 2*time.Second {
				t.Fatalf("the late job is looked for again in %v, want 2 s at most", again)
			}
		}
	})
}

// TestMySQLOutcomeRefused: an outcome that the server does not take ends no worker and holds up no other outcome.
func TestMySQLOutcomeRefused(t *testing.T) {
	eachMySQL(t, func(t *testing.T, s *servers.Server, dsn string) {
		db := s.Open(t, dsn)
		q := mysqlQueue(t, db)
		mustExec(t, db, "ALTER TABLE failed_jobs MODIFY error VARCHAR(100) NOT NULL")
		const jobs = 20
		for i := range jobs {
			if _, err := q.Push(t.Context(), sqlqueue.Named("x", i)); err != nil {
				t.Fatal(err)
			}
		}
		long := strings.Repeat("long ", 100)
		mux := worker.NewMux()
		mux.HandleFunc("x", func(_ context.Context, j *worker.Job[json.RawMessage]) error {
			if string(j.Data) == "7" {
				return errors.New(long)
			}
			return errors.New("short")
		})
		w := worker.New(q, mux, worker.Config{Concurrency: jobs, Tries: 1, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)})
		if err := w.Run(t.Context()); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
		var failed, replaced, left int
		if err := db.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM failed_jobs WHERE error LIKE '%short%'),"+
			" (SELECT COUNT(*) FROM failed_jobs WHERE error LIKE 'the database refused%'), (SELECT COUNT(*) FROM jobs)").
			Scan(&failed, &replaced, &left); err != nil {
			t.Fatal(err)
		}
		if failed != jobs-1 || replaced != 1 || left != 0 {
			t.Errorf("%d failed with their error, %d with one in its place, %d are left; want %d, 1, 0", failed, replaced, left, jobs-1)
		}
	})
}
