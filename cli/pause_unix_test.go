//go:build unix

package cli

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestD8_USR2PausesAndCONTGoesOn(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	p := s.start("work", "--exec", "true", "--sleep", "0.01")
	p.says("worker started")
	p.signal(syscall.SIGUSR2)
	p.says("worker paused")
	s.ok("push", "a")
	p.signal(syscall.SIGCONT)
	p.says("worker goes on")
	waitFor(t, func() error {
		if n := len(s.jobs()); n != 0 {
			return errors.New("the job is still there")
		}
		return nil
	})
	p.says("msg=processed")
	if log := p.stderr.String(); strings.Index(log, "msg=processed") < strings.Index(log, "worker goes on") {
		t.Errorf("the job was taken in the pause:\n%s", log)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
