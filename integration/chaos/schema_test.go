package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// TestSchema: the tables go away and come back under load, and then are of a version that the workers do not know.
func TestSchema(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(2)
		w.produce(2, usual)
		w.pass(time.Second)
		w.migrate("down", "--all", "--yes")
		database := w.open(w.direct)
		if _, err := database.Queue.Push(t.Context(), pushJob{kind: Plain, Token: "nowhere"}); !errors.Is(err, sqlqueue.ErrNotMigrated) {
			t.Errorf("a push without tables: %v", err)
		}
		w.says("said-old", "tables are missing")
		w.pushing()
		w.migrate("up")
		w.forget()
		w.produce(2, usual)
		w.pass(2 * time.Second)
		w.settle()

		for _, newer := range []string{
			"UPDATE sqlqueue_migrations SET version_id = 99 WHERE version_id = 1",
			"INSERT INTO job_schema (compatible_from) VALUES (99)",
		} {
			if _, err := database.ExecContext(t.Context(), newer); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), binaries["old"], "work", "--once")
		cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+w.direct)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "use a newer sqlqueue") {
			t.Errorf("a worker of an older version: %v: %s", err, out)
		}
	})
}

// forget begins a new history: the jobs of the old one are gone. What waited in a worker that did not notice may still be told.
func (w *world) forget() {
	w.Helper()
	w.team.stop()
	names, err := filepath.Glob(filepath.Join(w.history, "*.history"))
	w.must(err)
	for _, name := range names {
		w.must(os.Truncate(name, 0))
	}
	if _, err := w.open(w.direct).ExecContext(w.Context(), "DELETE FROM effects"); err != nil {
		w.Fatal(err)
	}
	w.work(2)
}

// says waits until a file of the workers' says something.
func (w *world) says(name, text string) {
	w.Helper()
	var said []byte
	if !w.await(30*time.Second, func(context.Context) bool {
		said, _ = os.ReadFile(filepath.Join(w.history, name))
		return strings.Contains(string(said), text)
	}) {
		w.Errorf("%s does not say %q:\n%s", name, text, said[max(0, len(said)-2000):])
	}
}
