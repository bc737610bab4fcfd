package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestOperatorPlans: what an operator looks at goes by indexes on large tables.
func TestOperatorPlans(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		p := newPlans(t, s, largeTables[:5])
		p.fillForOperators(t)
		ctx, q, primary := t.Context(), p.queue, p.primary
		p.check(t, []planTest{
			{
				"queues", func() error { _, err := operator.New(q).Queues(ctx, 1000); return err },
				[]string{"failed_jobs_queue", "jobs_expiry", "jobs_ready"},
			},
			{
				"counts", func() error { _, err := operator.New(q).Counts(ctx, time.Hour); return err },
				[]string{"job_counts_minute", primary("jobs")},
			},
			{
				"old counts", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldCounts: operator.CountsKept - time.Hour})
				},
				[]string{"job_counts_minute", primary("job_counts")},
			},
			{
				"old errors", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldErrors: 49 * time.Hour, MostErrors: 60_000})
				},
				[]string{"job_errors_at", primary("job_errors")},
			},
			{
				"errors", func() error { _, err := operator.New(q).Errors(ctx, operator.ErrorFilter{Before: 50_000}); return err },
				[]string{primary("job_errors")},
			},
			{
				"errors of a job", func() error { _, err := operator.New(q).Errors(ctx, operator.ErrorFilter{JobID: 7}); return err },
				[]string{"job_errors_job"},
			},
			{
				"groups of errors", func() error { _, err := operator.New(q).ErrorGroups(ctx, time.Hour, 1000); return err },
				[]string{primary("job_errors")},
			},
			{
				"finished jobs", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Before: 50_000})
					return err
				},
				[]string{primary("job_finished")},
			},
			{
				"finished jobs of a queue", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Queue: "few"})
					return err
				},
				[]string{"job_finished_queue"},
			},
			{
				"finished jobs of a name", func() error {
					_, err := operator.New(q).FinishedJobs(ctx, operator.FinishedFilter{Name: "rare"})
					return err
				},
				[]string{"job_finished_name"},
			},
			{
				"a finished job", func() error {
					_, err := operator.New(q).FinishedJob(ctx, 7)
					return err
				},
				[]string{"job_finished_job"},
			},
			{
				"old finished jobs", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, Unseen: time.Hour})
				},
				[]string{"job_finished_until", primary("job_finished")},
			},
			{
				"groups", func() error { _, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{}, 1000); return err },
				[]string{primary("failed_jobs")},
			},
			{
				"groups of a queue", func() error {
					_, err := operator.New(q).FailedGroups(ctx, operator.FailedFilter{Queue: "few"}, 1000)
					return err
				},
				[]string{"failed_jobs_queue"},
			},
			{
				"a page of jobs", func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{After: 1000}); return err },
				[]string{primary("jobs")},
			},
			{
				"the newest jobs", func() error { _, err := operator.New(q).Jobs(ctx, operator.JobFilter{Newest: true}); return err },
				[]string{primary("jobs")},
			},
			{
				"a page of failed jobs", func() error {
					_, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Before: 1000})
					return err
				},
				[]string{primary("failed_jobs")},
			},
			{
				"a page of a queue's failed jobs", func() error {
					_, err := operator.New(q).FailedJobs(ctx, operator.FailedFilter{Queue: "few", Before: 80_000})
					return err
				},
				[]string{"failed_jobs_queue"},
			},
			{
				"forget what is old", func() error {
					_, err := operator.New(q).Forget(ctx, operator.FailedFilter{OlderThan: 1000 * time.Hour})
					return err
				},
				[]string{"failed_jobs_failed_at"},
			},
		})
	})
}

// fillForOperators makes large tables, by doubling.
func (p *plans) fillForOperators(t *testing.T) {
	t.Helper()
	ctx, q, db := t.Context(), p.queue, p.db
	push := func(name, queue string, options ...sqlqueue.PushOption) {
		t.Helper()
		if _, err := q.Push(ctx, sqlqueue.Named(name, nil), append(options, sqlqueue.OnQueue(queue))...); err != nil {
			t.Fatal(err)
		}
	}
	reserve := func(number string, limit int) []sqlqueue.Job {
		t.Helper()
		x := driver.Exchange{Number: number, Limit: limit}
		for i := range 5 {
			x.Reserve = append(x.Reserve, driver.Reserve{Queue: fmt.Sprint("queue-", i), Expire: time.Hour})
		}
		answer, err := q.Exchange(ctx, x)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Reserved
	}
	for i := range 40 {
		push("job", fmt.Sprint("queue-", i%5))
	}
	var x driver.Exchange
	for _, j := range reserve("w-1", 40) {
		x.Settle = append(x.Settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: "no"})
	}
	b := driver.Beat{Worker: driver.Worker{ID: "w"}}
	for i := range 1000 {
		b.Counts = append(b.Counts, driver.Count{
			Minute: time.Now().Add(-time.Duration(i) * 3 * time.Minute).Truncate(time.Minute), Queue: "queue-1", Done: 1,
		})
	}
	for i := range 1000 {
		b.Errors = append(b.Errors, driver.RunError{
			JobID: int64(i), Queue: "queue-1", Outcome: "released", At: time.Now().Add(-time.Duration(i) * 3 * time.Minute),
		})
	}
	if _, err := q.Exchange(ctx, x); err != nil {
		t.Fatal(err)
	}
	if err := q.Beat(ctx, b); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		push("job", fmt.Sprint("queue-", i%5), sqlqueue.Priority(i%3), sqlqueue.Delay(time.Duration(i%4/3)*time.Hour))
	}
	p.double(t, 11, "INSERT INTO jobs (queue, priority, payload, available_at, created_at) "+
		"SELECT queue, priority, payload, available_at, created_at FROM jobs")
	p.double(t, 11, `INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
		SELECT job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at FROM failed_jobs`)
	p.double(t, 6, "INSERT INTO job_counts (minute, queue, pushed, done, failed, released) "+
		"SELECT minute, queue, pushed, done, failed, released FROM job_counts")
	p.double(t, 6, `INSERT INTO job_errors (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at)
		SELECT job_id + 1000, queue, name, attempt, outcome, error, stack, worker, took_ms, at FROM job_errors`)
	if n := len(reserve("w-2", 20)); n != 20 {
		t.Fatalf("reserved %d jobs", n)
	}
	mustExec(t, db, "UPDATE failed_jobs SET queue = 'few' WHERE id % 1000 = 7")
	mustExec(t, db,
		`INSERT INTO job_finished (job_id, queue, name, priority, payload, attempts, outcome, worker, created_at, started_at, keep_until)
		SELECT id, queue, CASE WHEN id % 1000 = 7 THEN 'rare' ELSE 'job' END, priority, payload, attempts, 'done', `+
			`'w', created_at, created_at,
			CASE WHEN id % 1000 = 8 THEN created_at ELSE TIMESTAMP '2100-01-01 00:00:00' END
		FROM failed_jobs`)
	p.analyze(t, "jobs", "failed_jobs", "job_counts", "job_errors", "job_finished")
}
