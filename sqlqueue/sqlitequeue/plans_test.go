package sqlitequeue

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// The statements of an exchange go by their indexes, whatever else is in the table and whether or not ANALYZE was ever run.
func TestPlans(t *testing.T) {
	db := openFile(t)
	s := newStore(db, "")
	execute(t, db, `
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO jobs (queue, payload, available_at, unique_key)
SELECT 'default', '{"job":"x"}', 4000000000000000 + n, CASE WHEN n % 10 = 0 THEN n END FROM n`)

	const byID = "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"
	plans := map[*statement][]string{
		becomeWriter: {byID},
		insertJob:    {},
		insertJobs:   {},

		selectSequence: {},
		selectInserted: {"SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		selectHolder:   {"SEARCH jobs USING COVERING INDEX jobs_unique (queue=? AND unique_key=?)"},
		replaceJob:     {"SEARCH jobs USING INDEX jobs_unique (queue=? AND unique_key=?)"},
		clearKeys:      {byID},
		selectLost:     {byID + " LEFT-JOIN"},
		deleteJobs:     {byID},
		deleteHeld:     {byID},
		releaseJobs:    {byID},
		insertFailed:   {"SEARCH job USING INTEGER PRIMARY KEY (rowid=?)"},
		insertFinished: {"SEARCH job USING INTEGER PRIMARY KEY (rowid=?)"},
		touchJobs:      {byID},
		writeProgress:  {},
		giveBackJobs:   {"SCAN jobs USING INDEX jobs_expiry"}, // all that is reserved
		requeueJobs:    {byID, "SEARCH jobs USING INDEX jobs_expiry (expires_at<?)"},
		reserveJobs:    {byID, "SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at<?)"},

		selectSizes: {"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at<?)"},

		selectExpired: {"SEARCH jobs USING INDEX jobs_expiry (expires_at<?)"},
		selectNextDue: {"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=?)"},
		selectPriorities: {
			"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority>?)", "SEARCH jobs USING INDEX jobs_ready (queue=? AND priority>?)",
		},
		selectControls: {},
		selectWanted:   {},
		selectChores:   {}, // its other tables have a test of their own

		selectIdleWorkers: {},
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			execute(t, db, "ANALYZE")
		}
		for statement, text := range s.sql.text {
			want, ok := plans[statement]
			if !ok {
				t.Errorf("no plan is known for %s", text)
				continue
			}
			var got []string
			for _, step := range explain(t, db, text) {
				if strings.Contains(step, " jobs") || strings.Contains(step, " job ") {
					got = append(got, step)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("analyzed: %v\n%s\nplan: %q\nwant: %q", analyzed, text, got, want)
			}
		}
	}
}

func explain(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	query := "EXPLAIN QUERY PLAN " + text
	var steps []string
	args := make([]any, strings.Count(text, "?"))
	if err := sqldb.Each(t.Context(), sqldb.SQL(db, translate), query, args, func(scan func(...any) error) error {
		var id, parent, unused int
		var step string
		err := scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return steps
}

// noted is a DB that notes the statements of a test.
type noted struct {
	sqldb.DB
	statements []string
}

func (n *noted) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	n.statements = append(n.statements, query)
	return n.DB.Query(ctx, query, args...)
}

// noteStatements returns the database and the operators' view of a store, and notes the statements that are sent by way of these.
func noteStatements(t *testing.T, s *store) (*noted, *sqldb.Database, *operator.Operator) {
	t.Helper()
	of, database, noting := &noted{DB: s.DB}, *s.Database, *s
	database.DB = of
	database.Tx = func(ctx context.Context, f func(sqldb.DB) error) error {
		return s.Tx(ctx, func(db sqldb.DB) error {
			in := &noted{DB: db}
			defer func() { of.statements = append(of.statements, in.statements...) }()
			return f(in)
		})
	}
	database.Insert = func(ctx context.Context, db sqldb.DB, jobs []driver.NewJob) ([]driver.Pushed, error) {
		return s.pushIn(ctx, db.(*noted).DB, jobs)
	}
	noting.Database = &database
	return of, &database, operator.New(must(sqlqueue.New(&noting, sqlqueue.Config{}))(t))
}

// What operators look at goes by the indexes too.
func TestOperatorPlans(t *testing.T) {
	db := openFile(t)
	s := newStore(db, "")
	execute(t, db, `
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO jobs (queue, priority, payload, reserved, reserved_at, reserved_by, expires_at)
SELECT 'queue-' || (n % 5), n % 3, '{"job":"x"}', n % 1000 = 0, CASE WHEN n % 1000 = 0 THEN n END,
	CASE WHEN n % 1000 = 0 THEN n END, NULL FROM n;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
SELECT n, 'queue-' || (n % 5), 0, '{"job":"x"}', 1, 'no', '', n, n FROM n;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO job_counts (minute, queue, pushed, done, failed, released)
SELECT n * 60000000, 'queue-1', 1, 1, 1, 1 FROM n;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO job_errors (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at)
SELECT n / 4, 'queue-1', 'x', n % 4, 'released', 'no', '', 'w', 1, n * 60000000 FROM n;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO job_operations (at, who, via, action, queue, target, affected) SELECT n * 60000000, 'w', 'cli', 'cancel', '', '', 1 FROM n;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO job_sizes (step, minute, queue, ready, not_due, reserved, failed, oldest_ms) `+
		`SELECT 60, n * 60000000, 'queue-1', 1, 1, 1, 1, 1 FROM n`)
	ctx := t.Context()
	of, database, o := noteStatements(t, s)
	for _, analyzed := range []bool{false, true} {
		execute(t, db, `DELETE FROM job_names; -- upkeep has merged them
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) INSERT INTO job_names (step, minute, queue, name, done)
SELECT CASE n % 4 WHEN 0 THEN 0 WHEN 1 THEN 1 WHEN 2 THEN 10 ELSE 60 END, n * 60000000, 'queue-1', 'x', 1 FROM n`)
		if analyzed {
			execute(t, db, "ANALYZE")
		}
		for name, test := range map[string]struct {
			do   func(o *operator.Operator) error
			want []string
		}{
			"queues": {func(o *operator.Operator) error { _, err := o.Queues(ctx, 1000); return err }, []string{
				"SCAN jobs USING INDEX jobs_expiry", // all that is reserved
				"SEARCH failed_jobs USING COVERING INDEX failed_jobs_queue (queue=?)",
				"SEARCH failed_jobs USING COVERING INDEX failed_jobs_queue (queue>?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at<?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at>?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority>?)",
				"SEARCH jobs USING INDEX jobs_ready (queue>?)",
			}},
			"counts": {func(o *operator.Operator) error { _, err := o.CountsBy(ctx, time.Hour, time.Minute, 1000); return err }, []string{
				"SCAN jobs", // from its end
				"SEARCH job_counts USING INDEX job_counts_minute (minute>? AND minute<?)",
			}},
			"counts in steps": {func(o *operator.Operator) error {
				_, err := o.CountsBy(ctx, time.Hour, 10*time.Minute, 1000)
				return err
			}, []string{
				"SCAN jobs",
				"SEARCH job_counts USING INDEX job_counts_minute (minute>? AND minute<?)",
				"USE TEMP B-TREE FOR GROUP BY",
			}},
			"old counts": {func(*operator.Operator) error {
				return database.Beat(ctx, driver.Beat{OldCounts: time.Since(time.UnixMicro(0))})
			}, []string{"SEARCH job_counts USING COVERING INDEX job_counts_minute (minute<?)"}},
			"old errors": {func(*operator.Operator) error {
				return database.Beat(ctx, driver.Beat{OldErrors: time.Since(time.UnixMicro(0)), MostErrors: 19000})
			}, []string{
				"SEARCH job_errors", // its greatest id
				"SEARCH job_errors USING COVERING INDEX job_errors_at (at<?)",
				"SEARCH job_errors USING INTEGER PRIMARY KEY (rowid<?)",
			}},
			"errors": {func(o *operator.Operator) error {
				_, err := o.Errors(ctx, operator.ErrorFilter{Before: 1000})
				return err
			}, []string{"SEARCH job_errors USING INTEGER PRIMARY KEY (rowid<?)"}},
			"groups of errors": {func(o *operator.Operator) error {
				_, err := o.ErrorGroups(ctx, time.Hour, 1000)
				return err
			}, []string{"SEARCH job_errors USING INTEGER PRIMARY KEY (rowid<?)"}},
			"errors of a job": {func(o *operator.Operator) error {
				_, err := o.Errors(ctx, operator.ErrorFilter{JobID: 7})
				return err
			}, []string{"SEARCH job_errors USING INDEX job_errors_job (job_id=? AND id<?)"}},
			"operations": {func(o *operator.Operator) error {
				_, err := o.Operations(ctx, operator.OperationFilter{})
				if err == nil {
					err = o.As("w", "test").Control(ctx, "", operator.ControlChange{Restart: true})
				}
				return err
			}, []string{
				"SEARCH job_operations USING COVERING INDEX job_operations_at (at<?)",
				"SEARCH job_operations USING INTEGER PRIMARY KEY (rowid<?)",
			}},
			"names": {func(o *operator.Operator) error { _, err := o.Names(ctx, time.Hour); return err }, []string{
				"SEARCH job_names USING INDEX job_names_step (step=? AND minute>?)",
			}},
			"sizes": {func(o *operator.Operator) error { _, err := o.Sizes(ctx, "queue-1", time.Hour); return err }, []string{
				"SEARCH job_sizes USING PRIMARY KEY (step=? AND minute>?)",
			}},
			"upkeep": {func(*operator.Operator) error {
				if _, err := of.Exec(ctx, "UPDATE job_upkeep SET minute = 0, counted = 0"); err != nil {
					return err
				}
				return database.Upkeep(ctx)
			}, []string{
				"SCAN jobs USING INDEX jobs_expiry", // all that is reserved
				"SEARCH failed_jobs USING COVERING INDEX failed_jobs_queue (queue=?)",
				"SEARCH failed_jobs USING COVERING INDEX failed_jobs_queue (queue>?)",
				"SEARCH job_counts", // its greatest id
				"SEARCH job_counts USING INTEGER PRIMARY KEY (rowid>?)",
				"SEARCH job_names USING COVERING INDEX job_names_step (step=? AND minute<?)",
				"SEARCH job_names USING INDEX job_names_step (step=? AND minute<?)",
				"SEARCH job_sizes USING PRIMARY KEY (step=?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at<?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at>?)",
				"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority>?)",
				"SEARCH jobs USING INDEX jobs_ready (queue>?)",
			}},
			"groups": {func(o *operator.Operator) error {
				_, err := o.FailedGroups(ctx, operator.FailedFilter{}, 1000)
				return err
			}, []string{
				"SEARCH failed_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
			}},
			"groups of a queue": {func(o *operator.Operator) error {
				_, err := o.FailedGroups(ctx, operator.FailedFilter{Queue: "queue-1"}, 1000)
				return err
			}, []string{"SEARCH failed_jobs USING INDEX failed_jobs_queue (queue=? AND id>? AND id<?)"}},
			"a page": {func(o *operator.Operator) error {
				_, err := o.Jobs(ctx, operator.JobFilter{After: 1000, Limit: 100})
				return err
			}, []string{
				"SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
			}},
			"a page of what waits in a queue": {func(o *operator.Operator) error {
				f := operator.JobFilter{Queue: "queue-1", Name: "none", State: operator.Delayed, NotReserved: true, Limit: 100}
				_, err := o.Jobs(ctx, f)
				if err == nil {
					_, err = o.CancelAll(ctx, f)
				}
				return err
			}, []string{"SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
			"a window": {func(o *operator.Operator) error {
				until, err := o.Window(ctx, 100, 1000)
				if err == nil {
					_, err = o.CountJobs(ctx, operator.JobFilter{After: 100, Until: until, Name: "none"}, 1000)
				}
				return err
			}, []string{"SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
			"a page of failed jobs": {func(o *operator.Operator) error {
				_, err := o.FailedJobs(ctx, operator.FailedFilter{Before: 1000, Limit: 100})
				return err
			}, []string{"SEARCH failed_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
		} {
			of.statements = nil
			if err := test.do(o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := map[string]bool{}
			for _, statement := range of.statements {
				for _, step := range explain(t, db, statement) {
					if strings.Contains(step, " jobs") || strings.Contains(step, " failed_jobs") || strings.Contains(step, " job_counts") ||
						strings.Contains(step, " job_errors") || strings.Contains(step, " job_operations") ||
						strings.Contains(step, " job_names") || strings.Contains(step, " job_sizes") ||
						strings.Contains(step, "GROUP BY") && strings.Contains(statement, "job_counts") { // of hundreds of thousands
						got[step] = true
					}
				}
			}
			if steps := slices.Sorted(maps.Keys(got)); !slices.Equal(steps, test.want) {
				t.Errorf("analyzed: %v, %s: plan %q\nwant %q", analyzed, name, steps, test.want)
			}
		}
	}
}
