package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// busyTest runs in a bubble with a database file, and a connection that can lock it.
func busyTest(t *testing.T, journal string, test func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn)) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		db := migrate(t, sql.OpenDB(&plainConnector{dsn: address(path, journal)}), "")
		other := must(db.Conn(t.Context()))(t)
		test(t, newQueue(t, db), other)
		_ = other.Close()
		_ = db.Close()
	})
}

// waitsFor tells how long an operation takes when the other connection ends its transaction after ten seconds.
func waitsFor(t *testing.T, other *sql.Conn, operation func() error) time.Duration {
	t.Helper()
	start, done := time.Now(), make(chan error)
	go func() { done <- operation() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
		execute(t, other, "COMMIT")
	case <-time.After(10 * time.Second):
		execute(t, other, "COMMIT")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start)
}

func TestWritesWaitForOtherWriters(t *testing.T) {
	busyTest(t, "WAL", func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn) {
		execute(t, other, "BEGIN IMMEDIATE")
		took := waitsFor(t, other, func() error {
			_, err := q.Push(t.Context(), job)
			return err
		})
		if took < 10*time.Second || took > 10*time.Second+2*mostWait {
			t.Errorf("the push took %v", took)
		}
	})
}

// With a rollback journal, readers keep a writer from committing, and a writer that commits keeps readers out.
func TestRollbackJournal(t *testing.T) {
	busyTest(t, "DELETE", func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn) {
		execute(t, other, "BEGIN EXCLUSIVE")
		if took := waitsFor(t, other, func() error {
			_, err := q.Exchange(t.Context(), reserveOne)
			return err
		}); took < 10*time.Second {
			t.Errorf("the first exchange took %v beside a writer", took)
		}
		execute(t, other, "BEGIN", "SELECT count(*) FROM jobs")
		if took := waitsFor(t, other, func() error {
			_, err := q.Push(t.Context(), job)
			return err
		}); took < 10*time.Second {
			t.Errorf("the push took %v beside a reader", took)
		}
		execute(t, other, "BEGIN EXCLUSIVE")
		if took := waitsFor(t, other, func() error {
			jobs, err := operator.New(q).Jobs(t.Context(), operator.JobFilter{})
			if len(jobs) != 1 {
				t.Errorf("read %d jobs, want 1", len(jobs))
			}
			return err
		}); took < 10*time.Second {
			t.Errorf("the list took %v beside a writer", took)
		}
	})
}

// Those who wait behind the store's own writer give up with it, not a minute later each.
func TestWaitsAMinuteAtMost(t *testing.T) {
	busyTest(t, "WAL", func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn) {
		execute(t, other, "BEGIN IMMEDIATE")
		start, errs := time.Now(), make(chan error)
		for range 3 {
			go func() {
				_, err := q.PushMany(context.Background(), []sqlqueue.Pushable{job, job})
				errs <- err
			}()
		}
		for range 3 {
			if err := <-errs; err == nil || !isBusy(err) {
				t.Errorf("got %v, want SQLITE_BUSY", err)
			}
		}
		if took := time.Since(start); took < busyFor || took > busyFor+2*mostWait {
			t.Errorf("they gave up after %v, want %v", took, busyFor)
		}
		execute(t, other, "ROLLBACK")
		must(q.Push(t.Context(), job))(t)
	})
}

func TestContextEndsTheWait(t *testing.T) {
	busyTest(t, "WAL", func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn) {
		execute(t, other, "BEGIN IMMEDIATE")
		start, errs := time.Now(), make(chan error)
		push := func(timeout time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := q.Push(ctx, job)
			errs <- err
		}
		ends := func(after time.Duration) {
			if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			if took := time.Since(start); took != after {
				t.Errorf("it ended after %v, want %v", took, after)
			}
		}
		go push(2 * time.Second) // waits for the database
		synctest.Wait()
		go push(time.Second) // waits for the first
		ends(time.Second)
		ends(2 * time.Second)

		execute(t, other, "ROLLBACK")
		if jobs := must(operator.New(q).Jobs(t.Context(), operator.JobFilter{}))(t); len(jobs) != 0 {
			t.Errorf("%d jobs were pushed", len(jobs))
		}
	})
}

// The driver itself waits where the application's settings say so. Only what is not in a transaction is in doubt then.
func TestContextEndsTheDriversWait(t *testing.T) {
	for what, test := range map[string]struct {
		jobs    []sqlqueue.Pushable
		unknown bool
	}{
		"a statement":   {[]sqlqueue.Pushable{job}, true},
		"a transaction": {[]sqlqueue.Pushable{job, job}, false},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			synctest.Test(t, func(t *testing.T) {
				db := migrate(t, must(sql.Open("sqlite", address(path, "WAL")+"&_txlock=immediate&_pragma=busy_timeout(10000)"))(t), "")
				other := must(db.BeginTx(t.Context(), nil))(t)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := newQueue(t, db).PushMany(ctx, test.jobs)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the context's error", err)
				}
				if unknown := errors.Is(err, sqlqueue.ErrOutcomeUnknown); unknown != test.unknown {
					t.Errorf("outcome unknown: %v", unknown)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("it ended after %v", took)
				}
				_ = other.Rollback()
				_ = db.Close()
			})
		})
	}
}

// What has not begun is not in doubt.
func TestEndedContext(t *testing.T) {
	db := openFile(t)
	s := newStore(db, "")
	jobs := []driver.NewJob{{Queue: "default", Payload: []byte("{}")}}
	must(s.Push(t.Context(), jobs))(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // it is the store's turn, too: a select may take either
		if _, err := s.Push(ctx, jobs); !errors.Is(err, context.Canceled) || errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
			t.Fatalf("got %v, want the context's error", err)
		}
	}
	tx := sqldb.SQL(prompt{db}, translate)
	const insert = "INSERT INTO jobs (payload) VALUES ('{}') RETURNING id"
	if _, err := tx.Exec(ctx, insert); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if err := sqldb.Each(ctx, tx, insert, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	o := operator.New(must(sqlqueue.New(s, sqlqueue.Config{}))(t))
	if stored := must(o.Jobs(t.Context(), operator.JobFilter{}))(t); len(stored) != 1 {
		t.Errorf("%d jobs were pushed", len(stored)-1)
	}
}

// The first operation prepares the statements. The others wait for that, and for no longer than they may.
func TestContextEndsTheWaitForStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(&plainConnector{dsn: ":memory:"})
		db.SetMaxOpenConns(1)
		q := newQueue(t, migrate(t, db, ""))
		conn := must(db.Conn(t.Context()))(t)
		done := make(chan error)
		go func() {
			_, err := q.Exchange(t.Context(), reserveOne)
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := q.Exchange(ctx, reserveOne); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it ended after %v", took)
		}
		_ = conn.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
}

// Some drivers only say that a statement was interrupted.
func TestEndOfContextIsTold(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause, interrupted := errors.New("shutdown"), errors.New("interrupted")
	cancel(cause)
	err := whileBusy(ctx, time.Now(), func() error { return interrupted })
	if !errors.Is(err, cause) || !errors.Is(err, interrupted) {
		t.Errorf("got %v", err)
	}
}

func TestIdleExchangeOnlyReads(t *testing.T) {
	busyTest(t, "WAL", func(t *testing.T, q *sqlqueue.Queue, other *sql.Conn) {
		must(q.Later(t.Context(), time.Hour, job))(t)
		start := time.Now()
		execute(t, other, "BEGIN IMMEDIATE")
		answer := must(q.Exchange(t.Context(), reserveOne))(t)
		if took := time.Since(start); took != 0 {
			t.Errorf("an exchange with nothing to do waited for %v", took)
		}
		if !answer.NextDue.Equal(start.Add(time.Hour)) {
			t.Errorf("next due at %v, want %v", answer.NextDue, start.Add(time.Hour))
		}
		execute(t, other, "COMMIT")

		for what, prepare := range map[string]string{
			"a due job":              "UPDATE jobs SET available_at = 0",
			"an expired reservation": "UPDATE jobs SET reserved = 1, reserved_at = 0, reserved_by = 'x', expires_at = 1",
		} {
			execute(t, other, prepare, "BEGIN IMMEDIATE")
			var answer driver.Exchanged
			took := waitsFor(t, other, func() (err error) {
				x := reserveOne
				x.Reserve = []driver.Reserve{{Queue: "default"}} // never expires
				answer, err = q.Exchange(t.Context(), x)
				return err
			})
			if took < 10*time.Second || len(answer.Reserved) != 1 {
				t.Errorf("%s: %d jobs were reserved after %v", what, len(answer.Reserved), took)
			}
			execute(t, other, "UPDATE jobs SET reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL")
		}
	})
}

// A pool of one connection is enough, with a driver that knows only what it must, and the end of a context does not cost that connection
// and with it the database.
func TestInMemoryOnOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(&plainConnector{dsn: ":memory:"})
		db.SetMaxOpenConns(1)
		s := newStore(migrate(t, db, ""), "")
		q := must(sqlqueue.New(s, sqlqueue.Config{}))(t)

		const insert = "INSERT INTO jobs (payload) VALUES ('{}')"
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Tx(ctx, func(tx sqldb.DB) error {
			if _, err := tx.Exec(ctx, insert); err != nil {
				return err
			}
			cancel()
			synctest.Wait() // for what database/sql does at the end of a context
			_, err := tx.Exec(ctx, insert)
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}

		id := must(q.Push(t.Context(), job))(t)
		answer := must(q.Exchange(t.Context(), reserveOne))(t)
		if len(answer.Reserved) != 1 || answer.Reserved[0].ID != id {
			t.Fatalf("reserved %+v, want job %d alone", answer.Reserved, id)
		}
		if err := q.Delete(t.Context(), answer.Reserved[0]); err != nil {
			t.Error(err)
		}
		if queues := must(operator.New(q).Queues(t.Context(), 0))(t); len(queues) != 0 {
			t.Errorf("left over: %+v", queues)
		}
		_ = db.Close()
	})
}

// A program that makes a Queue for each request does not fill its connections with prepared statements.
func TestPreparedStatementsEndWithTheQueue(t *testing.T) {
	connector := &plainConnector{dsn: ":memory:"}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	migrate(t, db, "")
	before := connector.statements.Load()
	must(newQueue(t, db).Push(t.Context(), job))(t)
	if connector.statements.Load() == before {
		t.Fatal("nothing was prepared")
	}
	for connector.statements.Load() > before {
		if t.Context().Err() != nil {
			t.Fatal("statements are left")
		}
		runtime.GC()
	}
}
