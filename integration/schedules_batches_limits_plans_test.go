package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// TestSchedulesBatchesLimitsPlans: what workers ask of schedules, batches, limits and patterns of queues goes by indexes on large tables.
func TestSchedulesBatchesLimitsPlans(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		p := newPlans(t, s, largeTables)
		p.fillSchedulesBatchesLimits(t)
		ctx, q, d, on, primary := t.Context(), p.queue, p.below, p.on, p.primary
		number := 0
		exchange := func(queues ...string) error {
			number++
			x := driver.Exchange{Number: fmt.Sprintf("w-%d", number), Limit: 20}
			for _, queue := range queues {
				x.Reserve = append(x.Reserve, driver.Reserve{Queue: queue, Expire: time.Hour})
			}
			answer, err := q.Exchange(ctx, x)
			if err == nil && len(answer.Reserved) == 0 {
				err = fmt.Errorf("nothing was reserved from %q", queues)
			}
			return err
		}
		callback := func(driver.Batch, json.RawMessage, string) driver.NewJob {
			return driver.NewJob{Queue: "callbacks", Payload: []byte(`{"job":"x"}`)}
		}
		look := func(l driver.BatchLook) error {
			l.Callback = callback
			looked, err := d.LookBatches(ctx, l)
			if err == nil && len(looked.Pushed) == 0 {
				err = fmt.Errorf("no batch has ended")
			}
			return err
		}
		unique, runs := on("job_batches_queue_key", "queue"), on("jobs_running", "jobs_expiry")
		inBatch := on("jobs_running", "jobs_ready") // what runs of a batch
		p.check(t, []planTest{
			{
				"due schedules", func() error {
					due, _, _, err := d.DueSchedules(ctx)
					if err == nil && len(due) != 3 {
						err = fmt.Errorf("%d schedules are due", len(due))
					}
					return err
				},
				[]string{"job_schedules_next"},
			},
			{
				"chores", func() error {
					return d.Tx(ctx, func(db sqldb.DB) (err error) {
						if d.Dialect.ByIndex != "" { // as in an exchange
							_, err = db.Exec(ctx, d.Dialect.ByIndex)
						}
						if err == nil {
							err = d.Statement("SELECT %s", d.ChoresColumns()).Each(ctx, db, func(func(...any) error) error { return nil })
						}
						return err
					})
				},
				[]string{"job_schedules_next", "job_batches_open"},
			},
			{
				"a tick of a schedule that does not overlap", func() error {
					due, _, _, err := d.DueSchedules(ctx)
					if err == nil {
						job := driver.NewJob{Queue: "mail", Payload: []byte(`{"job":"x"}`), UniqueKey: "schedule:" + due[0].Name}
						_, err = d.Tick(ctx, driver.Tick{
							Name: due[0].Name, At: due[0].NextAt, Next: time.Now(), Jobs: []driver.NewJob{job},
						})
					}
					return err
				},
				[]string{"job_schedules_next", primary("job_schedules"), "jobs_unique"},
			},
			{
				"batches that have ended, among all that are open", func() error { return look(driver.BatchLook{Sweep: true}) },
				[]string{"job_batches_open", primary("job_batches"), "jobs_ready", inBatch, "failed_jobs_queue"},
			},
			{
				"batches of queues", func() error { return look(driver.BatchLook{Queues: []string{"import/b19501", "import/b19502"}}) },
				[]string{unique, primary("job_batches"), "jobs_ready", inBatch, "failed_jobs_queue"},
			},
			{
				"old batches", func() error {
					return q.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldCounts: time.Hour})
				},
				[]string{primary("job_batches"), "job_counts_minute"},
			},
			{
				"a push into a batch", func() error {
					_, err := d.PushBatch(ctx, 19_000, []driver.NewJob{{Queue: "import/b19000", Payload: []byte(`{"job":"x"}`)}})
					return err
				},
				[]string{on("job_batches_open", "PRIMARY")},
			},
			{
				"a reservation from a queue with a limit", func() error { return exchange("mail") },
				[]string{primary("job_permits"), "jobs_expiry", "jobs_ready", runs, on("job_queues_pkey", "PRIMARY")},
			},
			{
				"a reservation from queues of a pattern with limits", func() error { return exchange("mail/*") },
				[]string{primary("job_permits"), "jobs_expiry", "jobs_ready", runs, primary("jobs"), on("job_queues_pkey", "PRIMARY")},
			},
			{
				"old permits", func() error {
					last, err := d.SweepPermits(ctx, "", time.Hour)
					if err == nil && last == "" {
						err = fmt.Errorf("a sweep goes through the whole table")
					}
					return err
				},
				[]string{primary("job_permits")},
			},
			{
				"queues of a pattern", func() error {
					found, err := d.QueuesBelow(ctx, "mail/", "")
					if err == nil && len(found) == 0 {
						err = fmt.Errorf("no queue is found")
					}
					return err
				},
				[]string{on("jobs_ready", "none: a step is a look at one entry")},
			},
			{
				"batches of the list", func() error { _, err := operator.New(q).Batches(ctx, 19_000, 10); return err },
				[]string{primary("job_batches"), "jobs_ready", inBatch, "failed_jobs_queue"},
			},
		})
	})
}

// fillSchedulesBatchesLimits makes large tables. Of the batches, those from 18,001 on are open, and their queues are empty.
func (p *plans) fillSchedulesBatchesLimits(t *testing.T) {
	t.Helper()
	now, later, long := "clock_timestamp()", "clock_timestamp() + n * interval '1 minute'", "- (18060 - n) * interval '1 hour'"
	if p.server.Engine != "postgres" {
		now, later, long = "UTC_TIMESTAMP(6)", "UTC_TIMESTAMP(6) + INTERVAL n MINUTE", "- INTERVAL (18060 - n) HOUR"
	}
	numbers := "(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1 AS n FROM "
	for i, alias := range []string{"a", "b", "c", "e"} {
		if i > 0 {
			numbers += " CROSS JOIN "
		}
		numbers += "(SELECT 0 AS d" + strings.Repeat(" UNION ALL SELECT %d", 9) + ") " + alias
	}
	numbers += " CROSS JOIN (SELECT 0 AS d UNION ALL SELECT 1) f) AS numbers" // from 1 to 20,000
	digits := make([]any, 0, 36)
	for range 4 {
		for d := 1; d <= 9; d++ {
			digits = append(digits, d)
		}
	}
	numbers = fmt.Sprintf(numbers, digits...)
	mustExec(
		t, p.db,
		fmt.Sprintf(`INSERT INTO job_schedules (name, cron, zone, payload, next_at, paused)
			SELECT CONCAT('s', n), '0 0 * * *', 'UTC', '{"job":"x"}', CASE WHEN n = 1 THEN NULL WHEN n <= 3 THEN %s ELSE %s END, n > 10000
			FROM %s`, now, later, numbers),
		fmt.Sprintf(`INSERT INTO job_batches (queue, name, total, on_success, sealed_at, closed_at)
			SELECT CONCAT('import/b', n), 'import', 2, '{"job":"x"}', %[1]s, CASE WHEN n <= 18000 THEN %[1]s %[3]s END
			FROM %[2]s ORDER BY n`, now, numbers, long),
		"INSERT INTO job_permits (queue, tat) SELECT CONCAT('mail/', n), n FROM "+numbers,
		fmt.Sprintf("INSERT INTO job_counts (minute, queue, pushed, done, failed, released) SELECT %s, 'mail', 1, 1, 0, 0 FROM %s",
			later, numbers),
		"INSERT INTO job_limits (queue, max_running) VALUES ('mail', 10000), ('mail/*', 2)",
		fmt.Sprintf(`INSERT INTO jobs (queue, payload, available_at, reserved, reserved_at, reserved_by, expires_at, unique_key)
			SELECT CASE WHEN MOD(n, 2) = 0 THEN 'mail' ELSE CONCAT('mail/', MOD(n, 300)) END, '{"job":"x"}', %[1]s,
				MOD(n, 501) = 0, CASE WHEN MOD(n, 501) = 0 THEN %[1]s END, CASE WHEN MOD(n, 501) = 0 THEN 'w-x' END,
				CASE WHEN MOD(n, 501) = 0 THEN %[2]s END, CASE WHEN MOD(n, 7) = 0 THEN CONCAT('', n) END
			FROM %[3]s ORDER BY n`, now, later, numbers),
		fmt.Sprintf(`INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
			SELECT n, CONCAT('import/b', MOD(n, 1000)), 0, '{"job":"x"}', 1, 'no', '', %[1]s, %[1]s FROM %[2]s`, now, numbers),
	)
	p.analyze(t, "job_schedules", "job_batches", "job_permits", "job_counts", "jobs", "failed_jobs")
}
