package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/migrations/migrationstest"
)

// migrateEnv makes the test binary a process that migrates the SQLite file of that name once its standard input is closed.
const migrateEnv = "MIGRATIONS_TEST_FILE"

const patience = 2 * time.Minute // ends what hangs, and fails nothing that is only slow

func TestMain(m *testing.M) {
	if file := os.Getenv(migrateEnv); file != "" {
		os.Exit(migrateFile(file))
	}
	os.Exit(m.Run())
}

func migrateFile(file string) int {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer db.Close()
	_, _ = os.Stdin.Read(make([]byte, 1))
	m, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	applied, err := m.Up(context.Background())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("applied", len(applied))
	return 0
}

func open(t testing.TB, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	for _, journal := range []string{"delete", "wal"} {
		t.Run(journal, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "queue.db")
			if _, err := open(t, file).ExecContext(t.Context(), "PRAGMA journal_mode = "+journal); err != nil {
				t.Fatal(err)
			}
			migrationstest.Run(t, func(t testing.TB) *sql.DB { return open(t, file) }, migrations.SQLite)
			wantNoLockFile(t, dir)
		})
	}
}

func TestSQLiteInMemory(t *testing.T) {
	var group sync.WaitGroup
	for range 4 {
		db := open(t, ":memory:")
		db.SetMaxOpenConns(1)
		m, err := migrations.New(db, migrations.SQLite, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			group.Go(func() {
				if _, err := m.Up(t.Context()); err != nil {
					t.Error(err)
				}
				if version, err := m.Version(t.Context()); err != nil || version != migrations.Latest() {
					t.Errorf("the version is %d, %v", version, err)
				}
			})
		}
	}
	group.Wait()
}

func TestTenProcesses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "queue.db")
	start, starter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer start.Close()
	var processes []*exec.Cmd
	var outputs [10]strings.Builder
	for i := range outputs {
		process := exec.CommandContext(t.Context(), os.Args[0])
		process.Env = append(os.Environ(), migrateEnv+"="+file)
		process.Stdin, process.Stdout, process.Stderr = start, &outputs[i], &outputs[i]
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, process)
	}
	begin := time.Now()
	starter.Close()
	did := map[string]int{}
	for i, process := range processes {
		if err := process.Wait(); err != nil {
			t.Errorf("a process failed: %v: %s", err, &outputs[i])
		}
		did[outputs[i].String()]++
	}
	if all := fmt.Sprintf("applied %d\n", migrations.Latest()); did[all] != 1 || did["applied 0\n"] != 9 {
		t.Errorf("they said %v, want one %q and nine that had nothing to do", did, all)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %v", took)
	}
	wantNoLockFile(t, dir)
}

// A process that was killed while it migrated leaves the lock's file, but not the lock, and a transaction that is rolled back.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "queue.db")
	db := open(t, file)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// holds up the process, at its first statement
	if _, err := tx.ExecContext(t.Context(), `CREATE TABLE other (id integer)`); err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), migrateEnv+"="+file)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	lock := file + "-sqlqueue_migrations.lock"
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if _, err := os.Stat(lock); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the process made no file for its lock")
		}
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if process.Wait() == nil {
		t.Fatal("the process was done before it was killed")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("the dead process's file: %v", err)
	}
	m, err := migrations.New(open(t, file), migrations.SQLite, "")
	if err != nil {
		t.Fatal(err)
	}
	if applied, err := m.Up(t.Context()); err != nil || len(applied) != int(migrations.Latest()) {
		t.Errorf("Up applied %v, %v", applied, err)
	}
	wantNoLockFile(t, dir)
}

// The connection's own busy_timeout is back when it returns to the pool.
func TestBusyTimeoutIsRestored(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "queue.db"))
	db.SetMaxOpenConns(1)
	m, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 77, 60000} {
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA busy_timeout = %d", want)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got int
		if err := db.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&got); err != nil || got != want {
			t.Errorf("busy_timeout is %d, %v, want %d", got, err, want)
		}
	}
}

func wantNoLockFile(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
