package storetest

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// openSQLite is a real database to test the suite itself on.
func openSQLite(tb testing.TB) Database {
	path := filepath.Join(tb.TempDir(), "test.db")
	pool := func(tb testing.TB) *sql.DB {
		db, err := sql.Open("sqlite",
			"file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)&_txlock=immediate")
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = db.Close() })
		return db
	}
	db := pool(tb)
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err == nil {
		_, err = migrator.Up(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return Database{
		Open: func(tb testing.TB) *sqlqueue.Queue {
			q, err := sqlitequeue.New(pool(tb), sqlqueue.Config{})
			if err != nil {
				tb.Fatal(err)
			}
			return q
		},
		SQL:          db,
		Table:        func(name string) string { return `"` + name + `"` },
		Transactions: []Transactions{SQLTransactions("*sql.Tx", pool(tb), sqlitequeue.WithTx)},
	}
}
