package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// nothingOfBench fails if bench has left anything.
func (s *shell) nothingOfBench() {
	s.t.Helper()
	for _, job := range s.jobs() {
		if strings.HasPrefix(job.Queue, "bench-") {
			s.t.Errorf("left is %+v", job)
		}
	}
	if workers := s.workers(); len(workers) != 0 {
		s.t.Errorf("left are the workers %+v", workers)
	}
}

// Bench prints what the contract says, and neither runs nor changes the jobs of others, not even those whose reservations have expired.
func TestBench(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	s.ok("later", "1h", "b")
	s.ok("push", "c")
	s.reserve(3)
	s.exec("UPDATE jobs SET expires_at = 1 WHERE id = 3")
	before := s.ok("jobs", "list", "--json")

	var got map[string]any
	fromJSON(t, s.ok("bench", "--jobs", "1200", "--json"), &got)
	for _, name := range []string{
		"enqueue_single_per_second", "enqueue_batch_per_second", "drain_per_second", "latency_p50_ms", "latency_p95_ms",
	} {
		if number, ok := got[name].(float64); !ok || number <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if got["latency_p50_ms"].(float64) > got["latency_p95_ms"].(float64) {
		t.Errorf("half of the jobs waited longer than 95 %% of them: %v", got)
	}
	settings, _ := got["settings"].(map[string]any)
	if got["engine"] != "sqlite" || got["jobs"] != 1200.0 || settings["journal_mode"] != "WAL" || settings["synchronous"] != "NORMAL" ||
		!strings.HasPrefix(fmt.Sprint(settings["version"]), "3.") {
		t.Errorf("it stands for %v", got)
	}
	if after := s.ok("jobs", "list", "--json"); after != before {
		t.Errorf("the jobs of others were\n%sand are\n%s", before, after)
	}
	s.nothingOfBench()
}

func TestBenchForPeople(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	out := s.ok("bench", "--jobs", "1")
	for _, text := range []string{
		"MEASURED", "ON SQLITE 3.", "enqueue, one at a time", "enqueue, batches of 1000", "drain, no-op handlers",
		"push to start, at 100 jobs/s", "p50 ", "p95 ", "\njournal_mode = WAL: a commit is appended",
		"\nsynchronous = NORMAL: a commit returns before it is on disk",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

func TestBenchMistakes(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.fails(1, []string{"there is no database", "migrate up"}, "bench")
	s.exec("CREATE TABLE other (id INTEGER)")
	s.fails(1, []string{"run sqlqueue migrate up"}, "bench")
	s.ok("migrate", "up")
	for value, says := range map[string]string{
		"0": "0 is too small: use 1 or more", "-1": "-1 is too small",
		"many": `"many" is not a whole number`, "10000001": "10000001 is too large: use at most 10000000",
	} {
		s.fails(2, []string{"--jobs", says}, "bench", "--jobs", value)
	}
	s.fails(2, []string{`does not take "mail"`}, "bench", "mail")
}

// Whatever ends it, its jobs are deleted.
func TestBenchCleansUp(t *testing.T) {
	t.Parallel()
	const full = "CREATE TRIGGER full BEFORE INSERT ON jobs WHEN (SELECT count(*) FROM jobs) = 50 BEGIN " +
		"SELECT RAISE(FAIL, 'disk full'); END"
	t.Run("after an error", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		s.exec(full)
		s.fails(1, []string{"disk full"}, "bench")
		s.nothingOfBench()
	})
	t.Run("not when it cannot", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		s.exec(full)
		s.exec("CREATE TRIGGER kept BEFORE DELETE ON jobs BEGIN SELECT RAISE(FAIL, 'read-only'); END")
		s.fails(1, []string{"disk full", "its jobs are left: run sqlqueue clear --include-reserved --queue bench-", "read-only"}, "bench")
	})
	t.Run("paused", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		s.ok("pause")
		s.fails(1, []string{"only 0 of 21 jobs ran: the queues are paused"}, "bench", "--jobs", "10")
		s.nothingOfBench()
	})
	for name, begun := range map[string]func(s *shell) bool{
		"interrupted while it enqueues": func(s *shell) bool { return len(s.jobs()) > 0 },
		"interrupted while it works":    func(s *shell) bool { return len(s.workers()) > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			p := s.start("bench", "--jobs", "2000")
			waitFor(t, func() error {
				if !begun(s) {
					return errors.New("it does not begin")
				}
				return nil
			})
			p.signal(syscall.SIGINT)
			if code := p.wait(); code != 1 || p.stdout.Len() > 0 || p.stderr.String() != "sqlqueue: interrupted\n" {
				t.Errorf("exit code %d, printed %q and %q", code, &p.stdout, p.stderr)
			}
			s.nothingOfBench()
		})
	}
}

// An application's own settings and handlers have no part in it.
func TestBenchInAnApplication(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	mux := worker.NewMux()
	mux.HandleAll(func(context.Context, *worker.Job[json.RawMessage]) error {
		t.Error("a handler of the application was called")
		return nil
	})
	options := Options{
		Name: "shop", DSN: s.dsn, Mux: mux, Config: sqlqueue.Config{Queue: "mail", Sync: true, Runner: mux},
		Worker: worker.Config{Queues: []string{"mail"}, MaxJobs: 1},
	}
	if got := runWith(t.Context(), options, "", "bench", "--jobs", "10", "--json"); got.code != 0 ||
		!strings.Contains(got.stdout, `"jobs":10,`) {
		t.Errorf("the result is %+v", got)
	}
	s.nothingOfBench()
}
