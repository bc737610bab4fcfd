package sqlitequeue

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// What workers ask of schedules, batches, limits and patterns of queues goes by indexes, whether or not ANALYZE was ever run.
func TestSchedulesBatchesLimitsPlans(t *testing.T) {
	db := openFile(t)
	s := newStore(db, "")
	const numbers = " WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) "
	execute(t, db, `
INSERT INTO job_schedules (name, cron, zone, payload, next_at, paused)`+numbers+`
SELECT 's' || n, '0 0 * * *', 'UTC', '{"job":"x"}', CASE WHEN n = 1 THEN NULL WHEN n <= 3 THEN n ELSE 4000000000000000 + n END, n > 10000 `+
		`FROM n;
INSERT INTO job_batches (queue, name, total, on_success, created_at, sealed_at, closed_at)`+numbers+`
SELECT 'import/b' || n, 'import', 2, '{"job":"x"}', 1, 1, CASE WHEN n <= 18000 THEN 1 END FROM n;
INSERT INTO job_permits (queue, tat)`+numbers+`SELECT 'mail/' || n, n FROM n;
INSERT INTO job_limits (queue, max_running) VALUES ('mail', 10000), ('mail/*', 2);
INSERT INTO jobs (queue, payload, available_at, reserved, reserved_at, reserved_by, expires_at, unique_key)`+numbers+`
SELECT CASE WHEN n % 2 = 0 THEN 'mail' ELSE 'mail/' || (n % 300) END, '{"job":"x"}', n, n % 501 = 0, CASE WHEN n % 501 = 0 THEN n END,
	CASE WHEN n % 501 = 0 THEN 'w-x' END, CASE WHEN n % 501 = 0 THEN 4000000000000000 + n END, CASE WHEN n % 7 = 0 THEN n END FROM n;
INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)`+numbers+`
SELECT n, 'import/b' || (n % 1000), 0, '{"job":"x"}', 1, 'no', '', n, n FROM n`)
	ctx := t.Context()
	of, database, o := noteStatements(t, s)
	callback := func(driver.Batch, json.RawMessage, string) driver.NewJob {
		return driver.NewJob{Queue: "callbacks", Payload: []byte(`{"job":"x"}`)}
	}
	const (
		waits   = "SEARCH jobs USING INDEX jobs_ready (queue=?)"
		list    = "SEARCH job_batches USING INTEGER PRIMARY KEY (rowid<?)"
		runs    = "SEARCH jobs USING INDEX jobs_running (queue=?)"
		failed  = "SEARCH failed_jobs USING COVERING INDEX failed_jobs_queue (queue=?)"
		byBatch = "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)"
		lock    = "SEARCH job_batches USING INTEGER PRIMARY KEY (rowid=?)"
		below   = "SEARCH jobs USING INDEX jobs_running (queue>? AND queue<?)"
		permit  = "SEARCH job_permits USING INDEX sqlite_autoindex_job_permits_1 "
		byNext  = "SEARCH job_schedules USING INDEX job_schedules_next "
	)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			execute(t, db, "ANALYZE")
		}
		for name, test := range map[string]struct {
			do   func() error
			want []string
		}{
			"due schedules": {
				func() error { _, _, _, err := database.DueSchedules(ctx); return err },
				[]string{byNext + "(next_at<?)", byNext + "(next_at=?)", byNext + "(next_at>?)"},
			},
			"chores": {func() error {
				return database.Statement("SELECT %s", database.ChoresColumns()).Each(ctx, database.DB, func(func(...any) error) error {
					return nil
				})
			}, []string{byNext + "(next_at=?)", byNext + "(next_at>?)", "SCAN job_batches USING INDEX job_batches_open"}},
			"a tick": {func() error {
				job := driver.NewJob{Queue: "mail", Payload: []byte(`{"job":"x"}`), UniqueKey: "s2"}
				_, err := database.Tick(ctx, driver.Tick{
					Name: "s2", At: time.UnixMicro(2), Next: time.UnixMicro(2), Jobs: []driver.NewJob{job},
				})
				return err
			}, []string{
				"SEARCH job_schedules USING INDEX sqlite_autoindex_job_schedules_1 (name=?)",
				"SEARCH jobs USING COVERING INDEX jobs_unique (queue=? AND unique_key=?)",
			}},
			"batches that are open": {func() error {
				_, err := database.LookBatches(ctx, driver.BatchLook{Sweep: true, Callback: callback})
				return err
			}, []string{waits, runs, failed, byBatch, lock, "SEARCH b USING INDEX job_batches_open (id>?)"}},
			"batches of queues": {func() error {
				_, err := database.LookBatches(ctx, driver.BatchLook{
					Queues: []string{map[bool]string{false: "import/b19501", true: "import/b19502"}[analyzed]}, Callback: callback,
				})
				return err
			}, []string{waits, runs, failed, byBatch, lock, "SEARCH b USING INDEX sqlite_autoindex_job_batches_1 (queue=?)"}},
			"old batches": {func() error {
				return database.Beat(ctx, driver.Beat{Worker: driver.Worker{ID: "w"}, OldCounts: time.Hour})
			}, []string{
				"SEARCH oldest", "SEARCH job_batches USING INTEGER PRIMARY KEY (rowid<?)",
				"SEARCH job_counts USING COVERING INDEX job_counts_minute (minute<?)",
				"SEARCH job_once USING COVERING INDEX job_once_until (held_until<?)",
				"SEARCH job_workers USING COVERING INDEX sqlite_autoindex_job_workers_1 (id=?)",
				"SEARCH job_progress USING COVERING INDEX job_progress_at (at<?)",
				"SEARCH job_cancelled USING COVERING INDEX job_cancelled_at (cancelled_at<?)",
			}},
			"batches of the list": {
				func() error { _, err := o.Batches(ctx, 19000, 10); return err }, []string{waits, runs, failed, byBatch, list},
			},
			"permits": {func() error {
				_, _, err := database.TakePermits(ctx, database.DB, []string{"mail", "mail/1"})
				return err
			}, []string{permit + "(queue=?)"}},
			"old permits": {
				func() error { _, err := database.SweepPermits(ctx, "", time.Hour); return err },
				[]string{permit + "(queue=?)", permit + "(queue>?)"},
			},
			"what runs": {func() error {
				_, err := database.Running(ctx, database.DB, []sqldb.Level{{Queue: "mail", Below: true}, {Queue: "mail/1"}})
				return err
			}, []string{runs, below, "SCAN jobs USING INDEX jobs_expiry"}}, // all that is reserved, for a queue without a level
			"queues below": {
				func() error { _, err := database.QueuesBelow(ctx, "mail/", ""); return err },
				[]string{"SEARCH jobs USING INDEX jobs_ready (queue>? AND queue<?)"},
			},
			"the newest below": {func() error { _, err := database.NewestBelow(ctx, "mail/"); return err }, []string{"SCAN jobs"}},
		} {
			of.statements = nil
			if err := test.do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := map[string]bool{}
			for _, statement := range of.statements {
				for _, step := range explain(t, db, statement) {
					if strings.Contains(step, "SEARCH ") || strings.Contains(step, " jobs") ||
						strings.Contains(step, "SCAN job_batches USING") {
						got[step] = true
					}
				}
			}
			if steps := slices.Sorted(maps.Keys(got)); !slices.Equal(steps, slices.Sorted(slices.Values(test.want))) {
				t.Errorf("analyzed: %v, %s: plan %q\nwant %q", analyzed, name, steps, test.want)
			}
		}
	}
}
