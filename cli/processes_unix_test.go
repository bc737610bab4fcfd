//go:build unix

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workerPIDs waits for so many workers, and returns their processes' numbers.
func (s *shell) workerPIDs(n int) (pids []string) {
	s.t.Helper()
	waitFor(s.t, func() error {
		all := s.workers()
		pids = nil
		for _, w := range all {
			if syscall.Kill(w.PID, 0) == nil && !isZombie(w.PID) {
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
	checkGone(t, again...)
	restarted := s.workerPIDs(3)
	if strings.Count(p.stderr.String(), `how="exit status 0" after=0s`) != 3 {
		t.Errorf("the log is\n%s", p.stderr)
	}

	all := func(text string) {
		t.Helper()
		waitFor(t, func() error {
			if n := strings.Count(p.stderr.String(), text); n != 3 {
				return fmt.Errorf("%d of 3 say %q:\n%s", n, text, p.stderr)
			}
			return nil
		})
	}
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
	checkGone(t, restarted...)
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
	checkGone(t, pids...)
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
			p := s.start(append([]string{"work", "--processes", "2", "--exec", `trap "" TERM; echo pid $$; while :; do sleep 1; done`}, test.args...)...)
			p.says(": pid ")
			pids := append(s.workerPIDs(2), printed(p.stderr.String(), "pid")...)
			for range test.signals {
				p.signal(syscall.SIGINT)
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
			checkGone(t, pids...)
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

// runFleet runs two shells with the line, which writes a file $dir/$$, until each has, and returns how it ended and what is in the files.
func runFleet(t *testing.T, line string, grace time.Duration) (pids []string, log string, err error) {
	t.Helper()
	said, dir := &watched{}, t.TempDir()
	f := &fleet{
		count: 2, path: "/bin/sh", args: []string{"-c", "dir=" + dir + "; " + line},
		grace: grace, logger: slog.New(slog.NewTextHandler(said, nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	waitFor(t, func() error {
		files, err := filepath.Glob(dir + "/*")
		if len(files) != 2 {
			return fmt.Errorf("%q: %w", files, err)
		}
		pids = nil
		for _, file := range files {
			pids = append(pids, waitForFile(t, file))
		}
		return nil
	})
	cancel()
	err = <-ended
	return pids, said.String(), err
}

// A process that does not heed the signal is killed in the end, and is not started again.
func TestE7_AProcessThatHangsIsKilled(t *testing.T) {
	t.Parallel()
	pids, log, err := runFleet(t, `trap "" TERM; echo $$ >$dir/$$; while :; do sleep 1; done`, 100*time.Millisecond)
	if ExitCode(err) != 1 || !strings.Contains(log, "they are killed") {
		t.Errorf("%v\n%s", err, log)
	}
	checkGone(t, pids...)
}

// One that the signal itself has ended had nothing to finish. What the processes leave behind ends, too.
func TestE7_AProcessThatIsEndedBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	pids, log, err := runFleet(t, `setsid sleep 1000 >/dev/null 2>&1 & echo $! >$dir/$$; exec sleep 1000`, time.Minute)
	if err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	checkGone(t, pids...)
}

func TestE7_WhenAProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	const s, m = time.Second, time.Minute
	type end struct {
		code  int
		lived time.Duration
		again bool
		wait  time.Duration
	}
	for name, c := range map[string]struct {
		finite bool
		ends   []end
	}{
		"restart":            {ends: []end{{0, 0, true, 0}, {0, 0, true, 0}}},
		"done":               {finite: true, ends: []end{{0, 0, false, 0}}},
		"mistake":            {ends: []end{{2, 0, false, 0}}},
		"errors":             {ends: []end{{1, 0, true, s}, {1, 0, true, 2 * s}, {1, s, true, 4 * s}, {1, m, true, s}, {1, 0, true, 2 * s}, {0, 0, true, 0}, {1, 0, true, s}}},
		"errors, of finite":  {finite: true, ends: []end{{1, 0, true, s}}},
		"memory":             {ends: []end{{12, 0, true, s}, {12, 0, true, s}}},
		"no more than a min": {ends: []end{{1, 0, true, s}, {1, 0, true, 2 * s}, {1, 0, true, 4 * s}, {1, 0, true, 8 * s}, {1, 0, true, 16 * s}, {1, 0, true, 32 * s}, {1, 0, true, m}, {1, 0, true, m}}},
	} {
		failures := 0
		f := &fleet{finite: c.finite}
		for i, e := range c.ends {
			if again, wait := f.restart(e.code, e.lived, &failures); again != e.again || wait != e.wait {
				t.Errorf("%s: after end %d: again %v after %v, want %+v", name, i+1, again, wait, e)
			}
		}
	}
}

func TestWithoutFlag(t *testing.T) {
	t.Parallel()
	got := withoutFlag(strings.Fields("--processes 3 work --processes=4 --exec --processes 5 --queue a -- --processes 6"), "--processes")
	if want := strings.Fields("work --exec --queue a -- --processes 6"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
