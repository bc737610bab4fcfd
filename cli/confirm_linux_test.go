package cli

import (
	"strings"
	"syscall"
	"testing"
)

// What destroys asks when a person is at the terminal, and only then; --yes keeps it from asking. It says what would be destroyed.
func TestConfirm(t *testing.T) {
	t.Parallel()
	const jobs = "This would delete 2 jobs of all queues for good. Go on? [y/N]"
	const failed = "This would forget 3 failed jobs:\n2  default  a  exit status 65\n1  default  b  exit status 65\nGo on? [y/N]"
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
		{"clear --queue default", "y\n", `This would delete 2 jobs of queue "default" for good. Go on? [y/N]`, 0, 3},
		{"jobs cancel 4", "", "", 0, 4},
		{"jobs cancel --name a", "n\n", "This would cancel 2 jobs. Go on? [y/N]", 1, 5},
		{"jobs cancel --name a", "y\n", "This would cancel 2 jobs. Go on? [y/N]", 0, 3},
		{"jobs cancel --name a --yes", "", "", 0, 3},
		{"jobs cancel --name a --dry-run", "", "", 0, 5},
		{"flush", "n\n", failed, 1, 5},
		{"flush", "y\n", failed, 0, 2},
		{"forget --all --name a", "y\n", "This would forget 2 failed jobs:\n2  default  a  exit status 65\nGo on? [y/N]", 0, 3},
		{"forget --all --yes", "", "", 0, 2},
		{"forget 1", "", "", 0, 4},
		{"retry --all", "", "", 0, 5},
		{"migrate down", "n\n", "This removes tables with all the jobs in them. Go on? [y/N]", 1, 5},
	} {
		t.Run(test.args+" "+strings.TrimSpace(test.answer), func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "a", "--count", "2")
			s.ok("push", "b")
			s.work("exit 65")
			s.ok("push", "a", "--count", "2")
			shown, code := s.onTerminal(100, test.answer, strings.Fields(test.args)...)
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
