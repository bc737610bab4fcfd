package pgqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// tx is the Tx of sqldb.Database.
func (s *store) tx(ctx context.Context, f func(sqldb.DB) error) error {
	if s.pool == nil {
		return f(s.DB)
	}
	return retry.Do(ctx, transient, func() error {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return translate(err)
		}
		defer conn.Release()
		return outcome(translate(pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: beginSQL + "; " + idleSQL}, func(tx pgx.Tx) error {
			return f(pgxDB{tx})
		})))
	})
}

// within is the Within of sqldb.Database.
func (s *store) within(ctx context.Context, f func(sqldb.Store) error) error {
	if s.pool == nil {
		return f(s)
	}
	return s.tx(ctx, func(db sqldb.DB) error { return f(s.bound(db)) })
}

const beginSQL = `BEGIN ISOLATION LEVEL READ COMMITTED`

// idleSQL is for transactions that take more than one round trip. One whose client is frozen, or whose client's host is gone, holds its
// locks no longer than that.
const idleSQL = `SET LOCAL idle_in_transaction_session_timeout = '10s'`

// byIndexSQL leaves the planner only paths by index, for this transaction. Plans are made once for a connection and kept: one that was made
// while the table was small, which a queue often is, would scan the table, or collect and sort, when it has grown to millions. Without jit:
// in a small table, where there is no such path, the cost of one that is switched off would have the statement compiled, for 100 ms. And
// the same plan for all arguments: otherwise some of the statements of each exchange would be planned anew, for 0.1 to 0.3 ms each.
//
// It also sets what the format of answers depends on.
const byIndexSQL = `
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true)`

// rollbackPatience is how long a rollback may take. After that the connection is closed, which rolls back too.
const rollbackPatience = 3 * time.Second

// rollBack ends a transaction that has failed, even if ctx has ended. If the server does not answer, it closes the connection.
func rollBack(ctx context.Context, conn connection) {
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackPatience)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK") // at the end of ctx pgx closes the connection
}

// acquire returns a connection of the pool whose encoding has been checked.
func (s *store) acquire(ctx context.Context) (connection, error) {
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
