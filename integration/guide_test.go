package integration

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// The code of docs/guide that needs a server. Its other code is in examples/guide, whose tests compare the pages with both.

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

func pushByPgx(ctx context.Context, address string) error {
	pool, err := pgxpool.New(ctx, address) // postgres://user:password@localhost:5432/app
	if err != nil {
		return err
	}
	q, err := pgqueue.New(pool, sqlqueue.Config{})
	if err != nil {
		return err
	}

	defer pool.Close()
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := pgqueue.WithTx(q, tx).Push(ctx, SendInvoice{OrderID: 42}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func pushBySQL(ctx context.Context, db *sql.DB, q *sqlqueue.Queue) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := pgqueue.WithSQLTx(q, tx).Push(ctx, SendInvoice{OrderID: 42}); err != nil {
		return err
	}
	return tx.Commit()
}

func pushByMySQL(ctx context.Context, address string) error {
	db, err := sql.Open("mysql", address) // user:password@tcp(localhost:3306)/app
	if err != nil {
		return err
	}
	q, err := mysqlqueue.New(db, sqlqueue.Config{})
	if err != nil {
		return err
	}

	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := mysqlqueue.WithTx(q, tx).Push(ctx, SendInvoice{OrderID: 42}); err != nil {
		return err
	}
	return tx.Commit()
}

// TestGuide: the guide's code for servers pushes a job.
func TestGuide(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		db := s.Open(t, dsn)
		pushes := map[string]func() error{"mysqlqueue": func() error { return pushByMySQL(t.Context(), driverDSN(t, dsn)) }}
		if s.Engine == "postgres" {
			pushes = map[string]func() error{
				"pgx": func() error { return pushByPgx(t.Context(), dsn) },
				"database/sql": func() error {
					pool, err := pgxpool.New(t.Context(), dsn)
					if err != nil {
						return err
					}
					defer pool.Close()
					q, err := pgqueue.New(pool, sqlqueue.Config{})
					if err != nil {
						return err
					}
					return pushBySQL(t.Context(), db, q)
				},
			}
		}
		for name, push := range pushes {
			if err := push(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		var jobs int
		if err := db.QueryRowContext(t.Context(),
			"SELECT count(*) FROM jobs WHERE CAST(payload AS CHAR(99)) LIKE '%42%'").Scan(&jobs); err != nil || jobs != len(pushes) {
			t.Errorf("%d jobs, %v, want %d", jobs, err, len(pushes))
		}
	})
}
