package pgqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// tx is sqldb.Database.Tx.
func (s *store) tx(ctx context.Context, f func(sqldb.DB) error) error {
	if s.pool == nil {
		return f(s.DB)
	}
	return retry.Do(ctx, transient, func() error {
		return outcome(translate(pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return f(pgxDB{tx})
		})))
	})
}

const beginSQL = `BEGIN ISOLATION LEVEL READ COMMITTED`

// The settings of the session on which the reading of an answer depends are set as well, for sessions of every kind.
//
// Plans are made once for a connection and kept. One that was made while the table was small, which a queue often is, would scan the
// table, or collect and sort, when it has grown to millions: for this transaction only the paths by index are left. Where there is none, as
// in the small tables, the cost of a path that is off would have the statement compiled: 100 ms.
const byIndexSQL = `
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('jit', 'off', true), set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true)`

// rollbackPatience is how long a rollback may take. Then the connection is closed, which rolls back as well.
const rollbackPatience = 3 * time.Second

// rollBack ends a transaction that has failed, also when ctx has ended. Where the server does not answer, it closes the connection.
func rollBack(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackPatience)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK") // at the end of ctx pgx closes the connection
}

// acquire returns a connection of the pool that texts can go through.
func (s *store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	if err := checkEncoding(conn.Conn()); err != nil {
		conn.Release()
		return nil, err
	}
	return conn, nil
}
