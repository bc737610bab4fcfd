package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func (s *shell) workers() []operator.Worker {
	s.t.Helper()
	var workers []operator.Worker
	fromJSON(s.t, s.ok("workers", "--json"), &workers)
	return workers
}

// A worker is there before its first job, does what it is told from outside, and is not there any more when it has ended.
func TestE7_Workers(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if out := s.ok("workers"); !strings.HasPrefix(out, "ID") || strings.Count(out, "\n") != 1 {
		t.Errorf("without workers: %q", out)
	}
	if out := s.ok("workers", "--json"); out != "[]\n" {
		t.Errorf("without workers: %q", out)
	}
	s.fails(1, []string{`"nobody": no such worker`}, "workers", "set", "nobody", "--concurrency", "3")
	s.fails(2, []string{"needs --concurrency N"}, "workers", "set", "nobody")
	s.fails(2, []string{"needs ID"}, "workers", "set", "--concurrency", "3")
	s.fails(2, []string{"-1 is too small"}, "workers", "set", "nobody", "--concurrency", "-1")

	p := s.start("work", "--queue", "high,default", "--name", "mailer", "--concurrency", "2", "--exec", "true")
	waitFor(t, func() error {
		if n := len(s.workers()); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	w := s.workers()[0]
	if w.Name != "mailer" || w.PID != p.cmd.Process.Pid || strings.Join(w.Queues, ",") != "high,default" || w.Concurrency != 2 ||
		w.StartedAt.IsZero() || w.SeenAt.IsZero() {
		t.Errorf("the worker is %+v", w)
	}
	var rows []map[string]json.RawMessage
	fromJSON(t, s.ok("workers", "--json"), &rows)
	for _, column := range []string{"id", "name", "host", "pid", "queues", "concurrency", "started_at", "seen_at", "dead"} {
		if _, ok := rows[0][column]; !ok {
			t.Errorf("there is no %s in %v", column, rows[0])
		}
	}
	if out := s.ok("workers"); !strings.Contains(out, w.ID+"  mailer  ") || !strings.Contains(out, "  high,default            2  ") {
		t.Errorf("the table is\n%s", out)
	}

	s.ok("workers", "set", w.ID, "--concurrency", "7")
	p.says("concurrency changed")
	if out := s.ok("workers"); !strings.Contains(out, "7") {
		t.Errorf("the table is\n%s", out)
	}
	s.ok("workers", "set", w.ID, "--concurrency", "0")
	p.says("from=7 to=2")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left := s.workers(); len(left) != 0 {
		t.Errorf("after its end there are the workers %+v", left)
	}
}

func TestD6_MemoryLimitIsExitCode12(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	p := s.start("work", "--exec", "true", "--memory", "1")
	if code := p.wait(); code != 12 {
		t.Errorf("exit code %d, want 12", code)
	}
	p.says("memory limit reached")
}
