package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestE5_Monitor(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "3")
	s.ok("later", "1h", "a")
	s.ok("push", "a", "--queue", "mail")
	const alive = "INSERT INTO job_workers (id, name, host, pid, queues, concurrency, started_at, seen_at) " +
		"VALUES ('y', 'y', 'y', 1, 'default', 1, 1, ?)"
	s.exec(alive, time.Now().Add(time.Hour).UnixMicro())
	if got, want := s.run("monitor", "default", "mail"), `sqlqueue: queue "mail" has ready jobs and no worker`+"\n"; got.code != 2 ||
		got.stderr != want {
		t.Errorf("ready jobs without a worker: %+v, want %q", got, want)
	}
	if out := s.ok("monitor", "default", "mail,empty", "--max", "3", "--min-workers", "0"); strings.Count(out, "\n") != 4 ||
		!strings.Contains(out, "default      3  ") {
		t.Errorf("the table is\n%s", out)
	}

	got := s.run("monitor", "default", "mail", "--max", "2", "--min-workers", "0", "--json")
	if want := `queue "default" has more than 2 ready jobs`; got.code != 2 || !strings.Contains(got.stderr, want) ||
		strings.Contains(got.stderr, "mail") {
		t.Errorf("over the threshold: %+v, want %q", got, want)
	}
	var found []monitored
	fromJSON(t, got.stdout, &found)
	if len(found) != 2 || found[0].Ready != 3 || len(found[0].Alerts) != 1 || found[1].Ready != 1 || len(found[1].Alerts) != 0 {
		t.Errorf("as JSON: %+v", found)
	}

	if got, want := s.run("monitor", "mail", "--min-workers", "1"), `queue "mail" has 0 workers, fewer than 1`; got.code != 2 ||
		!strings.Contains(got.stderr, want) {
		t.Errorf("without a worker: %+v, want %q", got, want)
	}
	s.start("work", "--queue", "mail", "--exec", "true")
	waitFor(t, func() error {
		if got := s.run("monitor", "mail", "--min-workers", "1", "--json"); got.code != 0 {
			return fmt.Errorf("with a worker: %+v", got)
		}
		return nil
	})
	// A worker that has not written its row for long is none.
	s.exec("INSERT INTO job_workers (id, name, host, pid, queues, concurrency, started_at, seen_at) " +
		"VALUES ('x', 'x', 'x', 1, 'old', 1, 1, 1)")
	if got := s.run("monitor", "old", "--min-workers", "1"); got.code != 2 {
		t.Errorf("with a worker that is gone: %+v", got)
	}

	s.fails(2, []string{"needs QUEUE"}, "monitor")
	s.fails(2, []string{"no comma"}, "monitor", "a,,b")
	s.fails(2, []string{"--max"}, "monitor", "a", "--max", "-1")
}
