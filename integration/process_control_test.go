package integration

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// testControl: what operators say reaches workers that sleep for long.
func testControl(t *testing.T, s *site) {
	w := s.work("--sleep", "60", "--concurrency", "1")
	await(t, "the worker is listed", func() bool { return len(s.workers()) == 1 })
	for _, test := range []struct{ off, on string }{{"pause", "resume"}, {"down", "up"}} {
		s.app.ok(test.off)
		id := s.push(1, "quick")
		seen := s.workers()[w.pid()].SeenAt
		await(t, "the worker has written its row once more", func() bool { return s.workers()[w.pid()].SeenAt.After(seen) })
		if job := s.rows()[id[0]]; job.Attempts != 0 {
			t.Errorf("%s: a job was taken: %+v", test.off, job)
		}
		said := time.Now()
		s.app.ok(test.on)
		reaches(t, test.on, s.begun(1, id...)[0].at.Sub(said))
		s.empty()
	}
	stop(t, w)
}

// testConcurrency: a worker that is told so runs more jobs at once.
func testConcurrency(t *testing.T, s *site) {
	ids := s.push(3, "wait")
	w := s.work("--sleep", "60", "--concurrency", "1")
	s.begun(1, ids[0])
	for _, test := range []struct {
		concurrency string
		job         int64
	}{{"2", ids[1]}, {"3", ids[2]}} {
		said := time.Now()
		s.app.ok("workers", "set", s.workers()[w.pid()].ID, "--concurrency", test.concurrency)
		reaches(t, "workers set", s.begun(1, test.job)[0].at.Sub(said))
	}
	w.says("concurrency changed.* to=3")
	s.gates()
	s.empty()
	stop(t, w)
}

// reaches checks how long it took until a worker did what it was told.
func reaches(t *testing.T, what string, took time.Duration) {
	t.Helper()
	const (
		within = 2 * time.Second
		margin = 20 * time.Second // for a slow machine; who is not reached looks after a minute
	)
	t.Logf("%s: after %v", what, took)
	if took > within+margin {
		t.Errorf("%s: after %v, want %v", what, took, within)
	}
}

// testRestartAll: restart ends every worker, also those that run nothing and have never run anything. All are listed before their
// first reservation, and none when it has ended.
func testRestartAll(t *testing.T, s *site) {
	const workers = 8
	crew := make([]*process, workers)
	for i := range crew {
		crew[i] = s.work("--sleep", "60", "--concurrency", "1")
	}
	await(t, "all workers are listed", func() bool { return len(s.workers()) == workers })
	listed := s.workers()
	for _, w := range crew {
		if got := listed[w.pid()]; got.Concurrency != 1 || len(got.Queues) != 1 || got.Queues[0] != "default" {
			t.Errorf("process %d is listed as %+v", w.pid(), got)
		}
	}
	if n := len(s.list()); n != workers {
		t.Errorf("workers lists %d, want %d", n, workers)
	}

	busy := s.work("--queue", "busy")
	ids := s.push(1, "wait", sqlqueue.OnQueue("busy"))
	s.begun(1, ids...)
	said := time.Now()
	s.app.ok("restart")
	exitAll(t, 0, crew...)
	reaches(t, "restart, eight idle workers", time.Since(said))
	busy.says("worker stopping.*restart")
	late := s.work() // is not meant
	late.says("worker started")
	s.gates()
	exitAll(t, 0, busy)
	s.push(1, "quick")
	s.empty()
	stop(t, late)
	if listed := s.list(); len(listed) != 0 {
		t.Errorf("workers that have ended are listed: %+v", listed)
	}
}

// list is what the command workers prints.
func (s *site) list() []driver.Worker {
	s.t.Helper()
	var listed []driver.Worker
	if err := json.Unmarshal([]byte(s.app.ok("workers", "--json")), &listed); err != nil {
		s.t.Fatal(err)
	}
	return listed
}
