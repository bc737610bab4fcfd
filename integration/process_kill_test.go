package integration

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// testKills: the job of a worker that was killed with -9 runs again within expire and a second, which is how often others look.
func testKills(t *testing.T, s *site) {
	const (
		victims = 10
		within  = 2 * time.Second
		margin  = 20 * time.Second // for a slow machine; it would be a minute by default
	)
	workers := map[int]*process{}
	for range victims {
		w := s.work("--expire", "1", "--concurrency", "1")
		workers[w.pid()] = w
	}
	ids := s.push(victims, "wait")
	first := s.begun(1, ids...)
	rescuer := s.work("--concurrency", "10")
	rescuer.says("worker started")

	killed := map[int64]time.Time{}
	apart := time.NewTicker(70 * time.Millisecond) // so that some have kept their reservations alive just before
	defer apart.Stop()
	for _, r := range first {
		killed[r.id] = workers[r.pid].kill()
		<-apart.C
	}
	rescued := func() []run { return slices.DeleteFunc(s.runs(), func(r run) bool { return r.pid != rescuer.pid() }) }
	await(t, "all jobs have begun in the worker that lives", func() bool { return len(rescued()) >= victims })
	var took []time.Duration
	for _, r := range rescued() {
		took = append(took, r.at.Sub(killed[r.id])) // less than 0: on a busy machine the job was lost before its worker was killed
		if last := took[len(took)-1]; last > within+margin {
			t.Errorf("job %d runs again after %v, want it within %v", r.id, last, within)
		}
	}
	slices.Sort(took)
	t.Logf("%d kills, expire 1 s: the jobs ran again after %v (median), %v (worst)", victims, took[victims/2], took[victims-1])
	s.gates()
	s.empty()
	times := map[int64]int{}
	for _, r := range rescued() {
		times[r.id]++
	}
	for _, id := range ids {
		if times[id] != 1 {
			t.Errorf("job %d ran %d times in the worker that lives, want once", id, times[id])
		}
	}
	lost := 0
	for _, w := range workers {
		lost += strings.Count(w.log(), `msg="reservation lost"`)
	}
	if n := len(s.runs()); n < 2*victims || n > 2*victims+lost {
		t.Errorf("%d runs, want two of each of %d jobs, and at most one more for each of %d reservations that a living worker lost",
			n, victims, lost)
	}
}

// testNeverStarted: of the jobs that a worker had when it was killed, those that it had not started have not spent their only try. The
// one whose turn it was may have: that it starts is written before it does.
func testNeverStarted(t *testing.T, s *site) {
	const (
		jobs  = 1000
		kills = 4
	)
	s.push(jobs, "quick")
	for range kills {
		before := len(s.runs())
		w := s.work("--expire", "2", "--tries", "1", "--concurrency", "1")
		await(t, "some jobs have run", func() bool { return len(s.runs()) >= before+jobs/10 })
		w.kill()
	}
	s.work("--expire", "2", "--tries", "1")
	await(t, "no job is left", func() bool { return s.count("SELECT COUNT(*) FROM jobs") == 0 })

	ran := map[int64]int{}
	for _, r := range s.runs() {
		ran[r.id]++
	}
	failures := s.failures()
	var never []int64
	for id := range failures {
		if ran[id] == 0 {
			never = append(never, id)
		}
	}
	if len(never) > kills {
		t.Errorf("%d jobs have failed and never ran, want at most one for each of %d kills", len(never), kills)
	}
	for id, n := range ran {
		if n != 1 {
			t.Errorf("job %d ran %d times, and has one try", id, n)
		}
	}
	if len(ran)+len(never) != jobs {
		t.Errorf("%d jobs ran, want %d", len(ran), jobs)
	}
	t.Logf("%d kills: of %d jobs with one try %d have failed, %d of which had not begun", kills, jobs, len(failures), len(never))
}

// testZombie: a worker is frozen for longer than expire, and others take its jobs over. Whatever becomes of them there, what the worker
// does when it goes on changes nothing.
func testZombie(t *testing.T, s *site) {
	cases := []struct {
		name  string
		other string // how the job's run in the other worker ends; empty: it has not ended
		late  string // how the run in the frozen worker ends; empty: it is still going on
		retry bool   // an operator retries the failed job
		id    int64
	}{
		{name: "running, late success", late: "done"},
		{name: "running, late failure", late: "late"},
		{name: "running in both"},
		{name: "done, late failure", other: "done", late: "late"},
		{name: "done, late release", other: "done", late: "release"},
		{name: "done, still running", other: "done"},
		{name: "failed, late success", other: "bad data", late: "done"},
		{name: "failed, still running", other: "bad data"},
		{name: "retried, late success", other: "bad data", late: "done", retry: true},
		{name: "retried, still running", other: "bad data", retry: true},
		{name: "released, late success", other: "release", late: "done"},
		{name: "released, still running", other: "release"},
	}
	ids := s.push(len(cases), "wait")
	frozen := s.work("--expire", "2", "--concurrency", "20")
	s.begun(1, ids...)
	s.freeze(frozen)
	other := s.work("--expire", "2", "--concurrency", "20")
	s.begun(2, ids...)

	var retried []int64
	for i := range cases {
		c := &cases[i]
		c.id = ids[i]
		if c.late != "" {
			s.gate(c.id, 1, c.late)
		}
		if c.other == "" {
			continue
		}
		s.gate(c.id, 2, c.other)
		await(t, c.name, func() bool { return !s.rows()[c.id].Reserved })
		if c.retry {
			failure := s.failures()[c.id]
			if n, err := operator.New(s.queue).Retry(t.Context(), operator.FailedFilter{IDs: []int64{failure.ID}}); n != 1 || err != nil {
				t.Fatalf("%s: %d retried, %v", c.name, n, err)
			}
			await(t, "the retried job runs", func() bool {
				for id, job := range s.rows() {
					if id > ids[len(ids)-1] && job.Reserved && !slices.Contains(retried, id) {
						retried = append(retried, id)
						return true
					}
				}
				return false
			})
		}
	}
	s.begun(1, retried...)

	frozen.signal(syscall.SIGCONT)
	for _, c := range cases {
		frozen.says(fmt.Sprintf(`reservation lost.* id=%d `, c.id))
	}
	by := s.workers()[other.pid()].ID + "-"
	check := func(when string) {
		rows, failures := s.rows(), s.failures()
		for _, c := range cases {
			job, there := rows[c.id]
			failure, failed := failures[c.id]
			switch c.other {
			case "":
				there = there && job.Reserved && strings.HasPrefix(job.ReservedBy, by) && job.Attempts == 2
			case "release":
				there = there && !job.Reserved && job.Attempts == 2
			default:
				there = !there
			}
			if !there {
				t.Errorf("%s, %s: the row is %+v", when, c.name, job)
			}
			if want := c.other == "bad data" && !c.retry; failed != want || failed && (failure.Error != c.other || failure.Attempts != 2) {
				t.Errorf("%s, %s: the failed job is %+v", when, c.name, failure)
			}
		}
		for _, id := range retried {
			if job := rows[id]; !job.Reserved || job.Attempts != 1 {
				t.Errorf("%s: the retried job is %+v", when, job)
			}
		}
	}
	check("when the frozen worker has gone on")
	stop(t, frozen)
	check("when it has ended")
	if n := len(regexp.MustCompile(`msg=(processed|released|failed)`).FindAllString(frozen.log(), -1)); n != 0 {
		t.Errorf("the frozen worker says of %d jobs how they ended", n)
	}

	for _, c := range cases {
		if c.other == "" {
			s.gate(c.id, 2, "done")
		}
	}
	for _, id := range retried {
		s.gate(id, 1, "done")
	}
	await(t, "what ran is done", func() bool { return len(s.rows()) == 2 })
	for id, job := range s.rows() {
		if job.Reserved || job.Attempts != 2 {
			t.Errorf("job %d is %+v, want one that was released", id, job)
		}
	}
	if n := len(s.runs()); n != 2*len(cases)+len(retried) {
		t.Errorf("%d runs, want two of each job and one of each retried one", n)
	}
}

// testScaleOut: eight workers on one queue, one of which is killed and replaced now and then. Every side effect happens, and once if
// it is in the transaction that completes its job. Every job is kept once.
func testScaleOut(t *testing.T, s *site) {
	const (
		jobs    = 5000
		workers = 8
		kills   = 12
	)
	s.createEffects()
	if err := operator.New(s.queue).SetKeep(t.Context(), operator.Keep{Queue: "*", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	ids := s.pushJobs(jobs, func(i int) appJob {
		return appJob{name: []string{"effect", "complete"}[i%2]}
	})
	start := func() *process { return s.work("--expire", "2", "--concurrency", "4", "--backoff", "0.1") }
	crew := make([]*process, workers)
	for i := range crew {
		crew[i] = start()
	}
	for i := range kills {
		await(t, "some more are done", func() bool { return s.count("SELECT COUNT(*) FROM effects") >= (i+1)*jobs/(kills+1) })
		victim := rand.IntN(workers)
		crew[victim].kill()
		crew[victim] = start()
	}
	s.empty()
	stop(t, crew...)

	effects := s.effects()
	var again int
	for i, id := range ids {
		n := effects[id]
		switch {
		case n == 0:
			t.Errorf("the side effect of job %d is missing", id)
		case n > 1 && i%2 == 1:
			t.Errorf("the side effect of job %d, in the transaction that completes it, happened %d times", id, n)
		case n > 1:
			again++
		}
	}
	kept, different := s.count("SELECT COUNT(*) FROM job_finished"), s.count("SELECT COUNT(DISTINCT job_id) FROM job_finished")
	if kept != jobs || different != jobs {
		t.Errorf("%d jobs are kept, %d of them different, want %d", kept, different, jobs)
	}
	t.Logf("%d kills: %d side effects without a transaction happened more than once", kills, again)
}

func (s *site) createEffects() {
	s.t.Helper()
	mustExec(s.t, s.db, "CREATE TABLE effects (job BIGINT NOT NULL, attempts INT NOT NULL)")
}

// effects returns how many side effects each job has had.
func (s *site) effects() map[int64]int {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), "SELECT job, COUNT(*) FROM effects GROUP BY job")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	effects := map[int64]int{}
	for rows.Next() {
		var id int64
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			s.t.Fatal(err)
		}
		effects[id] = n
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return effects
}
