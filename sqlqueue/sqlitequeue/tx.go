package sqlitequeue

import (
	"context"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// write runs f in a transaction of the store's own, as the database's writer.
func (s *store) write(ctx context.Context, f func(sqldb.Executor) error) error {
	return s.inTurn(ctx, func() error { return s.transaction(ctx, f) })
}

// within is the Within of sqldb.Database.
func (s *store) within(ctx context.Context, f func(sqldb.Store) error) error {
	if s.bound {
		return f(s)
	}
	return s.tx(ctx, func(tx sqldb.Executor) error { return f(s.bind(tx)) })
}

// promptly runs f in a transaction of the store's own, or the caller's, as the database's writer, so that its statements wait for nobody.
func (s *store) promptly(ctx context.Context, f func(sqldb.Executor) error) error {
	return s.tx(ctx, func(tx sqldb.Executor) error { return f(prompt{tx}) })
}

// writeOne runs f, which writes with one statement. That is a transaction by itself, in half the time of one with a BEGIN and a COMMIT. But
// if ctx ends while it runs, some drivers return an error although it was committed.
func (s *store) writeOne(ctx context.Context, f func(sqldb.Executor) error) error {
	return s.inTurn(ctx, func() error {
		err := f(s.sql.prepared)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, err)
		}
		return err
	})
}

// inTurn runs write when it is its turn. The writers of this store come one after the other, and wait for other writers, in the application
// and in other processes.
func (s *store) inTurn(ctx context.Context, write func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	start := time.Now()
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return whileBusy(ctx, start, func() error {
		// Before write, which may take the pool's only connection.
		if err := s.sql.prepare(ctx, s.pool); err != nil {
			return err
		}
		if err := s.file.check(ctx, s.pool); err != nil {
			return err
		}
		return write()
	})
}

func (s *store) transaction(ctx context.Context, f func(sqldb.Executor) error) error {
	// The end of ctx interrupts BEGIN and the statements, but not the transaction, which the Rollback below ends: at the end of its context
	// database/sql may close the connection, and with it a database in memory.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	tx, err := s.pool.BeginTx(own, nil)
	stop()
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := s.asWriter(ctx, preparedTx{tx, s.sql.prepared}, f); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return translate(err)
	}
	return nil
}

// becomeWriter changes nothing, and makes the transaction the database's writer. A transaction that reads before it writes fails if
// others have written in between.
var becomeWriter = newStatement(`UPDATE "jobs" SET id = id WHERE id = 0`)

func (s *store) asWriter(ctx context.Context, tx sqldb.Executor, f func(sqldb.Executor) error) error {
	if _, err := tx.ExecContext(ctx, s.sql.text[becomeWriter]); err != nil {
		return translate(err)
	}
	return f(tx)
}
