package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// push pushes jobs and writes what became of them. It returns what became of the last thousand.
func (w *world) push(q *sqlqueue.Queue, jobs []pushJob, options ...sqlqueue.PushOption) (what string) {
	w.Helper()
	const most = 1000
	for len(jobs) > 0 {
		part := jobs[:min(most, len(jobs))]
		jobs = jobs[len(part):]
		many := make([]sqlqueue.Pushable, len(part))
		for i := range part {
			many[i] = part[i]
		}
		ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
		_, err := q.PushMany(ctx, many, options...)
		cancel()
		what = outcome(err)
		for _, j := range part {
			w.must(w.produced.Write(Event{What: what, Kind: j.kind, Token: j.Token}))
		}
	}
	return what
}

func some(n int, job func(i int) pushJob) []pushJob {
	jobs := make([]pushJob, n)
	for i := range jobs {
		jobs[i] = job(i)
	}
	return jobs
}

var burstOf = flag.Int("chaos.burst", 2000, "how many jobs each of TestLoad's four bursts has")

// TestLoad: bursts of jobs for a thousand handlers in eight processes, and jobs among them that kill their worker.
func TestLoad(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(8, "--concurrency", "125")
		q := w.open(w.dsn).Queue
		for burst := range 4 {
			w.push(q, some(3, func(i int) pushJob {
				return pushJob{kind: Poison, Token: fmt.Sprintf("poison-%d-%d", burst, i), Bad: 2}
			}))
			w.push(q, some(*burstOf, func(i int) pushJob {
				return pushJob{kind: Plain, Token: fmt.Sprintf("burst-%d-%d", burst, i), Takes: 20}
			}))
			w.pass(500 * time.Millisecond)
		}
		w.settle()
	})
}

// TestStarvation: a queue of slow jobs that fills every place does not keep the jobs of a fast queue from running.
func TestStarvation(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(2, "--queue", "slow,fast", "--fair", "--concurrency", "4")
		database := w.open(w.dsn)
		w.push(database.Queue, some(60, func(i int) pushJob { return pushJob{kind: Plain, Token: fmt.Sprintf("slow-%d", i), Takes: 700} }),
			sqlqueue.OnQueue("slow"))
		w.push(database.Queue, some(30, func(i int) pushJob { return pushJob{kind: Plain, Token: fmt.Sprintf("fast-%d", i)} }),
			sqlqueue.OnQueue("fast"))
		count := func(queue string) (n int) {
			w.must(database.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs WHERE queue = '"+queue+"'").Scan(&n))
			return n
		}
		if !w.await(time.Minute, func(context.Context) bool { return count("fast") == 0 }) {
			t.Errorf("%d fast jobs are left", count("fast"))
		}
		if n := count("slow"); n == 0 {
			t.Error("the fast jobs ran when all the slow ones had")
		}
		w.settle()
	})
}

// TestSizes: payloads of a byte to sixteen megabytes come to their handlers whole, or are refused by the push.
func TestSizes(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(1, "--concurrency", "2")
		q := w.open(w.dsn).Queue
		for i, size := range []int{1, 100, 64 << 10, 1 << 20, 8 << 20, 15 << 20, 16 << 20} {
			text := strings.Repeat("ä\"\\\n"[:1+i%4], size)[:size]
			text = strings.ToValidUTF8(text, "")
			sum := sha256.Sum256([]byte(text))
			job := pushJob{kind: Plain, Token: fmt.Sprintf("size-%d", size), Text: text, Sum: hex.EncodeToString(sum[:])}
			if what := w.push(q, []pushJob{job}); what != Committed {
				t.Logf("a payload of %d bytes: %s", size, what)
			}
		}
		w.settle()
	})
}

// TestDeploy: jobs that only the new version of the workers knows are pushed while the old one runs, and lose nothing by it.
func TestDeploy(t *testing.T) {
	abreast(t)
	binaries := buildWorkers(t)
	everywhere(t, func(t *testing.T, at place) {
		w := newWorld(t, at, binaries, newRandom(t))
		w.work(2)
		w.produce(1, usual)
		q := w.open(w.dsn).Queue
		const pushed = 20
		w.push(q, some(pushed, func(i int) pushJob { return pushJob{kind: New, Token: fmt.Sprintf("new-%d", i)} }))
		var waiting []sqlqueue.Job
		if !w.await(90*time.Second, func(ctx context.Context) bool {
			var err error
			waiting, err = operator.New(q).Jobs(ctx, operator.JobFilter{Name: New, State: operator.Delayed})
			return err == nil && len(waiting) == pushed
		}) {
			t.Errorf("%d of %d jobs without a handler were put back", len(waiting), pushed)
		}
		w.deploy("new")
		now := time.Now()
		for _, j := range waiting {
			if j.Attempts != 0 {
				t.Errorf("job %d has %d attempts: nobody could run it", j.ID, j.Attempts)
			}
			err := operator.New(q).Edit(t.Context(), j.ID, operator.JobEdit{At: &now}) // instead of a minute later, unless that is over
			if err != nil && !errors.Is(err, operator.ErrNotFound) && !errors.Is(err, operator.ErrReserved) {
				t.Error(err)
			}
		}
		w.settle()
	})
}
