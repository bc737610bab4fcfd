package cli

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// What destroys asks when a person is at the terminal, and only then; --yes keeps it from asking. It says what would be destroyed.
func TestConfirm(t *testing.T) {
	t.Parallel()
	const jobs = "This would delete 2 jobs of all queues for good in sqlite file FILE. Go on? [y/N]"
	const failed = "This would forget 3 failed jobs in sqlite file FILE:\n2  default  a  exit status 65\n1  default  b  exit status 65\n" +
		"Go on? [y/N]"
	for _, test := range []struct {
		args, answer, asks string
		code               int
		left               int // jobs, and failed jobs
	}{
		{"clear", "n\n", jobs, 1, 5},
		{"clear", "\n", jobs, 1, 5},
		{"clear", "\x04", jobs, 1, 5}, // Ctrl-D
		{"clear", "y\n", jobs, 0, 3},
		{"clear", "YES\n", jobs, 0, 3},
		{"clear --yes", "", "", 0, 3},
		{"clear --dry-run", "", "", 0, 5},
		{"clear --queue nothing-here", "", "", 0, 5},
		{"clear --queue default", "y\n", `This would delete 2 jobs of queue "default" for good in sqlite file FILE. Go on? [y/N]`, 0, 3},
		{"jobs cancel 4", "", "", 0, 4},
		{"jobs cancel --name a", "n\n", "This would cancel 2 jobs in sqlite file FILE. Go on? [y/N]", 1, 5},
		{"jobs cancel --name a", "y\n", "This would cancel 2 jobs in sqlite file FILE. Go on? [y/N]", 0, 3},
		{"jobs cancel --name a --yes", "", "", 0, 3},
		{"jobs cancel --name a --dry-run", "", "", 0, 5},
		{"flush", "n\n", failed, 1, 5},
		{"flush", "y\n", failed, 0, 2},
		{
			"forget --all --name a", "y\n",
			"This would forget 2 failed jobs in sqlite file FILE:\n2  default  a  exit status 65\nGo on? [y/N]", 0, 3,
		},
		{"forget --all --yes", "", "", 0, 2},
		{"forget 1", "", "", 0, 4},
		{"retry --all", "", "", 0, 5},
		{
			"migrate down", "n\n",
			fmt.Sprintf("This would take back step %d and what it holds in sqlite file FILE. Go on? [y/N]", driver.SchemaVersion), 1, 5,
		},
		{
			"migrate down --all", "n\n",
			"This would take back every step and delete 2 jobs and 3 failed jobs in sqlite file FILE. Go on? [y/N]", 1, 5,
		},
	} {
		t.Run(test.args+" "+strings.TrimSpace(test.answer), func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "a", "--count", "2")
			s.ok("push", "b")
			s.work("exit 65")
			s.ok("push", "a", "--count", "2")
			shown, code := s.onTerminal(100, test.answer, strings.Fields(test.args)...)
			shown = strings.ReplaceAll(shown, s.file(), "FILE")
			if asks := strings.Contains(shown, "Go on?"); asks != (test.asks != "") || !strings.Contains(shown, test.asks) {
				t.Errorf("it does not ask %q: %q", test.asks, shown)
			}
			if code != test.code || strings.Contains(shown, "nothing done") != (code == 1) {
				t.Errorf("exit code %d: %q", code, shown)
			}
			if n := len(s.jobs()) + len(s.failed()); n != test.left {
				t.Errorf("%d jobs are left, want %d", n, test.left)
			}
		})
	}
}

// What destroys does nothing where nobody can be asked, unless --yes says so.
func TestWithoutTerminal(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "2")
	s.work("exit 65")
	s.ok("push", "a")
	for _, args := range []string{
		"clear", "clear --queue default", "flush", "flush --hours 1", "forget --all", "jobs cancel --name a", "migrate down",
		"migrate down --all",
	} {
		s.fails(2, []string{"cannot be undone, and there is no terminal to ask for confirmation: give --yes"}, strings.Fields(args)...)
	}
	if len(s.jobs()) != 1 || len(s.failed()) != 2 {
		t.Errorf("left are %+v and %+v", s.jobs(), s.failed())
	}
	for _, args := range []string{
		"prune-failed", "forget 1", "jobs release --queue default", "jobs cancel 3", "clear --yes", "flush --yes",
		"migrate down --all --yes",
	} {
		s.ok(strings.Fields(args)...)
	}
}

// Ctrl-C instead of an answer leaves everything as it is.
func TestConfirmInterrupted(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	p := s.startOnTerminal("clear")
	p.says("Go on? [y/N] ")
	p.signal(syscall.SIGINT)
	if code := p.wait(); code == 0 {
		t.Errorf("exit code %d", code)
	}
	if n := len(s.jobs()); n != 1 {
		t.Errorf("%d jobs are left", n)
	}
}
