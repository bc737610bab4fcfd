// Package sqlqueuetest helps applications to test what they push, and what their handlers do.
//
//	q := sqlqueuetest.New(t, sqlqueue.Config{})
//	shop := NewShop(q.Queue)                                                   // the code under test
//	shop.Order(42)
//	q.AssertPushed(SendInvoice{OrderID: 42}, sqlqueue.OnQueue("mail"))         // and on failure, what was pushed instead
//	if got := q.RunOne(shop.Mux()); got.Outcome != sqlqueuetest.Processed { … } // through a real worker
//	q.Advance(time.Hour)                                                       // an hour passes at once
//
// The queue is a real one, in an SQLite file of its own (modernc.org/sqlite, which registers itself as "sqlite"). It needs no set-up,
// and takes about a millisecond. A program that has another driver of that name, such as glebarez/go-sqlite, builds with the tag
// sqlqueue_nosqlite: then the queue uses that one. Any number of them work side by side, also in bubbles of package testing/synctest.
//
// # Transactions
//
// Code that pushes through pgqueue.WithTx, pgqueue.WithSQLTx or mysqlqueue.WithTx works too: what it pushes is there at once, whatever
// becomes of the transaction, which may also be nil. Jobs that must not be pushed when a transaction rolls back are shown by a test on
// the real database. sqlitequeue.WithTx with a transaction on DB binds as always.
package sqlqueuetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Queue is a queue of a test, of which Queue.Queue is for the code under test. Its own methods fail the test when something is wrong;
// like those of testing.TB that do, they are for the test's goroutine. The rest is safe for concurrent use.
type Queue struct {
	*sqlqueue.Queue

	// Worker has the settings with which RunOne and RunUntilEmpty run jobs. Of its defaults three differ: Queues are all that there
	// are, by name; Concurrency is 1; and Logger is the test's output. Once, StopWhenEmpty, MaxJobs and Events do not count.
	Worker worker.Config

	t  testing.TB
	db *sql.DB
}

// New returns an empty queue, which the end of the test removes. The Config's Prefix and Schema do not count.
func New(t testing.TB, config sqlqueue.Config) *Queue {
	t.Helper()
	config.Prefix, config.Schema = "", ""
	file, err := tables()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err == nil {
		err = os.WriteFile(path, file, 0o600)
	}
	if err != nil {
		t.Fatalf("sqlqueuetest: %v", err)
	}
	db, err := open(path)
	if err != nil {
		t.Fatalf("sqlqueuetest: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	q, err := sqlitequeue.New(db, config)
	if err != nil {
		t.Fatalf("sqlqueuetest: %v", err)
	}
	q = q.Bind(func(s driver.Store) (driver.Store, error) { return store{s}, nil })
	return &Queue{Queue: q, t: t, db: db}
}

// DB returns the database. A test may make tables of its own there.
func (q *Queue) DB() *sql.DB { return q.db }

// store is SQLite's, which the transactions of other databases leave as it is.
type store struct{ driver.Store }

// Unwrap returns SQLite's.
func (s store) Unwrap() driver.Store { return s.Store }

// Bind is called by sqlqueue.Queue.Bind.
func (s store) Bind(bind func(driver.Store) (driver.Store, error)) (driver.Store, error) {
	bound, err := bind(s.Store)
	if err != nil {
		return s, nil //nolint:nilerr // the transaction is not of this database, or nil
	}
	return store{bound}, nil
}

// Advance makes d pass at once: all that is in the tables becomes older by d. So delayed jobs become available, as do those that wait
// after an error, reservations expire, pauses end, unique keys for a time are free, and RetryUntil passes. Go's clock stays as it is, and
// so do times in jobs' data and schedules, which go by that clock: see RunSchedulesUntil.
func (q *Queue) Advance(d time.Duration) {
	q.t.Helper()
	for _, statement := range advance {
		if _, err := q.db.ExecContext(q.ctx(), statement, d.Microseconds()); err != nil {
			q.t.Fatalf("sqlqueuetest: Advance: %v", err)
		}
	}
}

// advance moves every time back by ?1 microseconds.
var advance = []string{
	`UPDATE jobs SET available_at = available_at - ?1, created_at = created_at - ?1, reserved_at = reserved_at - ?1, ` +
		`expires_at = expires_at - ?1`,
	`UPDATE failed_jobs SET created_at = created_at - ?1, failed_at = failed_at - ?1`,
	`UPDATE job_cancelled SET available_at = available_at - ?1, created_at = created_at - ?1, cancelled_at = cancelled_at - ?1`,
	`UPDATE job_queues SET paused_until = paused_until - ?1`,
	`UPDATE job_once SET held_until = held_until - ?1`,
	`UPDATE job_permits SET tat = tat - ?1`,
	`UPDATE job_workers SET started_at = started_at - ?1, seen_at = seen_at - ?1`,
	fmt.Sprintf(advanceRetryUntil, "jobs"),
	fmt.Sprintf(advanceRetryUntil, "failed_jobs"),
}

const advanceRetryUntil = `UPDATE %s SET payload = json_set(payload, '$.retry_until',
	strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', json_extract(payload, '$.retry_until'), printf('%%.6f seconds', ?1 / -1e6)))
	WHERE strftime('%%s', json_extract(payload, '$.retry_until')) IS NOT NULL`

// ctx lasts as long as the queue, a little longer than the test's own.
func (q *Queue) ctx() context.Context { return context.WithoutCancel(q.t.Context()) }
