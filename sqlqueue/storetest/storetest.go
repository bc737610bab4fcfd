// Package storetest has the conformance suite that every driver.Store must pass, and a benchmark of stores.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) storetest.Database { … }, storetest.Parallel)
//	}
//
// Each case tells its reason when it fails. While a case runs, everything that its clients ask and are answered is recorded, and
// afterwards that history is compared with the tables: no reservation is given twice, no job is in both tables, attempts fall only
// when a reservation is given back by its holder, a lost reservation changes nothing, nothing vanishes that nobody settled,
// cancelled or cleared.
package storetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Database is a database that a case runs on: migrated, its tables empty. All fields but Placeholder are needed.
type Database struct {
	// Open returns a Queue over a new store: another process's, as far as a test can tell. It is called several times in a case, and
	// closes what it opened when the test ends.
	Open func(tb testing.TB) *sqlqueue.Queue

	// SQL reaches the same tables, past the store. At least three connections of it must be usable at once.
	SQL *sql.DB

	// Table returns the name of a table as it stands in SQL: with the schema and the prefix, quoted.
	Table func(name string) string

	// Placeholder is how SQL writes the nth argument, from 1. Nil: a question mark.
	Placeholder func(n int) string

	// Transactions are the ways in which callers bring transactions of their own. The cases about them run with each.
	Transactions []Transactions

	// RowLocks says that transactions lock rows, so that writers wait only for writers of the same rows. Where it is false, as on
	// SQLite, the cases about locked rows test what holds there instead, and say so.
	RowLocks bool

	// OddIDs says that the schema cannot refuse ids below 1 and beyond int64: MySQL has no CHECK of an AUTO_INCREMENT. Rows with such ids
	// are passed over, and need not be listed.
	OddIDs bool

	patience time.Duration // for what must happen soon; 0: patience
	short    bool          // what takes long is skipped
}

// Transactions is a way in which callers bring transactions of their own.
type Transactions struct {
	Name string // such as "pgx.Tx"

	// Begin starts a transaction on the tables of Database, and returns it with q bound to it.
	Begin func(ctx context.Context, q *sqlqueue.Queue) (*sqlqueue.Queue, Tx, error)
}

// Tx is a caller's transaction.
type Tx interface {
	// Exec runs one statement without arguments.
	Exec(ctx context.Context, query string) error
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

// SQLTransactions is the way through a *sql.Tx of db: withTx binds a Queue to it. withTx gets no more of it than it needs, as from an ORM.
func SQLTransactions(name string, db *sql.DB, withTx func(*sqlqueue.Queue, sqldb.Executor) *sqlqueue.Queue) Transactions {
	return Transactions{Name: name, Begin: func(ctx context.Context, q *sqlqueue.Queue) (*sqlqueue.Queue, Tx, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, nil, err
		}
		return withTx(q, executor{tx}), sqlTx{tx}, nil
	}}
}

// executor hides all but the two methods of an sqldb.Executor.
type executor struct{ sqldb.Executor }

type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) Exec(ctx context.Context, query string) error {
	_, err := t.tx.ExecContext(ctx, query)
	return err
}

func (t sqlTx) Commit(context.Context) error   { return t.tx.Commit() }
func (t sqlTx) Rollback(context.Context) error { return t.tx.Rollback() }

// subjects are the parts of the suite.
var subjects = []struct {
	name  string
	cases []testCase
}{
	{"schema", schemaCases},
	{"push", pushCases},
	{"reserve", reserveCases},
	{"lanes", laneCases},
	{"settle", settleCases},
	{"next", nextCases},
	{"finished", finishedCases},
	{"batches", batchCases},
	{"schedules", scheduleCases},
	{"encryption", encryptionCases},
	{"fence", fenceCases},
	{"expire", expireCases},
	{"unique", append(uniqueCases, uniqueModeCases...)},
	{"failed", failedCases},
	{"operator", operatorCases},
	{"search", searchCases},
	{"counts", countsCases},
	{"errors", runErrorCases},
	{"names and sizes", namesCases},
	{"operations", operationCases},
	{"subscriptions", subscriptionCases},
	{"control", controlCases},
	{"limits", limitsCases},
	{"badrows", badRowsCases},
	{"extremes", extremesCases},
	{"bounds", boundsCases},
	{"transaction", transactionCases},
	{"listen", listenCases},
	{"locks", lockCases},
	{"concurrency", concurrencyCases},
}

// testCase is one thing that a store must do.
type testCase struct {
	name   string // begins with the rows of the mission that it shows, if any
	reason string // what goes wrong for users of a store that does not do it
	test   func(f *fixture)
}

// Option changes how Run runs the suite.
type Option func(*options)

type options struct{ parallel, short, withoutConcurrency bool }

// Parallel runs cases at once, as many as go test's -parallel says. Open must then give each case a database that no other case has.
func Parallel(o *options) { o.parallel = true }

// WithoutLong skips the cases that take long: megabytes, and every extreme in every column. It is for a further run on the same engine:
// with a prefix, or other settings of sessions.
func WithoutLong(o *options) { o.short = true }

// WithoutConcurrency skips what [RunConcurrency] runs. It is for a further run on the same engine with as many connections.
func WithoutConcurrency(o *options) { o.withoutConcurrency = true }

// Run runs the whole suite. Open is called for each case: it returns a new database, or one whose tables it has emptied.
func Run(t *testing.T, open func(tb testing.TB) Database, how ...Option) {
	var o options
	for _, option := range how {
		option(&o)
	}
	for _, subject := range subjects {
		t.Run(subject.name, func(t *testing.T) {
			if o.parallel {
				t.Parallel()
			}
			if o.withoutConcurrency && subject.name == "concurrency" {
				t.Skip("another run on this engine has it")
			}
			runCases(t, subject.cases, open, o)
		})
	}
}

// RunConcurrency runs only the part of the suite in which many clients work at once: for further kinds of servers and connections.
func RunConcurrency(t *testing.T, open func(tb testing.TB) Database) {
	runCases(t, concurrencyCases, open, options{})
}

func runCases(t *testing.T, cases []testCase, open func(tb testing.TB) Database, o options) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if o.parallel {
				t.Parallel()
			}
			c.run(t, func(tb testing.TB) Database {
				db := open(tb)
				db.short = o.short
				return db
			})
		})
	}
}

func (c testCase) run(tb testing.TB, open func(tb testing.TB) Database) {
	f := newFixture(tb, open(tb))
	defer func() {
		f.checkHistory()
		if tb.Failed() {
			tb.Logf("why it matters: %s", c.reason)
		}
	}()
	c.test(f)
}
