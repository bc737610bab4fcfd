package run

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/worker"
)

// What a command line calls 0 and off, a worker.Config calls -1.
func TestSettings(t *testing.T) {
	t.Parallel()
	settings := func(args string) worker.Config {
		t.Helper()
		w := New(Program{Worker: worker.Config{MaxJobs: 7}, Queue: "default"})
		cmd := &cobra.Command{}
		w.Flags(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		config, err := w.workerConfig(cmd, nil)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	const s = time.Second
	c := settings("")
	if c.Tries != 25 || c.Timeout != 60*s || c.Expire != 60*s || c.Sleep != 3*s || c.Grace != 30*s || c.Concurrency != 10 ||
		c.MaxJobs != 7 {
		t.Errorf("without flags: %+v", c)
	}
	if wait := c.Backoff(2); wait < s || wait > 3*s {
		t.Errorf("the second wait is %v, want about 2 s", wait)
	}
	c = settings("--tries 0 --timeout 0 --expire off --sleep 0 --grace 0 --max-jobs 0 --backoff 4,5")
	if c.Tries != -1 || c.Timeout != -1 || c.Expire != -1 || c.Sleep != time.Millisecond || c.Grace != 1 || c.MaxJobs != 0 {
		t.Errorf("with none of everything: %+v", c)
	}
	if c.Backoff(1) != 4*s || c.Backoff(9) != 5*s {
		t.Errorf("the waits are %v and %v", c.Backoff(1), c.Backoff(9))
	}
	c = settings(
		"--tries 3 --timeout 1m --expire 2 --sleep 0.5 --grace 4 --delay 0 --force --name w --max-time 10m --stop-when-empty --queue b,a",
	)
	if c.Tries != 3 || c.Timeout != 60*s || c.Expire != 2*s || c.Sleep != s/2 || c.Grace != 4*s || c.Backoff(1) != 0 ||
		c.Backoff(20) != 0 || !c.Force || c.Fair || c.MaxStuck != 0 || c.Rest != 0 || c.MaxMemory != 128<<20 || c.Name != "w" ||
		c.MaxTime != 600*s || !c.StopWhenEmpty || !slices.Equal(c.Queues, []string{"b", "a"}) {
		t.Errorf("with flags: %+v", c)
	}
	c = settings("--fair --rest 1.5 --memory 64 --max-stuck 0 --kill-after 7")
	if !c.Fair || c.Rest != 1500*time.Millisecond || c.MaxMemory != 64<<20 || c.MaxStuck != -1 || c.StuckAfter != 7*s {
		t.Errorf("with flags: %+v", c)
	}
	if c = settings("--memory 0 --exec true --kill-after 7"); c.MaxMemory != 0 || c.StuckAfter <= 7*s {
		t.Errorf("with a command, which is killed: %+v", c)
	}
}
