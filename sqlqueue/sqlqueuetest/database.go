package sqlqueuetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/sqlqueue/sqlqueue/migrations"
)

func open(path string) (*sql.DB, error) {
	return sql.Open("sqlite",
		"file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_txlock=immediate")
}

// tables is the file of a database that has been migrated and records what is pushed. It is made once in a process.
var tables = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sqlqueuetest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "queue.db")
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(makeTables(context.Background(), db), db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// recordPushes keeps jobs as they were pushed. It is a trigger, so that a push that is rolled back leaves no record, and another
// program's INSERT does.
const recordPushes = `
CREATE TABLE sqlqueuetest_pushed AS SELECT id, queue, priority, payload, available_at, created_at, unique_key FROM jobs;
CREATE TRIGGER sqlqueuetest_record AFTER INSERT ON jobs BEGIN
	INSERT INTO sqlqueuetest_pushed VALUES (NEW.id, NEW.queue, NEW.priority, NEW.payload, NEW.available_at, NEW.created_at, NEW.unique_key);
END`

func makeTables(ctx context.Context, db *sql.DB) error {
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, recordPushes)
	return err
}
