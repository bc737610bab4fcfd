package integration

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// testUniqueKills: a worker is killed after the push and before the run has ended. The key stays with the job until another worker has
// ended it, and is free then; a key that is held until the job starts is free from then on.
func testUniqueKills(t *testing.T, s *site) {
	push := func(key string, options ...sqlqueue.PushOption) sqlqueue.Pushed {
		t.Helper()
		job := appJob{name: "wait", Dir: s.dir}
		got, err := s.queue.TryPush(t.Context(), job, append(options, sqlqueue.Unique(key))...)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	until := map[string][]sqlqueue.PushOption{"done": nil, "started": {sqlqueue.UniqueUntilStarted()}, "replaced": {sqlqueue.Replace()}}
	first := map[string]int64{}
	var ids []int64
	for key, options := range until {
		first[key] = push(key, options...).ID
		ids = append(ids, first[key])
	}
	slices.Sort(ids)
	flags := []string{"--expire", "2"}
	w := s.work(flags...)
	s.begun(1, ids...)
	w.kill()
	if again := push("done"); !again.Duplicate || again.ID != first["done"] {
		t.Errorf("the worker was killed, and the key is pushed again: %+v, want a duplicate of %d", again, first["done"])
	}
	for _, key := range []string{"started", "replaced"} {
		again := push(key, until[key]...)
		if again.Duplicate || again.Replaced || again.ID == first[key] {
			t.Errorf("%s: the job had started, and the key is pushed again: %+v", key, again)
		}
	}
	s.work(flags...)
	s.begun(2, ids...)
	s.gates()
	await(t, "no job is left", func() bool { return s.count("SELECT COUNT(*) FROM jobs") == 0 })
	for key, options := range until {
		if again := push(key, options...); again.Duplicate || again.Replaced {
			t.Errorf("%s: the job has ended, and the key is pushed again: %+v", key, again)
		}
	}
}

// testLimitKills: however workers are killed and frozen, no more handlers of a queue run at once than its limit allows, and of all queues
// together; and the places of those that are gone come back.
func testLimitKills(t *testing.T, s *site) {
	const (
		queues  = 5
		each    = 2
		all     = 7
		jobs    = 40 // of each queue
		takes   = 20 // milliseconds
		workers = 3
		kills   = 3
		expire  = 2 * time.Second
	)
	o := operator.New(s.queue)
	for _, l := range []operator.Limit{{Queue: "mail/*", Running: each}, {Queue: "mail", Running: all}} {
		if err := o.SetLimit(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	queueOf := map[int64]string{}
	for i := range queues {
		queue := fmt.Sprint("mail/", i)
		for _, id := range s.pushJobs(jobs, func(int) appJob { return appJob{name: "timed", Takes: takes} }, sqlqueue.OnQueue(queue)) {
			queueOf[id] = queue
		}
	}
	var everybody []*process
	start := func() *process {
		w := s.work("--queue", "mail/*", "--expire", fmt.Sprint(expire.Seconds()), "--concurrency", "10")
		everybody = append(everybody, w)
		return w
	}
	crew := make([]*process, workers)
	for i := range crew {
		crew[i] = start()
	}
	ended := map[int]time.Time{} // by process: when it was killed or frozen
	begun := func(more int) {
		t.Helper()
		before := len(s.runs())
		await(t, "some more have begun", func() bool { return len(s.runs()) >= before+more })
	}
	begun(10)
	frozen := crew[0]
	s.freeze(frozen)
	ended[frozen.pid()] = time.Now()
	for range kills {
		begun(10)
		victim := 1 + rand.IntN(workers-1)
		ended[crew[victim].pid()] = crew[victim].kill()
		crew[victim] = start()
	}
	await(t, "what the frozen worker had has begun again, or is nothing", func() bool {
		id := s.workers()[frozen.pid()].ID
		return !slices.ContainsFunc(slices.Collect(maps.Values(s.rows())), func(j sqlqueue.Job) bool {
			return j.Reserved && id != "" && len(j.ReservedBy) > len(id) && j.ReservedBy[:len(id)] == id
		})
	})
	frozen.signal(syscall.SIGCONT)
	s.empty()
	stop(t, crew...)

	handlers := s.handlers(ended, expire, everybody)
	ran := map[int64]bool{}
	for _, r := range s.runs() {
		ran[r.id] = true
	}
	if len(ran) != len(queueOf) {
		t.Errorf("%d jobs have run, want %d", len(ran), len(queueOf))
	}
	for i := range queues {
		queue := fmt.Sprint("mail/", i)
		most := atOnce(handlers, func(id int64) bool { return queueOf[id] == queue })
		if most > each {
			t.Errorf("%d handlers of %s ran at once, and its limit is %d", most, queue, each)
		}
	}
	most := atOnce(handlers, func(int64) bool { return true })
	if most > all {
		t.Errorf("%d handlers ran at once, and the limit of all is %d", most, all)
	}
	t.Logf("%d kills, one worker frozen: %d runs of %d jobs, at most %d at once of %d", kills, len(handlers), len(queueOf), most, all)
}

// testFrozenPermit: a worker that is frozen within an exchange, while it has the permit of a limit locked, does not stop the others for
// long.
func testFrozenPermit(t *testing.T, s *site) {
	const free = "SELECT COUNT(*) FROM (SELECT queue FROM job_permits WHERE queue = 'mail' FOR UPDATE SKIP LOCKED) AS free"
	if err := operator.New(s.queue).SetLimit(t.Context(), operator.Limit{Queue: "mail", Running: 1}); err != nil {
		t.Fatal(err)
	}
	const jobs = 2000
	s.pushJobs(jobs, func(int) appJob { return appJob{name: "quick"} }, sqlqueue.OnQueue("mail"))
	frozen := s.work("--queue", "mail", "--expire", "2")
	await(t, "a worker is frozen within an exchange", func() bool {
		if len(s.runs()) == 0 {
			return false
		}
		frozen.signal(syscall.SIGSTOP)
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // the server ends what it is doing
		if s.count(free) == 1 {
			frozen.signal(syscall.SIGCONT)
			return false
		}
		return true
	})
	before := len(s.runs())
	other := s.work("--queue", "mail", "--expire", "2")
	await(t, "another worker runs the jobs", func() bool { return len(s.runs()) > before })
	other.kill()
	frozen.signal(syscall.SIGCONT)
	before = len(s.runs())
	await(t, "the worker goes on that was frozen", func() bool { return len(s.runs()) > before })
}

// handler is a run of a job, while its worker had the reservation.
type handler struct {
	id         int64
	begun, end time.Time
	done       bool // the handler has returned
}

// handlers returns the runs of jobs that are timed, up to their ends, or to the end of their processes. Runs whose reservations were lost
// while they ran are left out, since others may then have begun: as the worker says, or as it may be where it was killed so late.
func (s *site) handlers(ended map[int]time.Time, expire time.Duration, workers []*process) (handlers []handler) {
	s.t.Helper()
	type key struct {
		id       int64
		attempts int
	}
	returned := map[key]time.Time{}
	file, err := os.Open(filepath.Join(s.dir, "ended"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var k key
		var pid int
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &k.id, &k.attempts, &pid, &at); err != nil {
			s.t.Fatalf("the file of ends has %q", lines.Text())
		}
		returned[k] = time.Unix(0, at)
	}
	lost := map[int]map[int64]bool{}
	says := regexp.MustCompile(`reservation (?:was )?lost.* id=(\d+) `)
	for _, w := range workers {
		lost[w.pid()] = map[int64]bool{}
		for _, match := range says.FindAllStringSubmatch(w.log(), -1) {
			id, _ := strconv.ParseInt(match[1], 10, 64)
			lost[w.pid()][id] = true
		}
	}
	for _, r := range s.runs() {
		h := handler{id: r.id, begun: r.at}
		h.end, h.done = returned[key{r.id, r.attempts}], !returned[key{r.id, r.attempts}].IsZero()
		if gone, ok := ended[r.pid]; ok && r.at.Before(gone) && (!h.done || h.end.After(gone)) {
			h.end, h.done = gone, false
			if gone.Sub(r.at) > expire/2 {
				continue
			}
		} else if lost[r.pid][r.id] || !h.done {
			continue
		}
		handlers = append(handlers, h)
	}
	return handlers
}

// atOnce returns how many handlers of some jobs ran at once at most.
func atOnce(handlers []handler, of func(id int64) bool) (most int) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, h := range handlers {
		if of(h.id) {
			changes = append(changes, change{h.begun, 1}, change{h.end, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	running := 0
	for _, c := range changes {
		running += c.by
		most = max(most, running)
	}
	return most
}

// testBatchKills: while workers are killed and replaced, the callback of each batch is pushed once, and not before its last job has ended.
func testBatchKills(t *testing.T, s *site) {
	const (
		batches = 30
		members = 20
		workers = 4
		kills   = 6
	)
	jobs := make([]sqlqueue.Pushable, members)
	for i := range jobs {
		jobs[i] = appJob{name: "quick", Dir: s.dir}
	}
	for range batches {
		b := s.queue.Batch("import")
		if _, err := b.Push(t.Context(), jobs...); err != nil {
			t.Fatal(err)
		}
		callback := func(queue string) sqlqueue.Pushable {
			return sqlqueue.With(sqlqueue.Named("callback", nil), sqlqueue.OnQueue(queue))
		}
		if _, err := b.Seal(t.Context(), sqlqueue.OnSuccess(callback("success")), sqlqueue.OnFinish(callback("finish"))); err != nil {
			t.Fatal(err)
		}
	}
	start := func() *process { return s.work("--queue", "import/*", "--expire", "1", "--concurrency", "2") }
	crew := make([]*process, workers)
	for i := range crew {
		crew[i] = start()
	}
	for i := range kills {
		await(t, "some more have run", func() bool { return len(s.runs()) >= (i+1)*batches*members/(kills+1) })
		victim := rand.IntN(workers)
		crew[victim].kill()
		crew[victim] = start()
	}
	await(t, "each batch has ended", func() bool {
		return s.count("SELECT COUNT(*) FROM job_batches WHERE closed_at IS NOT NULL") == batches
	})
	stop(t, crew...)
	called := map[string]int{}
	for _, job := range s.rows() {
		payload, err := sqlqueue.ParsePayload(job.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if payload.Job != "callback" || payload.Parent == nil {
			t.Fatalf("job %d is left: %s", job.ID, job.Payload)
		}
		called[fmt.Sprint(job.Queue, " of ", payload.Parent.Batch)]++
	}
	if len(called) != 2*batches {
		t.Errorf("%d callbacks, want two of each of %d batches", len(called), batches)
	}
	for which, n := range called {
		if n != 1 {
			t.Errorf("the callback %s was pushed %d times", which, n)
		}
	}
}
