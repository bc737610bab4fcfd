package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// fileInterval is how often a store checks whether the database's file is still the one that was opened.
const fileInterval = time.Second

// file notices that the database's file was replaced or deleted under open connections, as by the restore of a backup. The connections go
// on with the old file, which has no name any more, and what they write is lost. So it is with the -wal and the -shm file, on Linux.
type file struct {
	mu     sync.Mutex
	path   string      // as SQLite opened it; empty: in memory
	opened fs.FileInfo // nil: not known yet
	looked time.Time
}

// check returns a *sqlqueue.RefusedError once the file is another one.
func (f *file) check(ctx context.Context, pool *sql.DB) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since := time.Since(f.looked); !f.looked.IsZero() && since >= 0 && since < fileInterval {
		return nil
	}
	if f.looked.IsZero() {
		const selectFile = "SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'"
		if err := pool.QueryRowContext(ctx, selectFile).Scan(&f.path); err != nil {
			return translate(err)
		}
	}
	f.looked = time.Now()
	if f.path == "" {
		return nil
	}
	now, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.opened == nil:
		f.path = "" // a database that is not a file of the system, such as one in memory
	case errors.Is(err, fs.ErrNotExist):
		f.looked = time.Time{}.Add(1) // the next operation looks again
		return f.refused("is gone")
	case err != nil:
		return nil //nolint:nilerr // it is not known whether it is another file
	case f.opened == nil:
		f.opened = now
	case !os.SameFile(f.opened, now):
		f.looked = time.Time{}.Add(1)
		return f.refused("was replaced by another")
	}
	if beside := f.deletedBeside(); beside != "" {
		f.looked = time.Time{}.Add(1)
		return refused(beside, "was replaced or deleted")
	}
	return nil
}

// deletedBeside looks twice: SQLite deletes the file just before it closes it.
func (f *file) deletedBeside() string {
	const closes = 10 * time.Millisecond
	if deletedBeside(f.path) == "" {
		return ""
	}
	time.Sleep(closes) //nolint:forbidigo // there is no condition to wait for
	return deletedBeside(f.path)
}

func (f *file) refused(how string) error { return refused(f.path, how) }

func refused(path, how string) error {
	return &sqlqueue.RefusedError{
		Err:  fmt.Errorf("the database's file %s %s while it was open", path, how),
		Cure: "what is written to the old one is lost; start this process again, and stop workers before a backup is restored",
	}
}
