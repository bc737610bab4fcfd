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

// TestNamesPlans: counts by name, sizes and the upkeep of both go by indexes on large tables.
func TestNamesPlans(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		tables := []string{"jobs", "failed_jobs", "job_counts", "job_names", "job_sizes"}
		p := newPlans(t, s, tables)
		ctx, q, db, primary := t.Context(), p.queue, p.db, p.primary
		for i := range 20 {
			// Of a queue that has half of the jobs, PostgreSQL rightly takes a scan of the table for as cheap as the index.
			queue := []string{"mail", "news", "orders", "bills", fmt.Sprint("tenants/", i%7)}[i%5]
			if _, err := q.Push(ctx, sqlqueue.Named("job", nil), sqlqueue.OnQueue(queue)); err != nil {
				t.Fatal(err)
			}
		}
		b := driver.Beat{Worker: driver.Worker{ID: "w"}}
		for i := range 1000 {
			minute := time.Now().Add(-time.Duration(i) * 40 * time.Minute).Truncate(time.Minute)
			b.Names = append(b.Names, &driver.NameCount{Minute: minute, Queue: "mail", Name: fmt.Sprint("send", i%7), Done: 1})
			b.Counts = append(b.Counts, driver.Count{Minute: minute, Queue: fmt.Sprint("mail/", i), Done: 1})
		}
		if err := q.Beat(ctx, b); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, "UPDATE job_names SET step = CASE WHEN id < 20 THEN 0 WHEN id < 100 THEN 10 ELSE 60 END")
		mustExec(t, db, "INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at) "+
			"SELECT id, queue, 0, payload, 1, '', '', created_at FROM jobs")
		p.double(t, 6, "INSERT INTO job_names (step, minute, queue, name, done) "+
			"SELECT step, minute, queue, name, done FROM job_names WHERE step = 60")
		p.double(t, 6,
			"INSERT INTO job_counts (minute, queue, pushed, done, failed, released) SELECT minute, queue, 1, 1, 1, 1 FROM job_counts")
		p.double(t, 11, "INSERT INTO jobs (queue, payload) SELECT queue, payload FROM jobs")
		p.double(t, 11, "INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at) "+
			"SELECT job_id, queue, 0, payload, 1, '', '', created_at FROM failed_jobs")
		for i := range 60 {
			mustExec(t, db, fmt.Sprintf("INSERT INTO job_sizes (step, minute, queue, ready, not_due, reserved, failed, oldest_ms) "+
				"SELECT DISTINCT 60, minute, 'queue-%d', 1, 1, 1, 1, 1 FROM job_names", i))
		}
		p.analyze(t, tables...)
		o := operator.New(q)
		p.check(t, []planTest{
			{"names", func() error { _, err := o.Names(ctx, time.Hour); return err }, []string{"job_names_step"}},
			{
				"the trend of a name", func() error { _, err := o.NameTrend(ctx, "mail", "send1", 24*time.Hour); return err },
				[]string{"job_names_step"},
			},
			{"sizes", func() error { _, err := o.Sizes(ctx, "queue-1", time.Hour); return err }, []string{primary("job_sizes")}},
			{
				"upkeep", func() error { return p.below.Upkeep(ctx) },
				[]string{
					"jobs_ready", "jobs_expiry", "failed_jobs_queue", "job_names_step", primary("job_names"), primary("job_sizes"),
					primary("job_counts"),
				},
			},
		})
	})
}
