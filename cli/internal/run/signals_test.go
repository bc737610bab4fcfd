package run

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// Two signals of one kind within a second are one: a wrapper passes on the Ctrl-C that the terminal has sent to both.
func TestRepeatedSignals(t *testing.T) {
	t.Parallel()
	var before repeats
	start := time.Now()
	for i, step := range []struct {
		signal os.Signal
		after  time.Duration
		want   bool
	}{
		{syscall.SIGINT, 0, false},
		{syscall.SIGINT, time.Millisecond, true},
		{syscall.SIGTERM, 2 * time.Millisecond, false},
		{syscall.SIGTERM, 900 * time.Millisecond, true},
		{syscall.SIGTERM, 1900 * time.Millisecond, false},
	} {
		if got := before.is(step.signal, start.Add(step.after)); got != step.want {
			t.Errorf("signal %d, %v after %v: %v, want %v", i, step.signal, step.after, got, step.want)
		}
	}
}
