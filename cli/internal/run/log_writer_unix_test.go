//go:build unix

package run

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// flakyWriter fails so often, and then writes.
type flakyWriter struct {
	fails int
	bytes.Buffer
}

func (f *flakyWriter) Write(p []byte) (int, error) {
	if f.fails--; f.fails >= 0 {
		return 0, io.ErrShortWrite
	}
	return f.Buffer.Write(p)
}

func TestLostLinesAreCounted(t *testing.T) {
	t.Parallel()
	to := &flakyWriter{fails: 1}
	l := newLogWriter(to, nil, jsonLogger)
	fmt.Fprint(l, "a\nb\n")
	clitest.WaitFor(t, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.dropped != 2 {
			return fmt.Errorf("%d lines are dropped, want 2", l.dropped)
		}
		return nil
	})
	fmt.Fprint(l, "c\n")
	l.close()
	if got := to.String(); !strings.HasPrefix(got, "c\n{") || !strings.Contains(got, `"lines":2}`) || strings.Count(got, "\n") != 2 {
		t.Errorf("written was %q", got)
	}
}
