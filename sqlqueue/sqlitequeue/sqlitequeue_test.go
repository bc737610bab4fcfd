package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// openFile opens a database file of its own with the tables. The application's busy_timeout is 0, so that it is the store that waits.
func openFile(tb testing.TB) *sql.DB {
	tb.Helper()
	return openPath(tb, migratedFile(tb, "WAL", ""), "WAL")
}

// migratedFiles are database files with the tables, by journal mode and prefix. Each is migrated once, or by a few tests at once.
var migratedFiles sync.Map

// migratedFile is the path of a new database file with the tables.
func migratedFile(tb testing.TB, journal, prefix string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "queue.db")
	key := journal + " " + prefix
	file, ok := migratedFiles.Load(key)
	if !ok {
		template := filepath.Join(tb.TempDir(), "template.db")
		db := openPath(tb, template, journal)
		migrate(tb, db, prefix)
		if err := db.Close(); err != nil {
			tb.Fatal(err)
		}
		file = must(os.ReadFile(template))(tb)
		migratedFiles.Store(key, file)
	}
	if err := os.WriteFile(path, file.([]byte), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func openPath(tb testing.TB, path, journal string) *sql.DB {
	tb.Helper()
	db := must(sql.Open("sqlite", address(path, journal)))(tb)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func address(path, journal string) string {
	return "file:" + path + "?_pragma=synchronous(OFF)&_pragma=journal_mode(" + journal + ")"
}

func migrate(tb testing.TB, db *sql.DB, prefix string) *sql.DB {
	tb.Helper()
	migrator, err := migrations.New(db, migrations.SQLite, prefix)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := migrator.Up(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return db
}

func newQueue(tb testing.TB, db *sql.DB) *sqlqueue.Queue {
	tb.Helper()
	q, err := New(db, sqlqueue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func execute(tb testing.TB, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, statements ...string,
) {
	tb.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

var (
	job = sqlqueue.Named("job", nil)

	// reserveOne asks for one job of the default queue, and for what has expired.
	reserveOne = driver.Exchange{
		Number: "w-1", Limit: 1, Requeue: 10, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}},
	}
)

func TestNewRefuses(t *testing.T) {
	db := openPath(t, filepath.Join(t.TempDir(), "queue.db"), "WAL")
	if _, err := New(nil, sqlqueue.Config{}); err == nil {
		t.Error("a nil database was taken")
	}
	if _, err := New(db, sqlqueue.Config{Prefix: `x"y`}); err == nil {
		t.Error("a prefix with a quote was taken")
	}
	if _, err := New(db, sqlqueue.Config{Schema: "app"}); err == nil || !strings.Contains(err.Error(), "open another file") {
		t.Errorf("with a schema: %v", err)
	}
}

func TestCheck(t *testing.T) {
	db := openPath(t, filepath.Join(t.TempDir(), "queue.db"), "WAL")
	q := newQueue(t, db)
	if err := q.Check(t.Context()); !errors.Is(err, sqlqueue.ErrNotMigrated) {
		t.Errorf("without tables: %v, want ErrNotMigrated", err)
	}
	migrate(t, db, "")
	if err := q.Check(t.Context()); err != nil {
		t.Errorf("with tables: %v", err)
	}
}

func TestSupportedVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"3.35.0": true, "3.53.3": true, "3.100.1": true, "4.0.0": true, "3.34.1": false, "2.40.0": false, "": false, "three": false,
	} {
		if got := supported(version); got != want {
			t.Errorf("supported(%q) = %v", version, got)
		}
	}
}

// Two hours pass in the bubble, in no time, with a real database.
func TestClockIsGos(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		db := migrate(t, openPath(t, path, "WAL"), "")
		q := newQueue(t, db)
		start := time.Now()
		id := must(q.Later(t.Context(), 2*time.Hour, job))(t)

		answer := must(q.Exchange(t.Context(), reserveOne))(t)
		if len(answer.Reserved) != 0 || !answer.NextDue.Equal(start.Add(2*time.Hour)) || !answer.Now.Equal(start) {
			t.Fatalf("before: %+v", answer)
		}
		<-time.After(time.Until(answer.NextDue))
		answer = must(q.Exchange(t.Context(), reserveOne))(t)
		if len(answer.Reserved) != 1 || answer.Reserved[0].ID != id {
			t.Fatalf("after: %+v", answer)
		}
		if got, want := answer.Reserved[0].ExpiresAt, start.Add(2*time.Hour+time.Minute); !got.Equal(want) {
			t.Errorf("expires at %v, want %v", got, want)
		}
		_ = db.Close()
	})
}

type otherStore struct{ driver.Store }

type wrapper struct{ driver.Store }

func (w wrapper) Unwrap() driver.Store { return w.Store }

func TestWithTxOfAnotherQueue(t *testing.T) {
	db := openFile(t)
	tx := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = tx.Rollback() }()

	foreign := must(sqlqueue.New(otherStore{}, sqlqueue.Config{}))(t)
	if _, err := WithTx(foreign, tx).Push(t.Context(), job); err == nil || !strings.Contains(err.Error(), "not made by sqlitequeue.New") {
		t.Errorf("a queue of another database: %v", err)
	}
	if _, err := WithTx(newQueue(t, db), nil).Push(t.Context(), job); err == nil || !strings.Contains(err.Error(), "transaction is nil") {
		t.Errorf("no transaction: %v", err)
	}
}

func TestWithTxOfAWrappedStore(t *testing.T) {
	db := openFile(t)
	q := must(sqlqueue.New(wrapper{wrapper{newStore(db, "")}}, sqlqueue.Config{}))(t)
	tx := must(db.BeginTx(t.Context(), nil))(t)
	must(WithTx(q, tx).Push(t.Context(), job))(t)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if jobs := must(operator.New(q).Jobs(t.Context(), operator.JobFilter{}))(t); len(jobs) != 0 {
		t.Errorf("after the rollback: %v", jobs)
	}
}

// A deferred transaction whose first statement is the queue's begins as a writer: it does not fail later because others have written.
func TestWithTxBecomesTheWriter(t *testing.T) {
	db := openFile(t)
	q := newQueue(t, db)
	must(q.Push(t.Context(), job))(t)
	reserved := must(q.Exchange(t.Context(), reserveOne))(t).Reserved[0]

	tx := must(db.BeginTx(t.Context(), nil))(t)
	bound := WithTx(q, tx)
	if err := bound.Hold(t.Context(), reserved); err != nil {
		t.Fatal(err)
	}
	other := must(db.Conn(t.Context()))(t)
	defer func() { _ = other.Close() }()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err == nil || !isBusy(err) {
		t.Fatalf("another writer, while the job is held: %v, want SQLITE_BUSY", err)
	}
	if err := bound.Delete(t.Context(), reserved); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if jobs := must(operator.New(q).Jobs(t.Context(), operator.JobFilter{}))(t); len(jobs) != 0 {
		t.Errorf("after the commit: %v", jobs)
	}
}

// What is in the caller's transaction is the caller's to repeat.
func TestWithTxIsNotRepeated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		db := migrate(t, openPath(t, path, "WAL"), "")
		q := newQueue(t, db)
		tx := must(db.BeginTx(t.Context(), nil))(t)
		must(operator.New(WithTx(q, tx)).Jobs(t.Context(), operator.JobFilter{}))(t) // begins with a read
		must(q.Push(t.Context(), job))(t)                                            // others write

		start := time.Now()
		_, err := WithTx(q, tx).Push(t.Context(), job)
		if err == nil || !isBusy(err) {
			t.Errorf("got %v, want SQLITE_BUSY", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it waited for %v", waited)
		}
		_ = tx.Rollback()
		_ = db.Close()
	})
}

func TestExchangeInATransactionOnlySettles(t *testing.T) {
	db := openFile(t)
	tx := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = tx.Rollback() }()
	bound := WithTx(newQueue(t, db), tx)
	for name, x := range map[string]driver.Exchange{
		"touch":     {Touch: []driver.Touch{{}}},
		"abandoned": {Abandoned: []string{"w-1"}},
		"requeue":   {Requeue: 1},
		"reserve":   {Limit: 1, Number: "w-1"},
	} {
		if _, err := bound.Exchange(t.Context(), x); err == nil || !strings.Contains(err.Error(), "only settle") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
