// Package mysqlqueue keeps a sqlqueue.Queue in MySQL, 8.0.16 or later, or in MariaDB, 10.6 or later, over database/sql and
// go-sql-driver/mysql.
//
// It works with the application's own *sql.DB, whatever its DSN says about times, time zones, SQL modes and found rows. It changes nothing
// in a session. These must be as they are by default: the character set utf8mb4, autocommit, unique_checks, sql_safe_updates and
// sql_select_limit. If they are not, Queue.Check says so, and so does the first use.
//
// Put wait_timeout=10 into the DSN of a program that runs a worker, and call SetConnMaxIdleTime(5*time.Second). A process that is frozen,
// or whose host is gone, then keeps its locks for no longer than ten seconds. By default the server notices only after hours.
package mysqlqueue

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// New returns a Queue over db, which stays the caller's. It does not connect: Queue.Check tells whether the server is one that is
// supported and has the tables.
func New(db *sql.DB, config sqlqueue.Config) (*sqlqueue.Queue, error) {
	if db == nil {
		return nil, errors.New("mysqlqueue: the *sql.DB is nil")
	}
	if config.Schema != "" {
		return nil, fmt.Errorf("mysqlqueue: MySQL and MariaDB have no schema %q: name another database in the address, "+
			"or use a table prefix", config.Schema)
	}
	s := &store{db: db, known: &known{}}
	s.Database = &sqldb.Database{
		Dialect: dialect, Prefix: config.Prefix, DB: s.known.through(db), Tx: s.tx, Within: s.within, Insert: s.pushIn,
	}
	s.names = s.Names("{", "}") // nothing else in this package's SQL stands in braces
	return sqlqueue.New(s, config)
}

// WithTx returns the same Queue bound to tx: what it does happens if and only if tx commits. Use it in one goroutine, as tx itself, and
// until tx ends. It is a *sql.Tx, or what GORM (tx.Statement.ConnPool, also with PrepareStmt), sqlx, ent, bun and the like have in its
// place. The transaction may have any isolation level; its deadlocks, and on MariaDB its error 1020, are the caller's to repeat.
//
// Under REPEATABLE READ, which is the default of the server, the holder of a unique key that was pushed after the transaction began to
// read cannot be seen: the *sqlqueue.DuplicateError then has 0 for it.
func WithTx(q *sqlqueue.Queue, tx sqldb.Executor) *sqlqueue.Queue {
	return q.Bind(func(of driver.Store) (driver.Store, error) {
		if err := sqldb.CheckTx(tx); err != nil {
			return nil, err
		}
		s, ok := driver.As[*store](of)
		if !ok {
			return nil, errors.New("the queue is not kept in MySQL or MariaDB: it was not made by mysqlqueue.New")
		}
		return s.bind(tx), nil
	})
}

// store is the driver.Store.
type store struct {
	*sqldb.Database
	db    *sql.DB
	bound sqldb.Executor // nil: the store makes its own transactions
	names *sqldb.Names
	known *known
}

// known is what a store has learned. Stores that are bound to transactions share it.
type known struct {
	lanes    lane.Set
	expiry   lane.Set
	places   lane.Places
	controls lane.Controls
	turns    turn.Turns
	packet   atomic.Int64 // the server's max_allowed_packet; 0: not asked yet
	tidb     atomic.Bool  // it is TiDB

	endless atomic.Bool // an exchange has asked for a reservation that never expires

	payload atomic.Int64 // the average size of the payloads that were reserved last; 0: not known
}

// SQL implements sqldb.Store.
func (s *store) SQL() *sqldb.Database { return s.Database }

func (s *store) bind(tx sqldb.Executor) *store {
	b := *s
	b.bound = tx
	b.Database = &sqldb.Database{
		Dialect: dialect, Prefix: s.Prefix, DB: s.known.through(tx), Bound: true, Tx: b.tx, Within: b.within, Insert: b.pushIn,
	}
	return &b
}

// Times are sent and read as integers, so that neither the DSN's parseTime and loc nor the session's time zone matter.
const (
	now    = "UTC_TIMESTAMP(6)"
	micros = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %s)"
	moment = "(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL 0 + %s MICROSECOND)" // to TiDB INTERVAL ( begins a call of the function
)

// plain is sqldb.Dialect.Plain: "job" stands in the payload at most once, and none of \u006 (as in escapes of j, o and b), \u0000, \ud and
// \uD (as in half surrogate pairs). They are written in hexadecimal, because the sql_mode decides what a backslash means.
const plain = `LENGTH(payload) - LENGTH(REPLACE(payload, '"job"', ` + emptyText + `)) <= LENGTH('"job"')` +
	` AND INSTR(payload, X'5C75303036') = 0` +
	` AND INSTR(payload, X'5C7530303030') = 0 AND INSTR(payload, X'5C7564') = 0 AND INSTR(payload, X'5C7544') = 0`

// field is sqldb.Dialect.Field. Of members of the same name MariaDB's JSON_EXTRACT takes the first, and JSON_TABLE lists all: on MySQL with
// NULL for a null.
func field(arg func(any) string, keys []string) string {
	path := sqldb.JSONPath(keys)
	return "JSON_UNQUOTE(CASE WHEN " + sqldb.Repeated(arg, "payload", emptyText, keys) +
		" THEN (SELECT COALESCE(v, 'null') FROM JSON_TABLE(payload, '" + strings.ReplaceAll(path, "'", "''") +
		"' COLUMNS (n FOR ORDINALITY, v JSON PATH '$')) AS members ORDER BY n DESC LIMIT 1)" +
		" ELSE JSON_EXTRACT(payload, " + arg(path) + ") END)"
}

var dialect = sqldb.Dialect{
	Quote:       "`",
	Placeholder: func(int) string { return "?" },
	Now:         now,
	Time:        moment,
	Micros:      micros,
	Plain:       plain,
	Name:        "CASE WHEN JSON_TYPE(JSON_EXTRACT(payload, '$.job')) = 'STRING' THEN JSON_UNQUOTE(JSON_EXTRACT(payload, '$.job')) END",
	Empty:       emptyText,
	Remainder:   "MOD(%s, %d)", // % is something else under sql_mode ORACLE
	KeyHeld:     keyHeld,
	Field:       field,
	Text:        "CAST(%s AS BINARY)", // utf8mb4_bin would ignore spaces at the end
	Like:        "%[1]s LIKE %[2]s ESCAPE '!'",
	Pattern:     sqldb.LikePattern,
	Reserved:    "expires_at IS NOT NULL",
	Endless:     "reserved AND expires_at IS NULL",
	Force:       " FORCE INDEX (%s)",
	ForUpdate:   "FOR UPDATE",
	SkipLocked:  "FOR UPDATE SKIP LOCKED",
	OnConflict:  " ON DUPLICATE KEY UPDATE queue = queue",
	ByID:        " FORCE INDEX (PRIMARY)",
	Delete:      "DELETE t FROM %s t FORCE INDEX (PRIMARY)",
}

// sql puts the real names of tables and indexes into a statement, and then its values.
func (s *store) sql(statement string, a ...any) string {
	return fmt.Sprintf(s.names.In(statement), a...)
}
