package pgqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const unfitMode = "behind pgbouncer or another pooler in transaction mode, call pgqueue.DetectPooler, " +
	"or set an exec mode that needs none: " +
	"default_query_exec_mode=exec in the address, pgx.QueryExecModeExec in the pool's configuration"

// DetectPooler makes the connections of a pool fit for pgbouncer in transaction mode and poolers like it: if one stands between, their
// exec mode is [pgx.QueryExecModeExec], which prepares nothing. Without a pooler they keep the mode of config, and so they do if that is
// not the default. Call it before [pgxpool.NewWithConfig]. It costs a connection, once, when the pool makes its first.
func DetectPooler(config *pgxpool.Config) {
	if config.ConnConfig.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return
	}
	var found atomic.Pointer[bool]
	before := config.BeforeConnect
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if before != nil {
			if err := before(ctx, c); err != nil {
				return err
			}
		}
		between := found.Load()
		if between == nil {
			conn, err := pgconn.ConnectConfig(ctx, &c.Config)
			if err != nil {
				return err
			}
			pooled, err := isPooled(ctx, conn)
			closeSoon(ctx, conn)
			if err != nil {
				return err
			}
			between = &pooled
			found.Store(between)
		}
		if *between {
			c.DefaultQueryExecMode = pgx.QueryExecModeExec
		}
		return nil
	}
}

// isPooled reports whether a pooler stands between a connection and its server: it names another process, or none.
func isPooled(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	answers, err := conn.Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return false, translate(err)
	}
	if len(answers) != 1 || len(answers[0].Rows) != 1 {
		return false, errors.New("the server does not report its process id")
	}
	return string(answers[0].Rows[0][0]) != strconv.FormatUint(uint64(conn.PID()), 10), nil
}

// checkPooler refuses a pool that prepares statements behind a pooler that does not keep them for each client: pgbouncer in transaction
// mode, unless its max_prepared_statements is set. It finds out by preparing a statement, and using it while another connection has the
// server's. Where there is no other connection soon, statements say it when they fail.
func (s *store) checkPooler(ctx context.Context) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if conn.Conn().Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil
	}
	pooled, err := isPooled(ctx, conn.Conn().PgConn())
	if err != nil || !pooled {
		return err
	}
	if s.keepsPrepared(ctx, conn.Conn().PgConn()) {
		return nil
	}
	return fmt.Errorf("%w: prepared statements get lost between the pool and the server: %s", sqlqueue.ErrUnsupportedServer, unfitMode)
}

// keepsPrepared reports false if a statement that a connection has prepared is not there any more.
func (s *store) keepsPrepared(ctx context.Context, conn *pgconn.PgConn) bool {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	other, err := s.pool.Acquire(ctx)
	if err != nil {
		return true
	}
	defer other.Release()
	name := "sqlqueue_check_" + rand.Text()
	if _, err := conn.Prepare(ctx, name, "SELECT 1", nil); err != nil {
		return true
	}
	err = holding(ctx, other, func() error { return conn.ExecPrepared(ctx, name, nil, nil, nil).Read().Err })
	if err == nil {
		_ = conn.Deallocate(ctx, name)
	}
	const invalidName = "26000"
	return state(err) != invalidName
}

// holding calls f while a connection has a transaction, and with it a server's session.
func holding(ctx context.Context, conn connection, f func() error) error {
	if _, err := conn.Conn().PgConn().Exec(ctx, beginSQL+"; SELECT 1").ReadAll(); err != nil {
		return err
	}
	defer rollBack(ctx, conn)
	return f()
}
