package mysqlqueue

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// tx is the Tx of sqldb.Database.
func (s *store) tx(ctx context.Context, f func(sqldb.DB) error) error {
	if s.bound != nil {
		return f(s.DB)
	}
	return s.own(ctx, func(on sqldb.Executor) error { return f(s.known.through(on)) })
}

// within is the Within of sqldb.Database.
func (s *store) within(ctx context.Context, f func(sqldb.Store) error) error {
	if s.bound != nil {
		return f(s)
	}
	return s.own(ctx, func(on sqldb.Executor) error { return f(s.bind(on)) })
}

// They say everything about a transaction that a session may have set otherwise.
const (
	isolationSQL = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
	beginSQL     = "START TRANSACTION READ WRITE"
	commitSQL    = "COMMIT AND NO CHAIN NO RELEASE"
	rollbackSQL  = "ROLLBACK AND NO CHAIN NO RELEASE"
)

// own runs f in a transaction of the store's own, and again when the database has rolled it back. It is not a *sql.Tx, whose COMMIT and
// ROLLBACK may wait for an answer for ever.
func (s *store) own(ctx context.Context, f func(sqldb.Executor) error) error {
	if _, err := s.session(ctx, s.DB); err != nil {
		return err
	}
	return s.retried(ctx, func(conn *sql.Conn) error {
		for _, statement := range []string{isolationSQL, beginSQL} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		err := f(conn)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			rollback(ctx, conn) // a lock wait that timed out has left the transaction open
			return err
		}
		if _, err = conn.ExecContext(ctx, commitSQL); err != nil {
			rollback(ctx, conn)
		}
		return outcome(err)
	})
}

// retried runs f on a connection of its own, and again when nothing of what it did was kept.
func (s *store) retried(ctx context.Context, f func(*sql.Conn) error) error {
	return retry.Do(ctx, transient, func() error {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return translate(err)
		}
		defer func() { _ = conn.Close() }()
		err = translate(f(conn))
		if isReadOnly(err) || isApart(err) {
			discard(conn) // another connection may lead to the new primary, or to another node
		}
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
			return context.Cause(ctx)
		}
		return err
	})
}

// patience is how long a ROLLBACK may take. After that the connection is closed, which rolls back too.
const patience = 5 * time.Second

func rollback(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := conn.ExecContext(ctx, rollbackSQL); err != nil {
		discard(conn)
	}
}

// discard closes a connection instead of giving it back to its pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
}
