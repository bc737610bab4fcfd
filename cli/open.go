package cli

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// connectTimeout bounds the first conversation with a server.
const connectTimeout = 10 * time.Second

// database is an open database.
type database struct {
	address
	queue  *sqlqueue.Queue
	prefix string
	db     *sql.DB // for migrations
	close  func()
}

// identity tells the tables from others, whatever the address that leads to them.
func (d *database) identity() string {
	name := d.database
	if d.url == nil {
		name = filepath.Base(d.path)
	}
	return fmt.Sprintf("%s/%s/%s", d.dialect, name, d.prefix)
}

// openers opens the address of each dialect without connecting.
var openers = map[migrations.Dialect]func(address, sqlqueue.Config) (*database, error){
	migrations.Postgres: openPostgres,
	migrations.MySQL:    openMySQL,
	migrations.SQLite:   openSQLite,
}

// open opens the database of the flags, the environment or the Options, without connecting. With create, SQLite's file need not be
// there.
func (p *program) open(create bool) (*database, error) {
	a, err := parseAddress(p.dsn)
	if err != nil {
		return nil, err
	}
	if p.root != nil {
		a.fromFile = strings.HasPrefix(p.from[p.root.PersistentFlags().Lookup("dsn")], "file ")
	}
	config := p.options.Config
	config.Prefix = p.prefix
	if err := sqlqueue.CheckPrefix(config.Prefix); err != nil {
		return nil, &codedError{exitUsage, err}
	}
	if err := sqlqueue.CheckQueueName(cmp.Or(config.Queue, "default")); err != nil {
		return nil, usagef("the default queue (SQLQUEUE_QUEUE): %w", err)
	}
	if err := a.checkFile(create); err != nil {
		return nil, err
	}
	d, err := openers[a.dialect](a, config)
	if err != nil {
		return nil, fmt.Errorf("the address of %s: %w", a, a.redact(err))
	}
	d.prefix = config.Prefix
	return d, nil
}

// connect makes sure that the database answers.
func (d *database) connect(ctx context.Context) error { return d.connectWithin(ctx, connectTimeout) }

// connectWithin is connect that waits no longer than limit, if that is positive.
func (d *database) connectWithin(ctx context.Context, limit time.Duration) error {
	if limit <= 0 || limit > connectTimeout {
		limit = connectTimeout
	}
	timeout, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.db.PingContext(timeout); err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("cannot connect to %s: no answer within %s", d, term.Duration(limit))
		}
		err = d.redact(connectError(err))
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
	return c.err.Error() + ": the host of a configuration file does not get PGPASSWORD as plain text: give the address in SQLQUEUE_DSN or --dsn, or use scram-sha-256"
}

func (c *clearError) Unwrap() error { return c.err }

// connectError leaves out the user and the database from pgx's error.
func connectError(err error) error {
	var postgres *pgconn.ConnectError
	if errors.As(err, &postgres) && postgres.Unwrap() != nil {
		return postgres.Unwrap()
	}
	return err
}

// withQueue runs do with the queue of a database that answers and has the right tables.
func (p *program) withQueue(ctx context.Context, do func(*sqlqueue.Queue) error) error {
	d, err := p.open(false)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.connect(ctx); err != nil {
		return err
	}
	if err := d.queue.Check(ctx); err != nil {
		return err
	}
	return do(d.queue)
}

// withOperator runs do with the Operator of a database that answers and has the right tables.
func (p *program) withOperator(ctx context.Context, do func(*operator.Operator) error) error {
	return p.withQueue(ctx, func(q *sqlqueue.Queue) error { return do(operator.New(q)) })
}

// isRefused reports whether a server has answered and wants nothing to do with the user or has no such database: waiting does not help.
func isRefused(err error) bool {
	if clear, refused := new(*clearError), new(*sqlqueue.RefusedError); errors.As(err, clear) || errors.As(err, refused) {
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
