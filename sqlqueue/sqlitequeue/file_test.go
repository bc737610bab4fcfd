package sqlitequeue

import (
	"database/sql"
	"errors"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// TestFileReplaced: when the file is replaced or deleted, workers and pushes are told, instead of going on with a file that has no name.
func TestFileReplaced(t *testing.T) {
	type change = func(path string) error
	changes := map[string]change{
		"replaced": func(path string) error { return os.Rename(migratedFile(t, "WAL", ""), path) },
		"gone":     os.Remove,
	}
	if runtime.GOOS == "linux" {
		of := func(suffix string, do change) change { return func(path string) error { return do(path + suffix) } }
		overwrite := func(path string) error { return os.Rename(migratedFile(t, "DELETE", ""), path) }
		maps.Copy(changes, map[string]change{
			"-wal was replaced or deleted": of("-wal", os.Remove),
			"-wal was replaced":            of("-wal", overwrite), "-shm was replaced": of("-shm", os.Remove),
		})
	}
	for how, change := range changes {
		path := migratedFile(t, "WAL", "")
		q := newQueue(t, openPath(t, path, "WAL"))
		exchange := func() error {
			x := driver.Exchange{Number: "w-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}}}
			_, err := q.Exchange(t.Context(), x)
			return err
		}
		if err := exchange(); err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		var refused *sqlqueue.RefusedError
		for deadline := time.Now().Add(time.Minute); !errors.As(exchange(), &refused); {
			if time.Now().After(deadline) {
				t.Fatalf("it is not noticed that the file is %s", how)
			}
		}
		if !strings.Contains(refused.Error(), how) || !strings.Contains(refused.Error(), path) {
			t.Errorf("the error is %v, want that %s is %s", refused, path, how)
		}
		if _, err := q.Push(t.Context(), sqlqueue.Named("job", nil)); !errors.As(err, &refused) {
			t.Errorf("a push after it: %v", err)
		}
	}
}

// TestRefused: what SQLite refuses for good is told apart from what passes.
func TestRefused(t *testing.T) {
	path := migratedFile(t, "DELETE", "")
	db := must(sql.Open("sqlite", "file:"+path+"?mode=ro"))(t)
	t.Cleanup(func() { _ = db.Close() })
	var refused *sqlqueue.RefusedError
	_, err := newQueue(t, db).Push(t.Context(), sqlqueue.Named("job", nil))
	if !errors.As(err, &refused) || !strings.Contains(refused.Cure, "write") {
		t.Errorf("a push to a file that can only be read: %v", err)
	}
	other := t.TempDir() + "/other.db"
	if err := os.WriteFile(other, []byte(strings.Repeat("this is a text and no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	db = must(sql.Open("sqlite", "file:"+other))(t)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := newQueue(t, db).Push(t.Context(), sqlqueue.Named("job", nil)); !errors.As(err, &refused) {
		t.Errorf("a push to a file that is no database: %v", err)
	}
	if err := translate(errors.New("database or disk is full (13)")); errors.As(err, &refused) {
		t.Error("a full disk is taken for something that never passes")
	}
}

// TestNil: a database or a transaction that was forgotten is an error, and no panic.
func TestNil(t *testing.T) {
	if _, err := New(nil, sqlqueue.Config{}); err == nil || !strings.Contains(err.Error(), "the database is nil") {
		t.Errorf("a nil database: %v", err)
	}
	q := WithTx(newQueue(t, openFile(t)), nil)
	if _, err := q.Push(t.Context(), sqlqueue.Named("job", nil)); err == nil || !strings.Contains(err.Error(), "the transaction is nil") {
		t.Errorf("a push in a nil transaction: %v", err)
	}
}
