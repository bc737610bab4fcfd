package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3/database"
)

var sqlite = engine{
	versions: `id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now'))`,
	goose:  database.DialectSQLite3,
	quote:  '"',
	exists: `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '%s')`,
	objects: `SELECT m.name, m.type, c.name FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c ON m.type <> 'index'
		WHERE m.name COLLATE NOCASE IN (%s)`,
	appliedAt: `CAST(strftime('%s', max(tstamp)) AS INTEGER)`,
	lock:      lockSQLite,
	setup:     setupSQLite,
}

// setupSQLite makes statements wait for other processes' transactions, at least 5 seconds.
func setupSQLite(ctx context.Context, conn *sql.Conn) (func(), error) {
	const enough = 5000
	var before int
	if err := conn.QueryRowContext(ctx, `PRAGMA busy_timeout`).Scan(&before); err != nil {
		return nil, err
	}
	if before >= enough {
		return func() {}, nil
	}
	set := func(ctx context.Context, ms int) error {
		_, err := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, ms))
		return err
	}
	restore := func() {
		if set(context.WithoutCancel(ctx), before) != nil {
			discard(conn)
		}
	}
	return restore, set(ctx, enough)
}

// lockSQLite locks a file beside the database's: in SQLite a lock is a transaction, and goose needs its own. A database in memory
// belongs to one process.
func lockSQLite(ctx context.Context, conn *sql.Conn, _ string) (func(), error) {
	var file string
	if err := conn.QueryRowContext(ctx, `SELECT COALESCE(file, '') FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
		return nil, err
	}
	if file == "" {
		select {
		case inMemory <- struct{}{}:
			return func() { <-inMemory }, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return lockFile(ctx, file+"-"+VersionTable+".lock")
}

// inMemory holds a token while a database in memory is migrated.
var inMemory = make(chan struct{}, 1)

// lockFile locks a file that it makes if need be, and that release removes. The system gives up the lock of a process that dies.
func lockFile(ctx context.Context, path string) (release func(), err error) {
	for {
		lock := flock.New(path, flock.SetPermissions(0o644))
		if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
		if isAt(path, lock) {
			return func() {
				_ = os.Remove(path) // where an open file cannot be removed, it stays, which is harmless
				_ = lock.Close()
			}, nil
		}
		_ = lock.Close() // the file of an earlier holder, who has removed it since
	}
}

func isAt(path string, lock *flock.Flock) bool {
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
