//go:build unix

package clitest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// WriteProgram writes a file that is to be executed. No process is started meanwhile: it would have the file open for writing until its own
// program begins, and so long the file could not be executed.
func WriteProgram(name string, text []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, text, mode)
}

// CheckGone waits until processes have ended.
func CheckGone(t *testing.T, pids ...string) {
	t.Helper()
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		WaitFor(t, func() error {
			if syscall.Kill(pid, 0) == nil && !IsZombie(pid) {
				return fmt.Errorf("process %d still runs", pid)
			}
			return nil
		})
	}
}

// IsZombie reports whether a process has ended and its parent has not asked for it.
func IsZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}
