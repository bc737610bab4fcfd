package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// testLongTransaction: a handler's transaction that holds its job first, at REPEATABLE READ, keeps it for longer than expire. If it rolls
// back, the worker settles the job.
func testLongTransaction(t *testing.T, s *site) {
	s.createEffects()
	expired := func(id int64) func() bool {
		return func() bool {
			job, there := s.rows()[id]
			return !there || time.Since(job.ExpiresAt) > time.Second
		}
	}

	// Nobody but the worker itself may take the job between the rollback and the settle.
	id := s.push(1, "long")[0]
	first := s.work("--expire", "1")
	s.begun(1, id)
	await(t, "the reservation is past its expire", expired(id))
	s.gate(id, 1, "rollback")
	s.empty()
	if n := len(s.effects()); n != 0 {
		t.Errorf("%d effects of a transaction that was rolled back", n)
	}

	id = s.push(1, "long")[0]
	s.begun(1, id)
	other := s.work("--expire", "1")
	other.says("worker started")
	await(t, "the reservation is past its expire", expired(id))
	other.signal(syscall.SIGUSR2) // it has an exchange, and says so
	other.says("worker paused")
	if job := s.rows()[id]; !job.Reserved || job.Attempts != 1 {
		t.Errorf("the job that is held is %+v", job)
	}
	s.gate(id, 1, "done")
	s.empty()
	if n := s.effects()[id]; n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	stop(t, first, other)
	if log := first.log() + other.log(); strings.Contains(log, "reservation lost") || strings.Count(log, "msg=processed") != 2 ||
		len(s.runs()) != 2 {
		t.Errorf("%d runs, want one of each of two jobs, processed and not lost", len(s.runs()))
	}
}
