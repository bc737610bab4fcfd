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

// slowQuery takes SQLite a while.
const slowQuery = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n`

// Ctrl-C ends long work after the batch that has begun, and one line says how far it came.
func TestInterruptedWorkIsWhole(t *testing.T) {
	// Each batch takes a while, so that it is still under way when the signal comes.
	const slow = `CREATE TRIGGER slow_%[1]s BEFORE %[2]s ON %[1]s WHEN %[3]s.id %% 500 = 0 BEGIN SELECT count(*) FROM (` + slowQuery + `); END`
	const jobs = 10_000
	for _, test := range []struct {
		args   string
		did    string
		failed bool
		pushes bool
	}{
		{args: "clear", did: "interrupted: deleted %d job"},
		{args: "jobs cancel --name a", did: "interrupted: cancelled %d job"},
		{args: "flush", did: "interrupted: forgot %d failed job", failed: true},
		{args: "forget --all --name a", did: "interrupted: forgot %d failed job", failed: true},
		{args: "retry --all", did: "interrupted: retried %d job", failed: true},
		{args: "push b --count 10000", did: "after %d job", pushes: true},
	} {
		t.Run(test.args, func(t *testing.T) {
			s := migrated(t)
			left := func() int { return s.number("SELECT count(*) FROM jobs") }
			switch {
			case test.failed:
				s.fail(jobs, "default", "a", "broken", 1)
				s.exec(fmt.Sprintf(slow, "failed_jobs", "DELETE", "old"))
				left = func() int { return s.number("SELECT count(*) FROM failed_jobs") }
			case test.pushes:
				s.exec(strings.ReplaceAll(fmt.Sprintf(slow, "jobs", "INSERT", "new"), "BEFORE", "AFTER"))
			default:
				s.ok("push", "a", "--count", fmt.Sprint(jobs))
				s.exec(fmt.Sprintf(slow, "jobs", "DELETE", "old"))
			}
			before := left()
			p := s.start(strings.Fields(test.args)...)
			waitFor(t, func() error {
				if left() == before {
					return fmt.Errorf("nothing is done: %s", p.stderr)
				}
				return nil
			})
			p.signal(syscall.SIGINT)
			code := p.wait()
			done := before - left()
			if test.pushes {
				done = -done
			}
			if done == 0 || done == jobs || done%1000 != 0 {
				t.Errorf("%d rows were changed: that is no part of all, in whole batches", done)
			}
			said := strings.TrimPrefix(p.stderr.String(), "about to cancel 10000+ jobs\n")
			if code != 1 || !strings.HasPrefix(said, "sqlqueue: "+fmt.Sprintf(test.did, done)) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d with %d rows changed, and standard error is %q", code, done, said)
			}
			if n := strings.Count(p.stdout.String(), "\n"); test.pushes && n != done || !test.pushes && n != 0 {
				t.Errorf("printed %d lines", n)
			}
		})
	}
}

// A reader that has seen enough ends the program without a word.
func TestBrokenPipe(t *testing.T) {
	s := migrated(t)
	s.ok("push", "a", `"`+strings.Repeat("x", 1000)+`"`, "--count", "1000")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"jobs", "list", "--limit", "1000"}, {"jobs", "list", "--limit", "1000", "--json"}, {"push", "b", "--count", "15000"}} {
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
