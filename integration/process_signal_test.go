package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var stopSignals = []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// testDrain: at the signal a worker finishes what it runs, gives back the rest unspent, and exits 0.
func testDrain(t *testing.T, s *site) {
	for _, sig := range stopSignals {
		const jobs, slots = 6, 4
		ids := s.push(jobs, "wait")
		w := s.work("--concurrency", "4")
		begun := s.begun(1, ids[:slots]...)
		w.signal(sig)
		w.says("signal: finishing")
		for _, r := range begun {
			s.gate(r.id, 1, "done")
		}
		exitAll(t, 0, w)
		rows := s.rows()
		for _, id := range ids[slots:] {
			if job, there := rows[id]; !there || job.Reserved || job.Attempts != 0 {
				t.Errorf("%v: the job that was not started is %+v", sig, job)
			}
		}
		if n := strings.Count(w.log(), "msg=processed"); n != slots || len(rows) != jobs-slots || len(s.workers()) != 0 {
			t.Errorf("%v: %d processed, %d jobs left, %d workers listed; want %d, %d and none",
				sig, n, len(rows), len(s.workers()), slots, jobs-slots)
		}
		if _, err := operator.New(s.queue).Clear(t.Context(), "", true); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.failures()); n != 0 {
		t.Errorf("%d jobs have failed", n)
	}
}

// testSecondSignal: at the second signal a worker ends at once with exit code 1, and its jobs run again.
func testSecondSignal(t *testing.T, s *site) {
	const (
		jobs   = 3
		within = 2 * time.Second
		margin = 20 * time.Second // for a slow machine; without the second signal it would be half a minute
	)
	var workers []*process
	var ids []int64
	for _, sig := range stopSignals {
		queue := "of-" + sig.String()
		ids = append(ids, s.push(jobs, "wait", sqlqueue.OnQueue(queue))...)
		workers = append(workers, s.work("--expire", "1", "--queue", queue))
	}
	s.begun(1, ids...)
	for i, sig := range stopSignals {
		workers[i].signal(sig)
		workers[i].says("signal: finishing")
	}
	before := time.Now()
	for i := range stopSignals { // another, as one that is repeated within a second counts once
		workers[i].signal(stopSignals[(i+1)%len(stopSignals)])
	}
	exitAll(t, 1, workers...)
	if took := time.Since(before); took > within+margin {
		t.Errorf("the workers have ended after %v, want %v", took, within)
	}
	if rows := s.rows(); len(rows) != len(ids) {
		t.Errorf("%d jobs are left, want %d", len(rows), len(ids))
	}
	var queues []string
	for _, sig := range stopSignals {
		queues = append(queues, "of-"+sig.String())
	}
	s.work("--expire", "1", "--queue", strings.Join(queues, ","))
	s.begun(2, ids...)
	s.gates()
	s.empty()
}

// testStorm: signals that come in a heap end a worker, whatever it makes of them, and no job is lost.
func testStorm(t *testing.T, s *site) {
	const jobs, storm = 20, 20
	ids := s.push(jobs, "wait")
	busy, idle := s.work("--expire", "1", "--concurrency", "10"), s.work("--queue", "other")
	s.begun(1, ids[:10]...)
	idle.says("worker started")
	for range storm {
		for _, w := range []*process{busy, idle} {
			_ = w.cmd.Process.Signal(syscall.SIGTERM) // or it has ended
		}
	}
	s.gates()
	for _, w := range []*process{busy, idle} {
		if code := w.exits(); code != 0 && code != 1 { // -1 is a signal that was not heeded
			t.Errorf("exit code %d", code)
		}
	}
	s.work("--expire", "1", "--backoff", "0")
	s.empty()
	ran := map[int64]bool{}
	for _, r := range s.runs() {
		ran[r.id] = true
	}
	if len(ran) != jobs {
		t.Errorf("%d jobs ran, want %d", len(ran), jobs)
	}
}

// testPause: at USR2 a worker takes nothing new and keeps what it runs alive; at CONT it goes on.
func testPause(t *testing.T, s *site) {
	first := s.push(1, "wait")[0]
	w := s.work("--expire", "2")
	s.begun(1, first)
	expires := s.rows()[first].ExpiresAt
	w.signal(syscall.SIGUSR2)
	w.says("worker paused")
	second := s.push(1, "wait")[0]
	await(t, "the running job would have expired twice", func() bool { return s.rows()[first].ExpiresAt.Sub(expires) > 4*time.Second })
	if job := s.rows()[second]; job.Reserved || job.Attempts != 0 {
		t.Errorf("a paused worker has taken %+v", job)
	}
	s.gate(first, 1, "done") // what it has to write does not make it ask
	await(t, "the first job is done", func() bool { return len(s.rows()) == 1 })
	if job := s.rows()[second]; job.Reserved || job.Attempts != 0 {
		t.Errorf("a paused worker has taken %+v", job)
	}
	w.signal(syscall.SIGCONT)
	w.says("worker goes on")
	s.begun(1, second)
	s.gates()
	s.empty()
	stop(t, w)
	if n := len(s.runs()); n != 2 {
		t.Errorf("%d runs, want one of each job", n)
	}
}
