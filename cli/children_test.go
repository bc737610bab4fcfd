//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// A killed worker's command dies with it, and the job runs again, elsewhere, after expire.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	dir := t.TempDir()
	s.ok("push", "a")
	command := `echo $$ >` + dir + `/$SQLQUEUE_JOB_ATTEMPTS; test $SQLQUEUE_JOB_ATTEMPTS -gt 1 || exec sleep 1000`
	first := s.start("work", "--exec", command, "--expire", "1000")
	command1 := waitForFile(t, filepath.Join(dir, "1"))
	first.signal(syscall.SIGKILL)
	first.wait()
	clitest.CheckGone(t, command1)
	s.exec("UPDATE jobs SET expires_at = 1 WHERE reserved = 1") // expire is over

	second := s.start("work", "--exec", command, "--max-jobs", "1")
	waitForFile(t, filepath.Join(dir, "2"))
	if code := second.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, second.stderr)
	}
	if jobs := s.jobs(); len(jobs) != 0 {
		t.Errorf("left are %+v", jobs)
	}
}

// When the grace is over, or with a second signal, the command is killed with all that it has started, and the job runs again.
func TestSignalEndsCommands(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args    []string
		signals int
		says    string
	}{
		"grace is over":         {[]string{"--grace", "0.1", "--kill-after", "0.1"}, 1, "1 interrupted"},
		"second signal":         {[]string{"--grace", "1000", "--kill-after", "1000"}, 2, "second signal"},
		"grace is over, reused": {[]string{"--reuse", "--grace", "0.1", "--kill-after", "0.1"}, 1, "1 interrupted"},
		"second signal, reused": {[]string{"--reuse", "--grace", "1000", "--kill-after", "1000"}, 2, "second signal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			pidFile := filepath.Join(t.TempDir(), "pid")
			s.ok("push", "a")
			p := s.start(append([]string{
				"work", "--delay", "0", "--exec", `trap "" TERM; sh -c 'echo $$ >` + pidFile + `; exec sleep 1000'; true`,
			}, test.args...)...)
			grandchild := waitForFile(t, pidFile)
			for i := range test.signals {
				p.signal([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT}[i])
				p.says("finishing")
			}
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			p.says(test.says)
			clitest.CheckGone(t, grandchild)
			if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Reserved {
				t.Errorf("left are %+v, want the job, put back", jobs)
			}
		})
	}
}

// Nothing of a job, its grandchildren in sessions of their own included, is left when the worker is killed.
func TestD4_NothingIsLeftOfAKilledWorker(t *testing.T) {
	t.Parallel()
	tree := `for i in 1 2 3 4 5; do (setsid sh -c 'echo pid $$; exec sleep 1000' &); sh -c 'echo pid $$; exec sleep 1000' & done; ` +
		`echo pid $$; wait`
	for name, c := range map[string]struct {
		job  string
		args []string
		pids int
	}{
		"work --exec":        {"any", []string{"work", "--exec", tree}, 11},
		"listen --exec":      {"any", []string{"listen", "--exec", tree}, 11},
		"listen":             {"loop", []string{"listen"}, 1},
		"listen, grandchild": {"grandchild", []string{"listen"}, 1},
		"between jobs":       {"pid", []string{"listen", "--child-jobs", "10"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", c.job)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			p := s.startProgram(self, withHandlers, c.args...)
			waitFor(t, func() error {
				if n := len(printed(p.stderr.String(), "pid")); n < c.pids {
					return fmt.Errorf("%d processes of %d:\n%s", n, c.pids, p.stderr)
				}
				return nil
			})
			if name == "between jobs" {
				p.says("msg=processed")
			}
			pids := printed(p.stderr.String(), "pid")
			for _, pid := range pids {
				if n, _ := strconv.Atoi(pid); syscall.Kill(n, 0) != nil {
					t.Errorf("process %s does not run before the worker is killed", pid)
				}
			}
			p.signal(syscall.SIGKILL)
			p.wait()
			clitest.CheckGone(t, pids...)
		})
	}
}

// What a command leaves in the background ends with the worker, not with the program that embeds it.
func TestD4_WhatIsLeftBehindEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	got := s.work("sleep 1000 >/dev/null 2>&1 & echo pid $!")
	pids := printed(got.stderr, "pid")
	if len(pids) != 1 {
		t.Fatalf("printed was %s", got.stderr)
	}
	clitest.CheckGone(t, pids...)
}
