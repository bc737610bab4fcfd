package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

// session runs use on a connection of the pool, with the database's settings for migrating.
func (m *Migrator) session(ctx context.Context, use func(*sql.Conn) error) error {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if m.engine.setup != nil {
		restore, err := m.engine.setup(ctx, conn)
		if err != nil {
			return err
		}
		defer restore()
	}
	return use(conn)
}

// locked runs use under the lock. Its database has one connection, the one that holds the lock: goose.Provider.Up looks for work,
// and makes the version table, without the lock that one can give to goose; a pool of one connection must do; and a session
// that loses the lock must not go on migrating.
func (m *Migrator) locked(ctx context.Context, use func(*sql.DB) error) error {
	return m.session(ctx, func(conn *sql.Conn) error {
		release, err := m.engine.lock(ctx, conn, m.prefix+VersionTable)
		if err != nil {
			discard(conn) // whether it got the lock is not known
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for another migration to finish: %w", ctx.Err())
			}
			return fmt.Errorf("taking the migration lock: %w", err)
		}
		defer release()
		return conn.Raw(func(c any) error {
			db := sql.OpenDB(lent{c.(driver.Conn), m.db.Driver()})
			defer db.Close()
			db.SetMaxOpenConns(1)
			return use(db)
		})
	})
}

// unlock runs a statement that gives a lock back. The end of the connection does it as well.
func unlock(ctx context.Context, conn *sql.Conn, statement string) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		discard(conn)
	}
}

// afterwards is for what must still be done when ctx has ended.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// discard closes conn instead of giving it back to its pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// lent is a connection that belongs to another pool, as the connector of a pool that has nothing else.
type lent struct {
	driver.Conn
	driver driver.Driver
}

func (l lent) Connect(context.Context) (driver.Conn, error) { return l, nil }
func (l lent) Driver() driver.Driver                        { return l.driver }
func (l lent) Close() error                                 { return nil }

// What database/sql looks for in a connection beyond driver.Conn is passed on, each where the driver has it.

func (l lent) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c, ok := l.Conn.(driver.ExecerContext); ok {
		return c.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (l lent) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := l.Conn.(driver.QueryerContext); ok {
		return c.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (l lent) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c, ok := l.Conn.(driver.ConnPrepareContext); ok {
		return c.PrepareContext(ctx, query)
	}
	return l.Prepare(query)
}

func (l lent) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c, ok := l.Conn.(driver.ConnBeginTx); ok {
		return c.BeginTx(ctx, opts)
	}
	return l.Begin()
}

func (l lent) CheckNamedValue(value *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(value)
	}
	return driver.ErrSkip
}
