package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRunCommandPassesOnExitCodeAndEnvironment(t *testing.T) {
	for _, test := range []struct {
		name    string
		command []string
		want    int
	}{
		{"success", []string{"true"}, 0},
		{"exit code", []string{"sh", "-c", "exit 3"}, 3},
		{"environment", []string{"sh", "-c", `exit "$CODE"`}, 4},
		{"killed by a signal", []string{"sh", "-c", "kill -9 $$"}, 1},
		{"no such command", []string{"no-such-command"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := runCommand(t.Context(), test.command, []string{"CODE=4"}); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}

func TestRunCommandAsksToEndWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	go func() {
		for {
			if _, err := os.Stat(ready); err == nil {
				cancel()
				return
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	command := []string{"sh", "-c", `trap 'exit 5' TERM; touch "$READY"; while :; do sleep 0.01; done`}
	if got := runCommand(ctx, command, []string{"READY=" + ready}); got != 5 {
		t.Errorf("exit code %d, want 5, which the command gives on SIGTERM", got)
	}
}
