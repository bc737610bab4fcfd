// Package open opens the database that an address names: PostgreSQL, MySQL, MariaDB or SQLite. No text of it has the address's password.
package open

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// URLVariable is the variable of the environment that many programs take the address of their database from.
const URLVariable = "DATABASE_URL"

// ConnectTimeout bounds the first conversation with a server.
const ConnectTimeout = 10 * time.Second

// Database is an open database.
type Database struct {
	Address
	Queue *sqlqueue.Queue
	DB    *sql.DB // for migrations
	Close func()
}

// Identity tells the tables from others, whatever the address that leads to them.
func (d *Database) Identity() string {
	name := d.database
	if d.url == nil {
		name = filepath.Base(d.path)
	}
	tables := d.Queue.Config().Prefix
	if schema := d.Queue.Config().Schema; schema != "" {
		tables = schema + "." + tables
	}
	return fmt.Sprintf("%s/%s/%s", d.Dialect, name, tables)
}

// Bind returns the queue bound to a transaction of DB.
func (d *Database) Bind(tx *sql.Tx) *sqlqueue.Queue {
	switch d.Dialect {
	case migrations.Postgres:
		return pgqueue.WithSQLTx(d.Queue, tx)
	case migrations.MySQL:
		return mysqlqueue.WithTx(d.Queue, tx)
	default:
		return sqlitequeue.WithTx(d.Queue, tx)
	}
}

// openers opens the address of each dialect without connecting.
var openers = map[migrations.Dialect]func(Address, sqlqueue.Config) (*Database, error){
	migrations.Postgres: openPostgres,
	migrations.MySQL:    openMySQL,
	migrations.SQLite:   openSQLite,
}

// Settings say what is opened.
type Settings struct {
	DSN    string
	From   string // where the address is from: see settings.DSNFrom
	Config sqlqueue.Config
}

// Open opens a database without connecting. With create, SQLite's file need not be there.
func Open(s Settings, create bool) (*Database, error) {
	a, err := ParseAddress(s.DSN)
	switch {
	case err != nil && s.From == "environment "+URLVariable:
		return nil, exit.Usagef(URLVariable+": %w (--dsn and SQLQUEUE_DSN come before it)", err)
	case err != nil:
		return nil, err
	}
	a.fromFile = strings.HasPrefix(s.From, "file ")
	if err := sqlqueue.CheckPrefix(s.Config.Prefix); err != nil {
		return nil, exit.Usagef("%w", err)
	}
	if err := checkSchema(a.Dialect, s.Config.Schema); err != nil {
		return nil, exit.Usagef("%w", err)
	}
	if err := sqlqueue.CheckQueueName(cmp.Or(s.Config.Queue, "default")); err != nil {
		return nil, exit.Usagef("the default queue (SQLQUEUE_QUEUE): %w", err)
	}
	if err := a.checkFile(create); err != nil {
		return nil, err
	}
	d, err := openers[a.Dialect](a, s.Config)
	if err != nil {
		return nil, fmt.Errorf("the address of %s: %w", a, a.Redact(err))
	}
	return d, nil
}

// checkSchema says what is wrong with --schema.
func checkSchema(dialect migrations.Dialect, schema string) error {
	switch {
	case schema != "" && dialect == migrations.MySQL:
		return fmt.Errorf("the schema %q: MySQL and MariaDB have none; name another database in the address, or use --prefix", schema)
	case schema != "" && dialect == migrations.SQLite:
		return fmt.Errorf("the schema %q: SQLite has none; name another file in the address, or use --prefix", schema)
	}
	return sqlqueue.CheckSchemaName(schema)
}

// Connect makes sure that the database answers.
func (d *Database) Connect(ctx context.Context) error { return d.ConnectWithin(ctx, ConnectTimeout) }

// ConnectWithin is connect that waits no longer than limit, if that is positive.
func (d *Database) ConnectWithin(ctx context.Context, limit time.Duration) error {
	if limit <= 0 || limit > ConnectTimeout {
		limit = ConnectTimeout
	}
	timeout, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.DB.PingContext(timeout); err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("cannot connect to %s: no answer within %s", d, term.Duration(limit))
		}
		err = d.Redact(ConnectError(err))
		if d.fromFile && strings.Contains(err.Error(), "require_auth check failed") {
			err = &clearError{err}
		}
		return fmt.Errorf("cannot connect to %s: %w", d, err)
	}
	return nil
}

// clearError says that a server asks for the password itself.
type clearError struct{ err error }

func (c *clearError) Error() string {
	return c.err.Error() +
		": the host of a configuration file does not get PGPASSWORD as plain text: give the address in SQLQUEUE_DSN or --dsn, " +
		"or use scram-sha-256"
}

func (c *clearError) Unwrap() error { return c.err }

// ConnectError leaves out the user and the database from pgx's error. It says so if what accepts the connection is no server.
func ConnectError(err error) error {
	closed := errors.Is(err, mysql.ErrInvalidConn)
	var postgres *pgconn.ConnectError
	if errors.As(err, &postgres) && postgres.Unwrap() != nil {
		err = postgres.Unwrap()
		closed = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
	}
	if closed {
		return fmt.Errorf("the connection is accepted and closed at once, as by a proxy whose server is down: %w", err)
	}
	return err
}

// IsRefused reports whether a server has answered and wants nothing to do with the user or has no such database: waiting does not help.
func IsRefused(err error) bool {
	if clearText, refused := new(*clearError), new(*sqlqueue.RefusedError); errors.As(err, clearText) || errors.As(err, refused) {
		return true
	}
	var postgres interface{ SQLState() string }
	if errors.As(err, &postgres) {
		state := postgres.SQLState()
		return strings.HasPrefix(state, "28") || strings.HasPrefix(state, "3D")
	}
	var server *mysql.MySQLError
	return errors.As(err, &server) && slices.Contains([]uint16{1044, 1045, 1049, 1698}, server.Number)
}

// CheckTables says why there is no use in waiting for a database that is there. Of one that is away it says nothing.
func (d *Database) CheckTables(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	err := d.Queue.Check(ctx)
	_, version := errors.AsType[*sqlqueue.SchemaError](err)
	_, refused := errors.AsType[*sqlqueue.RefusedError](err)
	if version || refused || errors.Is(err, sqlqueue.ErrNotMigrated) || errors.Is(err, sqlqueue.ErrUnsupportedServer) {
		return err
	}
	return nil
}
