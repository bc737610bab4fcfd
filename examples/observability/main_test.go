package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// log is a log that can be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// find returns what a pattern finds, or nil.
func (l *log) find(pattern string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return regexp.MustCompile(pattern).FindStringSubmatch(l.text.String())
}

// waitFor waits until the condition holds.
func waitFor(t *testing.T, condition func() error) {
	t.Helper()
	late := 5 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		late = min(late, time.Until(deadline)/2)
	}
	end := time.After(late)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(err)
		}
	}
}

func TestItCanBeWatched(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &log{}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", filepath.Join(t.TempDir(), "test.db"), time.Millisecond, out) }()
	waitFor(t, func() error {
		for _, pattern := range []string{
			`listening address=`, `span name="send default"`, `span name="process default" .*links=1`,
			`captured level=warning`, `captured level=error error="order \d+0: the bank`,
			`level=WARN msg=released .*trace_id=`, `level=ERROR msg=failed .*trace_id=`,
		} {
			if out.find(pattern) == nil {
				return fmt.Errorf("the log has no %s", pattern)
			}
		}
		return nil
	})
	address := "http://" + out.find(`listening address=(\S+)`)[1]
	waitFor(t, func() error {
		for path, lines := range map[string][]string{
			"/metrics": {`sqlqueue_up 1`, `sqlqueue_pushed_total{name="charge_card",queue="default"}`, `sqlqueue_worker_limit 10`},
			"/livez":   {`{"ok":true}`},
			"/readyz":  {`{"ok":true}`},
		} {
			text, err := get(ctx, address+path)
			if err != nil {
				return err
			}
			for _, line := range lines {
				if !strings.Contains(text, line) {
					return fmt.Errorf("%s has no %s:\n%s", path, line, text)
				}
			}
		}
		return nil
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
