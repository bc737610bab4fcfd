//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A job that is being posted when other queues are subscribed comes to its end.
func TestE9_AChangeLetsPostsFinish(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	change, begun := make(chan struct{}), make(chan struct{})
	server := newReceiver(t)
	server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or else the end of the connection is not seen
		if r.URL.Path != "/slow" {
			return
		}
		close(begun)
		<-change
		select {
		case <-r.Context().Done():
			t.Error("the post was broken off")
		case <-time.After(500 * time.Millisecond):
		}
	})
	s.ok("subscribe", "a", server.URL+"/slow", "orders")
	s.ok("push", "one", "--queue", "orders")
	p := s.start("work", "--sleep", "0.05", "--grace", "0", "--tries", "1")
	<-begun
	s.ok("subscribe", "b", server.URL, "mail")
	p.says("other queues have subscriptions now")
	p.says("worker paused")
	p.signal(syscall.SIGUSR2) // the next worker is paused, too
	close(change)
	s.ok("push", "two", "--queue", "mail")
	waitFor(t, func() error {
		if log := p.stderr.String(); !strings.Contains(log, "queues=mail,orders") || strings.Count(log, "worker paused") != 2 {
			return errors.New(log)
		}
		return nil
	})
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Queue != "mail" {
		t.Errorf("left are %+v", jobs)
	}
	p.signal(syscall.SIGCONT)
	waitFor(t, func() error {
		if jobs := s.jobs(); len(jobs) != 0 {
			return fmt.Errorf("left are %+v", jobs)
		}
		return nil
	})
	if failed := s.failed(); len(failed) != 0 {
		t.Errorf("failed are %+v", failed)
	}
}
