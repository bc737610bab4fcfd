//go:build unix

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// workerPIDs waits for so many workers, and returns their processes' numbers.
func (s *shell) workerPIDs(n int) (pids []string) {
	s.t.Helper()
	waitFor(s.t, func() error {
		all := s.workers()
		pids = nil
		for _, w := range all {
			if syscall.Kill(w.PID, 0) == nil && !clitest.IsZombie(w.PID) {
				pids = append(pids, strconv.Itoa(w.PID))
			}
		}
		if len(pids) != n {
			return fmt.Errorf("%d workers, want %d: %+v", len(pids), n, all)
		}
		return nil
	})
	slices.Sort(pids)
	return pids
}

func (p *process) pid() string { return strconv.Itoa(p.cmd.Process.Pid) }

func TestE7_Processes(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	p := s.start("--processes=3", "work", "--sleep", "0.05", "--exec", "echo ppid $PPID")
	pids := s.workerPIDs(3)
	if slices.Contains(pids, p.pid()) {
		t.Errorf("%s is a worker itself: %q", p.pid(), pids)
	}

	// One that is killed is started again after a wait, and all at once after restart.
	killed, _ := strconv.Atoi(pids[0])
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.says(`how="killed by signal 9 (killed)" after=1s`)
	again := s.workerPIDs(3)
	if slices.Contains(again, pids[0]) || !slices.Contains(again, pids[1]) || !slices.Contains(again, pids[2]) {
		t.Errorf("the workers were %q, and are %q", pids, again)
	}
	s.ok("restart")
	clitest.CheckGone(t, again...)
	all := func(text string) {
		t.Helper()
		waitFor(t, func() error {
			if n := strings.Count(p.stderr.String(), text); n != 3 {
				return fmt.Errorf("%d of 3 say %q:\n%s", n, text, p.stderr)
			}
			return nil
		})
	}
	all(`how="exit status 0" after=0s`)
	restarted := s.workerPIDs(3)

	p.signal(syscall.SIGUSR2)
	all("worker paused")
	s.ok("push", "a", "--count", "2")
	p.signal(syscall.SIGCONT)
	all("worker goes on")
	waitFor(t, func() error {
		if jobs := s.jobs(); len(jobs) != 0 {
			return fmt.Errorf("left are %+v", jobs)
		}
		return nil
	})

	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 || strings.Count(p.stderr.String(), "signal: finishing") != 3 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	clitest.CheckGone(t, restarted...)
}

func TestE7_ProcessesEndWithTheirParent(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	p := s.start("work", "--processes", "2", "--exec", "echo pid $$; exec sleep 1000")
	p.says(": pid ")
	pids := append(s.workerPIDs(2), printed(p.stderr.String(), "pid")...)
	p.signal(syscall.SIGKILL)
	p.wait()
	clitest.CheckGone(t, pids...)
}

func TestE7_ProcessesThatAreDone(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "5")
	p := s.start("work", "--stop-when-empty", "--exec", "true", "--processes", "2")
	if code := p.wait(); code != 0 || len(s.jobs()) != 0 {
		t.Errorf("exit code %d, left are %+v\n%s", code, s.jobs(), p.stderr)
	}
	s.ok("push", "a", "--count", "5")
	p = s.start("work", "--processes", "2", "--exec", "true", "--max-jobs", "2")
	if code := p.wait(); code != 0 || len(s.jobs()) != 1 {
		t.Errorf("exit code %d, left are %+v\n%s", code, s.jobs(), p.stderr)
	}
}

// A job that does not end within the grace: its worker says so by its exit code, and nothing of it is left.
func TestE7_TheWorstExitCode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args    []string
		signals int
	}{
		"grace is over": {[]string{"--grace", "0.1", "--kill-after", "0.1"}, 1},
		"second signal": {[]string{"--grace", "1000", "--kill-after", "1000"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "a")
			p := s.start(append([]string{
				"work", "--processes", "2", "--exec", `trap "" TERM; echo pid $$; while :; do sleep 1; done`,
			}, test.args...)...)
			p.says(": pid ")
			pids := append(s.workerPIDs(2), printed(p.stderr.String(), "pid")...)
			for i := range test.signals {
				p.signal([]syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[i])
				waitFor(t, func() error { // or else a worker could take the second signal for the first
					if n := strings.Count(p.stderr.String(), "signal=interrupt"); n < 2 {
						return fmt.Errorf("%d of 2 workers have the signal:\n%s", n, p.stderr)
					}
					return nil
				})
			}
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d\n%s", code, p.stderr)
			}
			p.says("sqlqueue: worker processes have ended with exit code 1")
			clitest.CheckGone(t, pids...)
			if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Reserved {
				t.Errorf("left are %+v", jobs)
			}
		})
	}
}

// What no worker process could do anything about is told once, by the parent or by the first that finds it.
func TestE7_ProcessesThatCannotWork(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.fails(2, []string{"--processes: 0 is too small"}, "work", "--processes", "0", "--exec", "true")
	s.fails(2, []string{"unknown flag: --processes"}, "listen", "--processes", "2", "--exec", "true")
	p := s.start("work", "--processes", "2") // neither handlers nor subscriptions
	if code := p.wait(); code != 2 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	s.ok("migrate", "down", "--all", "--yes")
	p = s.start("work", "--processes", "2", "--exec", "true")
	if code := p.wait(); code != 1 || strings.Contains(p.stderr.String(), "was started") {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}
