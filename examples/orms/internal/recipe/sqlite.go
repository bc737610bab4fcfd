package recipe

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// CheckSQLite checks a driver of SQLite, which open opens a file with.
func CheckSQLite(t *testing.T, open func(file string) (*sql.DB, error)) {
	t.Helper()
	db, err := open(filepath.Join(t.TempDir(), "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	Migrate(t, db, migrations.SQLite)
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	Check(t, db, q, func(ctx context.Context, id int64, pay func(id int64) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
			return err
		}
		if _, err := sqlitequeue.WithTx(q, tx).Push(ctx, SendInvoice{OrderID: id}); err != nil {
			return err
		}
		if err := pay(id); err != nil {
			return err
		}
		return tx.Commit()
	})
}
