// Package clitest has what tests of the command line's packages share.
package clitest

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Buffer can be read while it is written.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Patience returns how long a test waits for what must come: long, as it decides nothing but when a test that hangs fails, and less when
// the time of all tests is short.
func Patience(t *testing.T) time.Duration {
	t.Helper()
	const most = 5 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		return min(most, time.Until(deadline)/2)
	}
	return most
}

// WaitFor waits until the condition holds, and otherwise fails with what it last said.
func WaitFor(t *testing.T, condition func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience(t))
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

// WaitForFile waits until a file is there and has something in it, which it returns.
func WaitForFile(t *testing.T, name string) string {
	t.Helper()
	var text []byte
	WaitFor(t, func() (err error) {
		if text, err = os.ReadFile(name); err == nil && len(text) == 0 {
			err = errors.New(name + " is empty")
		}
		return err
	})
	return strings.TrimSpace(string(text))
}
