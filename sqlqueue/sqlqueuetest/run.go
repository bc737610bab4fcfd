package sqlqueuetest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// mostRuns is how many jobs RunUntilEmpty runs.
const mostRuns = 1000

// Outcome is what has become of a job that was run.
type Outcome string

// The outcomes.
const (
	Processed Outcome = "processed" // done or discarded: the job is gone
	// Released is put back: after an error, by Release, Snooze or Throttle, or for want of a handler (worker.ErrNoHandler)
	Released Outcome = "released"
	Failed   Outcome = "failed" // moved to the failed jobs, or what a FailedFunc made of it
	Lost     Outcome = "lost"   // the job was deleted or released by somebody else while it ran
)

// Result is one run of a job.
type Result struct {
	Job     worker.JobInfo
	Outcome Outcome
	Delay   time.Duration // Released: until the job is available again
	Err     error         // nil if the handler returned none; otherwise what is wrong, or who asked for it
}

// String is one line: the job, the outcome, and why.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (job %d, queue %q, attempt %d) %s", r.Job.Name, r.Job.ID, r.Job.Queue, r.Job.Attempts, r.Outcome)
	if r.Outcome == Released {
		fmt.Fprintf(&b, " for %v", r.Delay)
	}
	if r.Err != nil {
		fmt.Fprintf(&b, ": %v", r.Err)
	}
	return b.String()
}

// RunOne runs the next job that is due, with a worker, and says what has become of it. It fails the test if no job is due.
//
// A handler may end the test by its FailNow, or Fatal.
func (q *Queue) RunOne(mux *worker.Mux) Result {
	q.t.Helper()
	results := q.run(mux, worker.Config{Once: true, Sleep: time.Millisecond})
	if len(results) == 0 {
		q.t.Fatalf("no job is due; there are%s", q.there())
	}
	return results[0]
}

// RunUntilEmpty runs jobs, with a worker, until none is due, and says what has become of each, in the order of their ends: jobs that its
// handlers have pushed too, but none that are delayed or wait after an error. It fails the test after 1,000 runs.
func (q *Queue) RunUntilEmpty(mux *worker.Mux) []Result {
	q.t.Helper()
	var all []Result
	for {
		// Again, for the queues that have come up meanwhile.
		results := q.run(mux, worker.Config{StopWhenEmpty: true, MaxJobs: mostRuns - len(all)})
		all = append(all, results...)
		if len(results) == 0 {
			return all
		}
		if len(all) >= mostRuns {
			q.t.Fatalf("still not empty after %d runs; the last: %v", len(all), all[len(all)-1])
		}
	}
}

// run runs a worker with the settings of Worker and those of how.
func (q *Queue) run(mux *worker.Mux, how worker.Config) []Result {
	q.t.Helper()
	config := q.Worker
	config.Once, config.StopWhenEmpty, config.MaxJobs = how.Once, how.StopWhenEmpty, how.MaxJobs
	config.Sleep = cmp.Or(how.Sleep, config.Sleep)
	config.Concurrency = cmp.Or(config.Concurrency, 1)
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(q.t.Output(), nil))
	}
	if config.Queues == nil {
		config.Queues = q.names()
	}
	var results []Result
	ended := func(outcome Outcome) func(worker.JobInfo, worker.Result) {
		return func(job worker.JobInfo, r worker.Result) {
			results = append(results, Result{Job: job, Outcome: outcome, Delay: r.Delay, Err: r.Err})
		}
	}
	config.Events = worker.Events{
		Processed: ended(Processed), Released: ended(Released), Failed: ended(Failed),
		Lost: func(job worker.JobInfo) { ended(Lost)(job, worker.Result{Err: sqlqueue.ErrReservationLost}) },
	}
	if err := worker.New(q.Queue, mux, config).Run(q.t.Context()); err != nil {
		q.t.Fatalf("sqlqueuetest: %v", err)
	}
	for _, r := range results {
		var ended *worker.PanicError
		if errors.As(r.Err, &ended) && ended.Value == nil && q.t.Failed() {
			q.t.FailNow() // as the handler has done
		}
	}
	return results
}

// names returns the queues that there are, by name.
func (q *Queue) names() []string {
	q.t.Helper()
	queues, err := operator.New(q.Queue).Queues(q.ctx(), 0)
	if err != nil {
		q.t.Fatalf("sqlqueuetest: %v", err)
	}
	var names []string
	for _, queue := range queues {
		if queue.Queue != "" {
			names = append(names, queue.Queue)
		}
	}
	return names
}

// there lists the jobs that wait.
func (q *Queue) there() string {
	q.t.Helper()
	jobs, err := operator.New(q.Queue).Jobs(q.ctx(), operator.JobFilter{})
	if err != nil {
		q.t.Fatalf("sqlqueuetest: %v", err)
	}
	if len(jobs) == 0 {
		return " none at all"
	}
	var b strings.Builder
	for _, job := range jobs {
		state := "available in " + time.Until(job.AvailableAt).Round(time.Millisecond).String()
		if job.Reserved {
			state = "reserved"
		}
		fmt.Fprintf(&b, "\n\tjob %d on queue %q, %s: %s", job.ID, job.Queue, state, job.Payload)
	}
	return b.String()
}
