//go:build unix

package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

func TestMain(m *testing.M) {
	supervise.Become()
	os.Exit(m.Run())
}

// watched is a buffer that can be read while it is written.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// patience returns how long a test waits for what must come: long, as it decides nothing but when a test that hangs fails, and less when
// the time of all tests is short.
func patience(t *testing.T) time.Duration {
	t.Helper()
	const most = 5 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		return min(most, time.Until(deadline)/2)
	}
	return most
}

// waitFor waits until the condition holds, and otherwise fails with what it last said.
func waitFor(t *testing.T, condition func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience(t))
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// waitForFile waits until a file is there and has something in it, which it returns.
func waitForFile(t *testing.T, name string) string {
	t.Helper()
	var text []byte
	waitFor(t, func() (err error) {
		if text, err = os.ReadFile(name); err == nil && len(text) == 0 {
			err = errors.New(name + " is empty")
		}
		return err
	})
	return strings.TrimSpace(string(text))
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

func checkGone(t *testing.T, pids ...string) {
	t.Helper()
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() error {
			if syscall.Kill(pid, 0) == nil && !isZombie(pid) {
				return fmt.Errorf("process %d still runs", pid)
			}
			return nil
		})
	}
}
