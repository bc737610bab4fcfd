package sqlitequeue

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/operator"
)

// write runs f in a transaction of the store's own, as the database's writer. The writers of this store come one after the other; the
// others, in the application or in other processes, are waited for.
func (s *store) write(ctx context.Context, f func(operator.DB) error) error {
	start := time.Now()
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return whileBusy(ctx, start, func() error { return s.transaction(ctx, f) })
}

func (s *store) transaction(ctx context.Context, f func(operator.DB) error) error {
	// Before the transaction, which may have the pool's only connection.
	if err := s.sql.prepare(ctx, s.pool); err != nil {
		return translate(err)
	}
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back to the pool

	// The end of ctx ends BEGIN and the statements. The transaction is left to the Rollback below: at the end of its own context
	// database/sql may close the connection, and with it a database in memory.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	tx, err := conn.BeginTx(own, nil)
	stop()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after Commit
	if err := s.asWriter(ctx, operator.SQL(preparedTx{tx, s.sql.prepared}, translate), f); err != nil {
		return err
	}
	return tx.Commit()
}

// becomeWriter changes nothing, and makes the transaction the database's writer. A transaction that reads before it writes fails if
// others have written in between.
const becomeWriter = `UPDATE "jobs" SET id = id WHERE id = 0`

func (s *store) asWriter(ctx context.Context, db operator.DB, f func(operator.DB) error) error {
	if _, err := db.Exec(ctx, s.sql.text[becomeWriter]); err != nil {
		return err
	}
	return f(db)
}
