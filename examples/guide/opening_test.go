package guide

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

func pushFromGo(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:shop.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		return err
	}
	id, err := q.Push(ctx, SendInvoice{OrderID: 42})
	_ = id
	return err
}

func migrate(ctx context.Context, db *sql.DB) error {
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}

func TestPushFromGo(t *testing.T) { // not parallel: the file is in the working directory
	t.Chdir(t.TempDir())
	if err := pushFromGo(t.Context()); err == nil || !strings.Contains(err.Error(), "migrate up") {
		t.Errorf("a database without tables: %v", err)
	}
	db, err := sql.Open("sqlite", "file:shop.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := pushFromGo(t.Context()); err != nil {
		t.Fatal(err)
	}
}
