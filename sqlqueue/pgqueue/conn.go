package pgqueue

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connections is where a store has its connections from. It is safe for concurrent use.
type connections interface {
	Acquire(ctx context.Context) (connection, error)
	// ConnConfig is for a connection of the store's own, beside these.
	ConnConfig(ctx context.Context) (*pgx.ConnConfig, error)
}

// connection is one that nobody else uses until it is released, which may be done more than once.
type connection interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
	Conn() *pgx.Conn
	Release()
}

// ofPool has the connections of a pgxpool.
type ofPool struct{ *pgxpool.Pool }

func (p ofPool) Acquire(ctx context.Context) (connection, error) {
	conn, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (p ofPool) ConnConfig(ctx context.Context) (*pgx.ConnConfig, error) {
	config := p.Config()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	return config.ConnConfig, nil
}

// ofSQL has the connections of a *sql.DB of pgx's stdlib driver.
type ofSQL struct{ db *sql.DB }

func (p ofSQL) Acquire(ctx context.Context) (connection, error) {
	of, err := p.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := sqlConn{of: of}
	err = of.Raw(func(conn any) error {
		inner, ok := conn.(interface{ Conn() *pgx.Conn })
		if !ok {
			return errors.New("the *sql.DB is not one of pgx's stdlib driver: open it with that, or use pgqueue.New with a pool")
		}
		c.pgx = inner.Conn()
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, of.Close())
	}
	return c, nil
}

func (p ofSQL) ConnConfig(ctx context.Context) (*pgx.ConnConfig, error) {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	config := conn.Conn().Config()
	config.OnNotification = nil // is that connection's own
	return config, nil
}

// sqlConn is pgx's connection of a *sql.Conn. It is used outside of Raw, but only until the *sql.Conn, which nobody else has, is closed.
type sqlConn struct {
	pgx *pgx.Conn
	of  *sql.Conn
}

func (c sqlConn) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	return c.pgx.Exec(ctx, query, args...)
}

func (c sqlConn) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return c.pgx.Query(ctx, query, args...)
}

func (c sqlConn) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return c.pgx.SendBatch(ctx, batch)
}

func (c sqlConn) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	return c.pgx.BeginTx(ctx, options)
}

func (c sqlConn) Conn() *pgx.Conn { return c.pgx }

// Release gives the connection back, or drops it when it is closed, or was left in a transaction.
func (c sqlConn) Release() {
	const idle = 'I'
	_ = c.of.Raw(func(any) error { // does nothing after Close
		if c.pgx.IsClosed() || c.pgx.PgConn().TxStatus() != idle {
			return sqldriver.ErrBadConn
		}
		return nil
	})
	_ = c.of.Close()
}
