package migrationstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/sqlqueue/sqlqueue/migrations"
)

func (s suite) tenAtOnce(t *testing.T) {
	for _, step := range []func(*migrations.Migrator) ([]migrations.Migration, error){
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.Up(t.Context()) },
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.DownAll(t.Context()) },
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.Up(t.Context()) },
	} {
		start := time.Now()
		changed := make(chan []migrations.Migration, 10)
		var group sync.WaitGroup
		for range cap(changed) {
			m := s.migrator(t, s.open(t), "")
			group.Go(func() {
				did, err := step(m)
				if err != nil {
					t.Error(err)
				}
				changed <- did
			})
		}
		group.Wait()
		close(changed)
		workers := 0
		for did := range changed {
			if len(did) == int(migrations.Latest()) {
				workers++
			} else if len(did) != 0 {
				t.Errorf("one of them did %v", did)
			}
		}
		if workers != 1 {
			t.Errorf("%d of them did the work, want 1", workers)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

func (s suite) oneConnection(t *testing.T) {
	db := s.open(t)
	db.SetMaxOpenConns(1)
	m := s.migrator(t, db, "")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := m.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s.wantVersion(t, m, migrations.Latest())
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s suite) waitEndsWithContext(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.migrator(t, s.open(t), "").Up(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error of a wait that ran out is %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it came %v after the call with 200 ms to wait", took)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.migrator(t, s.db, "").Up(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("the error with a canceled context is %v", err)
	}

	down.unblock()
	if err := <-down.done; err != nil {
		t.Errorf("Down that was held up: %v", err)
	}
	// whoever gave up holds no lock
	if _, err := s.migrator(t, s.open(t), "").Up(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s suite) cancelWhileMigrating(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)
	start := time.Now()
	down.cancel()
	if <-down.done == nil {
		t.Error("Down says nothing of the end of its context")
	}
	if took := time.Since(start); took > 20*time.Second { // some drivers of SQLite wait for the busy_timeout all the same
		t.Errorf("it came %v after its context ended", took)
	}
	down.unblock()
	m := s.migrator(t, s.open(t), "")
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	s.wantVersion(t, m, 0)
}

func (s suite) deadSession(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)
	next := make(chan error, 1)
	m := s.migrator(t, s.open(t), "")
	go func() {
		_, err := m.Up(t.Context())
		next <- err
	}()
	if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf(s.endSession(), down.session)); err != nil {
		t.Fatal(err)
	}
	if <-down.done == nil {
		t.Error("Down says nothing of the end of its session")
	}
	down.unblock()
	if err := <-next; err != nil {
		t.Errorf("the next in line: %v", err)
	}
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	s.up(t, "")
}

// blocked is a Down that holds the migration lock and cannot go on until unblock.
type blocked struct {
	done    chan error
	cancel  context.CancelFunc
	unblock func()
	session int64 // the server's number of its session, not on SQLite
}

func (s suite) blockedDown(t *testing.T) blocked {
	tx, err := s.open(t).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	down := blocked{done: make(chan error, 1), cancel: cancel, unblock: func() { _ = tx.Rollback() }}
	t.Cleanup(down.unblock)
	t.Cleanup(cancel)
	hold := `SELECT 1 FROM ` + s.firstToGo(t)
	if s.dialect == migrations.SQLite {
		hold = `UPDATE jobs SET attempts = 0` // of no row, but it takes the database's write lock
	}
	if _, err := tx.ExecContext(t.Context(), hold); err != nil {
		t.Fatal(err)
	}

	db := s.open(t)
	if s.dialect == migrations.SQLite {
		db.SetMaxOpenConns(1)
		if _, err := db.ExecContext(t.Context(), `PRAGMA busy_timeout = 15000`); err != nil {
			t.Fatal(err)
		}
	}
	m := s.migrator(t, db, "")
	go func() {
		_, err := m.Down(ctx)
		down.done <- err
	}()
	if s.dialect == migrations.SQLite {
		var file string
		if err := s.db.QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
			t.Fatal(err)
		}
		s.eventually(t, func() bool { return isLocked(file + "-" + migrations.VersionTable + ".lock") })
		return down
	}
	s.eventually(t, func() bool { return s.db.QueryRowContext(t.Context(), s.findDrop()).Scan(&down.session) == nil })
	return down
}

// firstToGo is the table that Down changes first.
func (s suite) firstToGo(t *testing.T) string {
	files, err := migrations.Files(s.dialect, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(files, slices.Max(names))
	if err != nil {
		t.Fatal(err)
	}
	_, down, _ := strings.Cut(string(text), "-- +goose Down")
	found := regexp.MustCompile(`(?:DROP|ALTER) TABLE ["` + "`" + `]?(\w+)`).FindStringSubmatch(down)
	if found == nil {
		t.Fatalf("Down of the last step changes no table:\n%s", down)
	}
	return found[1]
}

// isLocked reports whether a file is there and somebody has locked it.
func isLocked(file string) bool {
	if _, err := os.Stat(file); err != nil {
		return false
	}
	lock := flock.New(file)
	defer func() { _ = lock.Close() }()
	mine, err := lock.TryLock()
	return err == nil && !mine
}

// findDrop selects the session whose DROP TABLE or ALTER TABLE waits.
func (s suite) findDrop() string {
	if s.dialect == migrations.Postgres {
		return `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' ` +
			`AND (query LIKE 'DROP TABLE%' OR query LIKE 'ALTER TABLE%')`
	}
	return `SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%' ` +
		`AND (info LIKE 'DROP TABLE%' OR info LIKE '%ALTER TABLE%')`
}

func (s suite) endSession() string {
	if s.dialect == migrations.Postgres {
		return `SELECT pg_terminate_backend(%d)`
	}
	return `KILL %d`
}
