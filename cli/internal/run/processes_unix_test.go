//go:build unix

package run

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
)

// runFleet runs two shells with the line, which writes a file $dir/$$, until each has, and returns how it ended and what is in the files.
func runFleet(t *testing.T, line string, grace time.Duration) (pids []string, log string, err error) {
	t.Helper()
	said, dir := &clitest.Buffer{}, t.TempDir()
	f := &fleet{
		count: 2, path: "/bin/sh", args: []string{"-c", "dir=" + dir + "; " + line},
		grace: grace, logger: slog.New(slog.NewTextHandler(said, nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	clitest.WaitFor(t, func() error {
		files, err := filepath.Glob(dir + "/*")
		if len(files) != 2 {
			return fmt.Errorf("%q: %w", files, err)
		}
		pids = nil
		for _, file := range files {
			pids = append(pids, clitest.WaitForFile(t, file))
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
	if exit.Code(err) != 1 || !strings.Contains(log, "they are killed") {
		t.Errorf("%v\n%s", err, log)
	}
	clitest.CheckGone(t, pids...)
}

// One that the signal itself has ended had nothing to finish. What the processes leave behind ends, too.
func TestE7_AProcessThatIsEndedBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	pids, log, err := runFleet(t, `setsid sleep 1000 >/dev/null 2>&1 & echo $! >$dir/$$; exec sleep 1000`, time.Minute)
	if err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	clitest.CheckGone(t, pids...)
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
		"restart": {ends: []end{{0, 0, true, 0}, {0, 0, true, 0}}},
		"done":    {finite: true, ends: []end{{0, 0, false, 0}}},
		"mistake": {ends: []end{{2, 0, false, 0}}},
		"errors": {
			ends: []end{
				{1, 0, true, s},
				{1, 0, true, 2 * s},
				{1, s, true, 4 * s},
				{1, m, true, s},
				{1, 0, true, 2 * s},
				{0, 0, true, 0},
				{1, 0, true, s},
			},
		},
		"errors, of finite": {finite: true, ends: []end{{1, 0, true, s}}},
		"memory":            {ends: []end{{12, 0, true, s}, {12, 0, true, s}}},
		"no more than a min": {
			ends: []end{
				{1, 0, true, s},
				{1, 0, true, 2 * s},
				{1, 0, true, 4 * s},
				{1, 0, true, 8 * s},
				{1, 0, true, 16 * s},
				{1, 0, true, 32 * s},
				{1, 0, true, m},
				{1, 0, true, m},
			},
		},
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
