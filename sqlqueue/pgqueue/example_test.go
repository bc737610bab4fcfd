package pgqueue_test

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

func ExampleNew() {
	open := func(ctx context.Context, address string) (*sqlqueue.Queue, error) {
		pool, err := pgxpool.New(ctx, address)
		if err != nil {
			return nil, err
		}
		return pgqueue.New(pool, sqlqueue.Config{Prefix: "shop_"})
	}
	_ = open
}

// The invoice is sent if and only if the order is there.
func ExampleWithTx() {
	order := func(ctx context.Context, pool *pgxpool.Pool, q *sqlqueue.Queue, id int64) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO orders (id) VALUES ($1)", id); err != nil {
				return err
			}
			_, err := pgqueue.WithTx(q, tx).Push(ctx, SendInvoice{id})
			return err
		})
	}
	_ = order
}

// With database/sql, or an ORM over it; with GORM tx is tx.Statement.ConnPool.
func ExampleWithSQLTx() {
	order := func(ctx context.Context, db *sql.DB, q *sqlqueue.Queue, id int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", id); err != nil {
			return err
		}
		if _, err := pgqueue.WithSQLTx(q, tx).Push(ctx, SendInvoice{id}); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = order
}

// Of hundreds of transactions a second, none waits for the lock that a notification takes. Workers find the jobs by looking.
func ExampleQuiet() {
	log := func(ctx context.Context, tx pgx.Tx, q *sqlqueue.Queue, id int64) error {
		_, err := pgqueue.Quiet(pgqueue.WithTx(q, tx)).Push(ctx, SendInvoice{id})
		return err
	}
	_ = log
}

// With GORM, db is what its DB method returns.
func ExampleNewSQL() {
	open := func(address string) (*sqlqueue.Queue, error) {
		db, err := sql.Open("pgx", address) // of github.com/jackc/pgx/v5/stdlib
		if err != nil {
			return nil, err
		}
		return pgqueue.NewSQL(db, sqlqueue.Config{})
	}
	_ = open
}
