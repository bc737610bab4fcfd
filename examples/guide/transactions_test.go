package guide

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

func placeOrder(ctx context.Context, db *sql.DB, q *sqlqueue.Queue, id int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit

	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
		return err
	}
	if _, err := sqlitequeue.WithTx(q, tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
		return err
	}
	return tx.Commit()
}

// fulfil completes its job in the transaction of its own writes.
func fulfil(ctx context.Context, db *sql.DB, q *sqlqueue.Queue, job *worker.Job[SendInvoice]) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	inTx := sqlitequeue.WithTx(q, tx)

	if err := inTx.Hold(ctx, job); err != nil { // first: no other worker can get this job while tx is open
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE stock SET left = left - 1"); err != nil {
		return err
	}
	if err := inTx.Delete(ctx, job); err != nil {
		return err
	}
	return tx.Commit()
}

// openShop returns an empty queue beside tables of an application.
func openShop(t *testing.T) *sqlqueuetest.Queue {
	t.Helper()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	for _, statement := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY)",
		"CREATE TABLE stock (left INTEGER NOT NULL CHECK (left >= 0))",
		"INSERT INTO stock VALUES (1)",
	} {
		if _, err := q.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if err := placeOrder(t.Context(), q.DB(), q.Queue, 42); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(SendInvoice{OrderID: 42})
	if err := placeOrder(t.Context(), q.DB(), q.Queue, 42); err == nil { // the order is there already
		t.Error("the same order was placed twice")
	}
	q.AssertCount(1)
}

func TestFulfil(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	for id := range int64(2) {
		if _, err := q.Push(t.Context(), SendInvoice{OrderID: id}); err != nil {
			t.Fatal(err)
		}
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, job *worker.Job[SendInvoice]) error {
		return fulfil(ctx, q.DB(), q.Queue, job)
	})
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Processed {
		t.Errorf("the first job: %v", got)
	}
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Released { // nothing is left in stock: the transaction rolls back
		t.Errorf("the second job: %v", got)
	}
}

func pushOnce(ctx context.Context, q *sqlqueue.Queue, order int64) error {
	key := sqlqueue.UniqueByData("order_id")
	_, err := q.Push(ctx, SendInvoice{OrderID: order}, key)
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		_, err = q.Push(ctx, SendInvoice{OrderID: order}, key) // a duplicate if the first push has succeeded
	}
	if duplicate := new(sqlqueue.DuplicateError); errors.As(err, &duplicate) {
		return nil
	}
	return err
}

func TestPushOnce(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	for range 2 {
		if err := pushOnce(t.Context(), q.Queue, 42); err != nil {
			t.Fatal(err)
		}
	}
	q.AssertCount(1)
}
