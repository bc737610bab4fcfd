package open

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// TestSQLiteAddresses: every form in which programs write it is the same file, or is refused with the right form.
func TestSQLiteAddresses(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dsn, path := range map[string]string{
		"sqlite:app.db": "app.db", "sqlite3:app.db": "app.db",
		"sqlite:./app.db": "app.db", "sqlite://app.db": "app.db", "sqlite://./app.db": "app.db",
		"sqlite:app.db?_pragma=foreign_keys(1)": "app.db", "sqlite:app.db?_pragma=busy_timeout(5000)&_txlock=immediate": "app.db",
		"sqlite:file:app.db?mode=rwc": "app.db", "sqlite:FILE:app.db?cache=shared&mode=rw": "app.db", "sqlite://app.db?mode=rwc": "app.db",
		"sqlite3:app.db?_journal_mode=WAL&_fk=1":           "app.db",
		"sqlite:app.db?timeout=20&check_same_thread=False": "app.db", "sqlite3:app.db?pool=5": "app.db",
		"sqlite:app.db?connection_limit=1": "app.db", "sqlite:app.db?": "app.db",
		"sqlite:app.db\n": "app.db", "sqlite:app.db\r\n": "app.db", "sqlite:app.db\r": "app.db",
		"sqlite:file:a%20b%3F%23%25.db": "a b?#%.db", "sqlite:a b.db": "a b.db", "sqlite:100%.db": "100%.db",
		"sqlite:" + dir + "/app.db":   dir + "/app.db",
		"sqlite://" + dir + "/app.db": dir + "/app.db", "sqlite:///" + dir + "/app.db": dir + "/app.db",
		"sqlite:file://" + dir + "/app.db": dir + "/app.db", "sqlite:file://localhost" + dir + "/app.db": dir + "/app.db",
	} {
		a, err := ParseAddress(dsn)
		if err != nil || a.path != filepath.Clean(path) {
			t.Errorf("%q is the file %q, %v; want %q", dsn, a.path, err, path)
		}
	}
	for dsn, says := range map[string]string{
		"sqlite:": "names no file", "sqlite://": "names no file", "sqlite:file:": "names no file", "sqlite:?mode=rwc": "names no file",
		"sqlite::memory:": "in memory", "sqlite://:memory:": "in memory",
		"sqlite:file::memory:?cache=shared": "in memory", "sqlite:file:x?mode=memory": "in memory",
		"sqlite:file:%3Amemory%3A": "in memory",
		"sqlite:app.db?mode=ro":    "mode=ro", "sqlite:file:app.db?immutable=1": `"immutable"`,
		"sqlite:app.db?vfs=memdb": `"vfs"`, "sqlite:what?.db": "%3F",
		"sqlite:app.db?nolock=1": `"nolock"`, "sqlite:a#b.db": "%23",
		"sqlite:a%20b.db": "%20", "sqlite://a%2Fb.db": "%2F", "sqlite:file:a%zz.db": "%25",
		"sqlite:app\n.db": "line end", "sqlite:app.db\t": "control character", "sqlite:file:app%0A.db": "control character",
		"sqlite:file://server/app.db": `"server"`, "sqlite:///app.db": "sqlite:/app.db or sqlite:app.db",
		"sqlite:///no/such/folder/app.db": "sqlite:no/such/folder/app.db",
	} {
		if a, err := ParseAddress(dsn); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is the file %q, %v; want an error with %q", dsn, a.path, err, says)
		}
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("reading addresses made %v, %v", files, err)
	}
}

// TestSQLiteFileMode: a new file is its owner's alone, with those beside it; one that is there keeps its mode.
func TestSQLiteFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	for name, want := range map[string]os.FileMode{"new.db": 0o600, "old.db": 0o640} {
		path := filepath.Join(t.TempDir(), name)
		if name == "old.db" {
			if err := os.WriteFile(path, nil, want); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, want); err != nil {
				t.Fatal(err)
			}
		}
		a, err := ParseAddress("sqlite:" + path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := openSQLite(a, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.DB.ExecContext(t.Context(), "CREATE TABLE a (b)"); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{path, path + "-wal", path + "-shm"} {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want %v", filepath.Base(file), info, err, want)
			}
		}
		d.Close()
	}
}
