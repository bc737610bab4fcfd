// Package recipe has what the recipes share.
package recipe

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// SendInvoice is the job of all recipes.
type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

// JobName is stored with each job.
func (SendInvoice) JobName() string { return "send_invoice" }

// ErrNotPaid is why a recipe's transaction rolls back.
var ErrNotPaid = errors.New("the order is not paid")

// Place is a recipe: it inserts an order and pushes its job, in one transaction, and rolls back if the order cannot be paid.
type Place func(ctx context.Context, id int64, pay func(id int64) error) error

// Check places an order that commits and one that rolls back: the job is there if and only if the order is.
func Check(t *testing.T, db *sql.DB, q *sqlqueue.Queue, order Place) {
	t.Helper()
	ctx := t.Context()
	if err := order(ctx, 42, func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := order(ctx, 43, func(int64) error { return ErrNotPaid }); !errors.Is(err, ErrNotPaid) {
		t.Fatalf("the order that is not paid: %v", err)
	}
	var orders int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&orders); err != nil {
		t.Fatal(err)
	}
	jobs, err := operator.New(q).Jobs(ctx, operator.JobFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if orders != 1 || len(jobs) != 1 || !strings.Contains(string(jobs[0].Payload), `{"order_id":42}`) {
		t.Errorf("%d orders and jobs %+v, want those of order 42", orders, jobs)
	}
}

// Migrate makes the tables of the queue, and one of an application.
func Migrate(t *testing.T, db *sql.DB, dialect migrations.Dialect) {
	t.Helper()
	m, err := migrations.New(db, dialect, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
}
