// Package pgqueue keeps a sqlqueue.Queue in PostgreSQL, 14 or later, over pgx.
//
// Statements go in the pool's own execution mode. For pgbouncer in transaction mode call DetectPooler before the pool is made, or set
// pgx.QueryExecModeExec or QueryExecModeCacheDescribe in its configuration, as for every program that uses pgx there.
package pgqueue

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// New returns a Queue over the pool, which stays the caller's. It does not connect: Queue.Check tells whether the tables are there, and
// whether the pool's sessions are fit for sqlqueue. Their client_encoding must be UTF8, or every operation returns a
// *sqlqueue.RefusedError; whatever else they have set does not matter.
func New(pool *pgxpool.Pool, config sqlqueue.Config) (*sqlqueue.Queue, error) {
	if pool == nil {
		return nil, errors.New("pgqueue.New needs a pool, and this one is nil")
	}
	return open(ofPool{pool}, config)
}

// NewSQL is New over a *sql.DB of pgx's stdlib driver, for applications that have no pool: with GORM it is what its DB method returns. The
// queue uses the database's connections, and workers one beside them, to hear of pushes. With another driver, such as lib/pq, each
// operation returns an error: there [WithSQLTx] pushes, and a pool of pgx does the rest.
func NewSQL(db *sql.DB, config sqlqueue.Config) (*sqlqueue.Queue, error) {
	if db == nil {
		return nil, errors.New("pgqueue.NewSQL needs a *sql.DB, and this one is nil")
	}
	return open(ofSQL{db}, config)
}

func open(pool connections, config sqlqueue.Config) (*sqlqueue.Queue, error) {
	s := &store{
		pool: pool, lanes: &lane.Set{}, places: &lane.Places{}, controls: &lane.Controls{}, turns: &turn.Turns{}, expiry: &lane.Set{},
		notifier: newNotifier(config.Schema, config.Prefix), listeners: &listeners{}, batch: &atomic.Int64{}, checked: &atomic.Bool{},
	}
	s.Database = &sqldb.Database{
		Dialect: dialect, Schema: config.Schema, Prefix: config.Prefix, DB: poolDB{s}, Tx: s.tx, Within: s.within, Insert: s.pushIn,
	}
	s.names = s.Names(dialect.Quote, dialect.Quote) // nothing else in this package's SQL stands in double quotes
	return sqlqueue.New(s, config)
}

// WithTx returns the same Queue bound to tx: what it does happens if and only if tx commits. Use it in one goroutine, as tx itself, and
// until tx ends.
//
// A push also notifies idle workers, by pg_notify in tx, once for each queue: see Quiet.
func WithTx(q *sqlqueue.Queue, tx pgx.Tx) *sqlqueue.Queue {
	return bind(q, checkTx(tx), func(s *store) *store { return s.bound(pgxDB{tx}) })
}

// WithSQLTx is WithTx for a transaction of database/sql, with pgx's stdlib driver or lib/pq: a *sql.Tx, or what GORM
// (tx.Statement.ConnPool, also with PrepareStmt), sqlx, ent, bun and the like have in its place.
func WithSQLTx(q *sqlqueue.Queue, tx sqldb.Executor) *sqlqueue.Queue {
	return bind(q, sqldb.CheckTx(tx), func(s *store) *store {
		return s.bound(sqlTx{arrayLiterals{sqldb.SQL(tx, translate)}, s.checked})
	})
}

// Quiet returns the same Queue, bound to a transaction or not, without the notification of idle workers: for transactions that are to be
// prepared (PREPARE TRANSACTION refuses one that has notified), and for hundreds of commits in a second (each that notifies waits for a
// lock of the whole server). Workers find the jobs when they look next: see worker.Config.Sleep.
func Quiet(q *sqlqueue.Queue) *sqlqueue.Queue {
	return bind(q, nil, func(s *store) *store {
		quiet := *s
		quiet.quiet = true
		return &quiet
	})
}

func bind(q *sqlqueue.Queue, refused error, as func(*store) *store) *sqlqueue.Queue {
	return q.Bind(func(of driver.Store) (driver.Store, error) {
		if refused != nil {
			return nil, refused
		}
		s, ok := driver.As[*store](of)
		if !ok {
			return nil, errors.New("the queue is not kept in PostgreSQL: it was not made by pgqueue.New")
		}
		return as(s), nil
	})
}

// checkTx says if there is no transaction, also in the form of a nil pointer.
func checkTx(tx pgx.Tx) error {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the transaction is nil")
	}
	return nil
}

// store is the driver.Store.
type store struct {
	*sqldb.Database
	names    *sqldb.Names
	lanes    *lane.Set
	places   *lane.Places
	controls *lane.Controls
	turns    *turn.Turns
	expiry   *lane.Set   // with the lane Expiring
	pool     connections // nil when bound to a transaction

	notifier  *notifier
	listeners *listeners
	batch     *atomic.Int64   // how many jobs the next exchange may reserve, by the last that found any
	quiet     bool            // pushes do not notify
	checked   *atomic.Bool    // the encoding of transactions of database/sql was
	notified  map[string]bool // if bound: the queues of which the transaction has notified
}

// SQL implements sqldb.Store.
func (s *store) SQL() *sqldb.Database { return s.Database }

func (s *store) bound(db sqldb.DB) *store {
	b := *s
	b.pool, b.notified = nil, map[string]bool{}
	b.Database = &sqldb.Database{
		Dialect: dialect, Schema: s.Schema, Prefix: s.Prefix, DB: db, Bound: true, Tx: b.tx, Within: b.within, Insert: b.pushIn,
	}
	return &b
}

// firstTime and lastTime are the bounds of the times that are read: the years 1 to 9999, and never the zero time. A row may have others.
const (
	firstTime = `timestamptz '0001-01-01 00:00:00.000001+00'`
	lastTime  = `timestamptz '9999-12-31 23:59:59.999999+00'`
)

// earliest and latest are firstTime and lastTime.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// extractable is the condition for payloads from which a field can be extracted. That fails, and with it the whole statement, if any string
// in the json value has \u0000 or half a surrogate pair. The expression reads the text once, however many escapes there are: it has no
// lookahead.
const extractable = `(strpos(payload::text, E'\\u') = 0 OR payload::text ~ E'^(?:[^\\\\]|\\\\[^u]` +
	`|\\\\u(?:[1-9a-cA-CefEF]...|0[1-9a-fA-F]..|00[1-9a-fA-F].|000[1-9a-fA-F]|[dD][0-7]..)` +
	`|\\\\u[dD][89abAB]..\\\\u[dD][c-fC-F]..)*$')`

// plain is sqldb.Dialect.Plain: "job" stands in the payload at most once, \u006 (as in escapes of j, o and b) not at all, and it has no
// more levels than Go reads.
const plain = extractable + ` AND length(payload::text) - length(replace(payload::text, '"job"', '')) <= length('"job"')
	AND strpos(payload::text, E'\\u006') = 0
	AND (length(payload::text) < 20000 OR length(payload::text) - length(translate(payload::text, '[{', '')) < 10000)`

var dialect = sqldb.Dialect{
	Quote:       `"`,
	Level:       "strpos(queue, '/') > 0",
	Placeholder: func(n int) string { return fmt.Sprintf("$%d", n) },
	Now:         "clock_timestamp()",
	Began:       "statement_timestamp()",
	Time:        "(timestamptz 'epoch' + %s::bigint * interval '1 microsecond')",
	Step:        "date_bin(%[3]d * interval '1 microsecond', %[1]s, %[2]s)",
	Micros: "CASE WHEN %[1]s IS NOT NULL THEN (extract(epoch FROM least(greatest(%[1]s, " + firstTime + "), " + lastTime +
		")) * 1000000)::bigint END",
	Payload: "payload::text",
	Plain:   plain,
	Name:    "CASE json_typeof(payload -> 'job') WHEN 'string' THEN payload ->> 'job' END",
	Field: func(arg func(any) string, keys []string) string {
		value := "payload"
		for _, key := range keys {
			value += " -> " + arg(key) + "::text"
		}
		return fmt.Sprintf("CASE WHEN %s THEN coalesce((%[2]s) #>> '{}', (%[2]s)::text) END", extractable, value)
	},
	Text:       "%s",
	Like:       "%[1]s LIKE %[2]s ESCAPE '!'",
	Pattern:    sqldb.LikePattern,
	Waiting:    " AND NOT reserved",
	Reserved:   "reserved",
	ForUpdate:  "FOR UPDATE",
	SkipLocked: "FOR UPDATE SKIP LOCKED",
	ByIndex:    byIndexSQL,
	OnConflict: " ON CONFLICT DO NOTHING",
	KeepHeld:   " ON CONFLICT (queue, unique_key) WHERE unique_key IS NOT NULL DO NOTHING",
	KeyHeld:    keyHeld,
}
