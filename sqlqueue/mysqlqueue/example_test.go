package mysqlqueue_test

import (
	"context"
	"database/sql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

func ExampleNew() {
	open := func(address string) (*sqlqueue.Queue, error) {
		db, err := sql.Open("mysql", address) // of go-sql-driver: app:password@tcp(127.0.0.1:3306)/shop
		if err != nil {
			return nil, err
		}
		return mysqlqueue.New(db, sqlqueue.Config{})
	}
	_ = open
}

// The invoice is sent if and only if the order is there. With GORM tx is tx.Statement.ConnPool.
func ExampleWithTx() {
	order := func(ctx context.Context, db *sql.DB, q *sqlqueue.Queue, id int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
			return err
		}
		if _, err := mysqlqueue.WithTx(q, tx).Push(ctx, SendInvoice{id}); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = order
}
