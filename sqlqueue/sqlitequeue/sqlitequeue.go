// Package sqlitequeue keeps a queue in SQLite, 3.35 or newer, through whatever driver the application uses: modernc.org/sqlite,
// mattn/go-sqlite3 or ncruces/go-sqlite3. It imports none.
//
// # What to set
//
// The settings of a connection are the application's, in the address that it opens. With modernc.org/sqlite:
//
//		sql.Open("sqlite", "file:app.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"+
//			"&_pragma=synchronous(NORMAL)&_txlock=immediate")
//
//	  - journal_mode WAL: readers and the writer do not wait for each other. In the other modes the queue works too, but a read may have
//	    to wait for a write, and a write for reads.
//	  - busy_timeout, in milliseconds: how long the application's own transactions wait for the one writer that there can be. The
//	    queue's operations do not need it.
//	  - synchronous NORMAL, with WAL: what was committed survives the death of the process. After a power cut the last commits may be
//	    missing, whole. FULL keeps them too: it makes single pushes about five times slower, and costs next to nothing in batches.
//	  - The application's transactions should begin as writers (_txlock=immediate) if they push: see [WithTx].
//
// # One writer
//
// SQLite has one writer at a time. What writes is a single statement, or a transaction that becomes the writer before it reads, on a
// connection that it takes from the pool and gives back. Operations of one Queue come one after the other, and wait up to a minute for
// writers elsewhere, in this process and in others; then the error is the driver's SQLITE_BUSY. An exchange that finds nothing to do only
// reads.
//
// No operation needs two connections, so a pool of one works, and so does a database in memory on one connection. There an operation
// waits for as long as the application has the connection: inside the application's own transaction, use WithTx.
//
// A context that ends rolls back what is not committed, and COMMIT itself is not interrupted. Only a push of a single job is in doubt, and
// returns [sqlqueue.ErrOutcomeUnknown], when its context ends under way: it is a statement without a transaction around it.
//
// # The file
//
// Once a second an operation looks whether the file is still the one that was opened. When it was replaced or deleted, as by a backup
// that is restored, every further operation returns a [sqlqueue.RefusedError]: what is written through the open connections would be lost.
//
// # Time
//
// Times are those of Go's clock, in microseconds; processes that share a database run on one host and have the same. So the queue also
// works in the bubble of package testing/synctest.
package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// New returns a Queue in the database, whose tables Check looks for. It does not change the database or its settings, and does not
// connect. The caller closes db.
func New(db *sql.DB, config sqlqueue.Config) (*sqlqueue.Queue, error) {
	if db == nil {
		return nil, errors.New("sqlitequeue: New: the database is nil")
	}
	if config.Schema != "" {
		return nil, fmt.Errorf("sqlitequeue: New: SQLite has no schema %q: open another file, or use a table prefix", config.Schema)
	}
	return sqlqueue.New(newStore(db, config.Prefix), config)
}

// WithTx returns q bound to a transaction on the same database: what it does happens if and only if the caller commits. Use it in one
// goroutine, as tx itself, and until tx ends. It is a *sql.Tx, or what GORM (tx.Statement.ConnPool, also with PrepareStmt), sqlx, ent, bun
// and the like have in its place. Of an Exchange only Settle is allowed. If q is not of this package, every operation of
// the returned Queue says so.
//
// With the first operation that writes, and with Hold, since there are no locks on rows, the transaction becomes the database's writer:
// every other writer, workers' heartbeats too, waits until it ends. Keep it short from there on.
//
// Nothing is repeated in the caller's transaction. When another writer is not done within busy_timeout, the error is the driver's
// SQLITE_BUSY; so it is, at once, when a deferred transaction has begun with a read and others have written since. The caller then
// rolls back and begins again. A transaction that begins as a writer does not meet the second case.
func WithTx(q *sqlqueue.Queue, tx sqldb.Executor) *sqlqueue.Queue {
	return q.Bind(func(s driver.Store) (driver.Store, error) {
		own, ok := driver.As[*store](s)
		if !ok {
			return nil, errors.New("sqlitequeue: WithTx: the queue is not kept in SQLite: it was not made by sqlitequeue.New")
		}
		if err := sqldb.CheckTx(tx); err != nil {
			return nil, fmt.Errorf("sqlitequeue: WithTx: %w", err)
		}
		return own.bind(tx), nil
	})
}

// store is the driver.Store.
type store struct {
	*sqldb.Database
	tx       func(ctx context.Context, f func(sqldb.Executor) error) error // Database.Tx, with what it runs on
	pool     *sql.DB
	sql      *statements
	lanes    *lane.Set
	places   *lane.Places
	controls *lane.Controls
	turns    *turn.Turns
	writer   chan struct{} // holds one element while a transaction of the store's own is under way
	bound    bool          // to a caller's transaction
	file     *file
}

var (
	_ driver.Store        = (*store)(nil)
	_ driver.SingleWriter = (*store)(nil)
)

// SingleWriter implements driver.SingleWriter.
func (*store) SingleWriter() {}

func newStore(db *sql.DB, prefix string) *store {
	s := &store{
		pool: db, lanes: &lane.Set{}, places: &lane.Places{}, controls: &lane.Controls{},
		turns: &turn.Turns{}, writer: make(chan struct{}, 1), file: &file{},
	}
	s.tx = s.write
	s.Database = &sqldb.Database{
		Dialect: dialect, Prefix: prefix, DB: reader{sqldb.SQL(db, translate)}, Tx: onDB(s.tx), Within: s.within, Insert: s.pushIn,
	}
	s.sql = newStatements(s.Names(dialect.Quote, dialect.Quote))
	return s
}

// SQL implements sqldb.Store.
func (s *store) SQL() *sqldb.Database { return s.Database }

func (s *store) bind(tx sqldb.Executor) *store {
	bound := *s
	bound.bound = true
	bound.tx = func(ctx context.Context, f func(sqldb.Executor) error) error { return s.asWriter(ctx, tx, f) }
	database := *s.Database
	database.Bound = true
	database.DB = sqldb.SQL(tx, translate)
	database.Tx, database.Within, database.Insert = onDB(bound.tx), bound.within, bound.pushIn
	bound.Database = &database
	return &bound
}

func onDB(tx func(context.Context, func(sqldb.Executor) error) error) func(context.Context, func(sqldb.DB) error) error {
	return func(ctx context.Context, f func(sqldb.DB) error) error {
		return tx(ctx, func(e sqldb.Executor) error { return f(sqldb.SQL(e, translate)) })
	}
}

var dialect = sqldb.Dialect{
	Quote:       `"`,
	Level:       "instr(queue, '/') > 0",
	Placeholder: func(n int) string { return fmt.Sprintf("?%d", n) },
	Time:        "%s",
	Micros:      "%s",
	Sum:         "total",                 // sum fails beyond 2^63
	Payload:     "CAST(payload AS TEXT)", // a driver may have bound it as bytes
	Plain: `length(CAST(payload AS TEXT)) - length(replace(payload, '"job"', '')) <= length('"job"')` +
		` AND instr(payload, '\u006') = 0` + // as in escapes of j, o and b
		` AND instr(payload, '\u0000') = 0 AND instr(payload, '\ud') = 0 AND instr(payload, '\uD') = 0`,
	Name:       "CASE json_type(payload, '$.job') WHEN 'text' THEN json_extract(payload, '$.job') END",
	Field:      field,
	Text:       "%s",
	Like:       "%[1]s GLOB %[2]s", // LIKE takes A for a
	Pattern:    globPattern,
	Waiting:    " AND NOT reserved",
	Reserved:   "reserved",
	OnConflict: " ON CONFLICT DO NOTHING",
	KeepHeld:   " ON CONFLICT (queue, unique_key) WHERE unique_key IS NOT NULL DO NOTHING",
	KeyHeld:    keyHeld,
	Paged:      " NOT INDEXED",
}

// field is sqldb.Dialect.Field. Of members of the same name json_extract takes the first, and json_each lists all.
func field(arg func(any) string, keys []string) string {
	const text = "CASE %s WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null' ELSE CAST(%s AS TEXT) END"
	last := "payload"
	for i, key := range keys {
		value := "CASE type WHEN 'object' THEN value END"
		if i == len(keys)-1 {
			value = fmt.Sprintf(text, "type", "value")
		}
		last = "(SELECT " + value + " FROM json_each(" + last + ") WHERE key = " + arg(key) + " ORDER BY id DESC LIMIT 1)"
	}
	path := arg(sqldb.JSONPath(keys))
	first := fmt.Sprintf(text, "json_type(payload, "+path+")", "json_extract(payload, "+path+")")
	return "CASE WHEN " + sqldb.Repeated(arg, "CAST(payload AS TEXT)", "''", keys) + " THEN " + last + " ELSE " + first + " END"
}

func globPattern(parts []string) string {
	escaped := strings.NewReplacer("?", "[?]", "[", "[[]")
	return "*" + escaped.Replace(strings.Join(parts, "*")) + "*"
}
