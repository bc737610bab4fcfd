//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// slowQuery takes SQLite a while: it counts so far.
const slowQuery = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n`

// Ctrl-C ends long work after the batch that has begun, and one line says how far it came.
func TestInterruptedWorkIsWhole(t *testing.T) {
	t.Parallel()
	for _, test := range []interruptedWork{
		{args: "clear --yes", did: "interrupted: deleted %d job"},
		{args: "jobs cancel --name a --yes", did: "interrupted: cancelled %d job"},
		{args: "flush --yes", did: "interrupted: forgot %d failed job", failed: true},
		{args: "forget --all --name a --yes", did: "interrupted: forgot %d failed job", failed: true},
		{args: "retry --all", did: "interrupted: retried %d job", failed: true},
		{args: "push b --count 10000", did: "after %d job", pushes: true},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			// How long a batch must take, so that the signal comes before the end of all, depends on how busy the machine is.
			for slowness := 20_000; !test.run(t, slowness); slowness *= 4 {
				t.Logf("all was done before the signal came, with batches of %d", slowness)
			}
		})
	}
}

// interruptedWork is a command that changes jobsToChange rows, in batches.
type interruptedWork struct {
	args   string
	did    string
	failed bool
	pushes bool
}

const jobsToChange = 10_000

// run interrupts the command after its first batch. It returns false if the command was done before the signal came.
func (w interruptedWork) run(t *testing.T, slowness int) bool {
	t.Helper()
	// Each batch after the first takes a while, so that there is work to be done when the signal comes.
	slow := func(table, event, row string) string {
		return fmt.Sprintf(`CREATE TRIGGER slow BEFORE %s ON %s WHEN %s.id > 1000 AND %s.id %% 500 = 0 BEGIN `+
			`SELECT count(*) FROM (%s); END`,
			event, table, row, row, fmt.Sprintf(slowQuery, slowness))
	}
	s := migrated(t)
	left := func() int { return s.number("SELECT count(*) FROM jobs") }
	switch {
	case w.failed:
		s.fail(jobsToChange, "default", "a", "broken", 1)
		s.exec(slow("failed_jobs", "DELETE", "old"))
		left = func() int { return s.number("SELECT count(*) FROM failed_jobs") }
	case w.pushes:
		s.exec(strings.ReplaceAll(slow("jobs", "INSERT", "new"), "BEFORE", "AFTER"))
	default:
		s.push(jobsToChange, "default", "a")
		s.exec(slow("jobs", "DELETE", "old"))
	}
	before := left()
	p := s.start(strings.Fields(w.args)...)
	waitFor(t, func() error {
		if left() == before {
			return fmt.Errorf("nothing is done: %s", p.stderr)
		}
		return nil
	})
	p.signal(syscall.SIGINT)
	code := p.wait()
	done := before - left()
	if w.pushes {
		done = -done
	}
	if done == jobsToChange && code != 1 { // 0, or -1 when the signal came after the work
		return false
	}
	if done == 0 || done == jobsToChange || done%1000 != 0 {
		t.Errorf("%d rows were changed: that is no part of all, in whole batches", done)
	}
	said := strings.TrimPrefix(p.stderr.String(), "about to cancel 10000+ jobs in sqlite file "+s.file()+"\n")
	if strings.HasPrefix(said, "to undo: ") {
		_, said, _ = strings.Cut(said, "\n")
	}
	if code != 1 || !strings.HasPrefix(said, "sqlqueue: "+fmt.Sprintf(w.did, done)) || strings.Count(said, "\n") != 1 {
		t.Errorf("exit code %d with %d rows changed, and standard error is %q", code, done, said)
	}
	if n := strings.Count(p.stdout.String(), "\n"); w.pushes && n != done || !w.pushes && n != 0 {
		t.Errorf("printed %d lines", n)
	}
	return true
}

// A reader that has seen enough ends the program without a word.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", `"`+strings.Repeat("x", 1000)+`"`, "--count", "1000")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"jobs", "list", "--limit", "1000"}, {"jobs", "list", "--limit", "1000", "--json"}, {"push", "b", "--count", "15000"},
	} {
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Env = append(os.Environ(), asProgram+"="+stock, "SQLQUEUE_DSN="+s.dsn)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(stdout, 16).ReadString('\n'); err != nil {
			t.Error(err)
		}
		if err := stdout.Close(); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if err != nil && (!status.Signaled() || status.Signal() != syscall.SIGPIPE) || stderr.Len() > 0 {
			t.Errorf("%q ends with %v and says %q", args, err, &stderr)
		}
	}
}
