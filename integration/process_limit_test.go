package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// testMemory: a worker with more memory than its limit finishes what it runs, and exits 12. One below it goes on.
func testMemory(t *testing.T, s *site) {
	below := s.work("--queue", "below", "--memory", "128")
	ids := s.push(1, "allocate")
	above := s.work("--memory", "128", "--concurrency", "1")
	s.begun(1, ids...)
	above.says("worker stopping.*memory")
	if job := s.rows()[ids[0]]; !job.Reserved {
		t.Errorf("the running job is %+v", job)
	}
	s.gates()
	exitAll(t, 12, above)
	s.empty()
	if n := strings.Count(above.log(), "msg=processed"); n != 1 {
		t.Errorf("%d jobs processed, want 1", n)
	}

	below.says("worker started")
	s.push(1, "quick", sqlqueue.OnQueue("below"))
	s.empty()
	stop(t, below)
}

// testStuck: handlers that do not end at their timeout keep only their own places. Their jobs are settled, the others go on, and when
// too many do not end the process does.
func testStuck(t *testing.T, s *site) {
	w := s.work("--concurrency", "4", "--tries", "1", "--timeout", "0.5", "--kill-after", "0.2", "--max-stuck", "2")
	stuck := slices.Concat(s.push(1, "loop"), s.push(1, "deaf"))
	timedOut := func(n int) {
		t.Helper()
		await(t, "the jobs have failed", func() bool { return len(s.failures()) == n })
		for _, job := range s.failures() {
			if !strings.Contains(job.Error, "timed out") || job.Attempts != 1 {
				t.Errorf("after %d attempts: %s", job.Attempts, job.Error)
			}
		}
	}
	s.begun(1, stuck...)
	timedOut(len(stuck))
	for _, id := range stuck {
		w.says(fmt.Sprintf("handler is stuck.* id=%d ", id))
	}
	quick := s.push(50, "quick")
	await(t, "the other jobs are done", func() bool { return len(s.rows()) == 0 })
	s.begun(1, quick...)

	last := s.push(1, "deaf")
	s.begun(1, last...)
	timedOut(len(stuck) + 1)
	exitAll(t, 1, w)
	if n := len(s.runs()); n != len(stuck)+len(quick)+1 {
		t.Errorf("%d runs, want one of each job", n)
	}
}
