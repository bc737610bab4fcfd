package sqlitequeue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// Finished jobs are listed and deleted by the indexes, and Wait's look reads single rows.
func TestFinishedPlans(t *testing.T) {
	db := openFile(t)
	s := newStore(db, "")
	execute(t, db, `
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO job_finished (job_id, queue, name, priority, payload, attempts, outcome, worker, created_at, started_at, `+
		`finished_at, keep_until)
SELECT n, 'queue-' || (n % 5), 'name-' || (n % 7), 0, '{"job":"x"}', 1, 'done', 'w', n, n, n,
	CASE WHEN n % 1000 = 8 THEN n ELSE 4102444800000000 END FROM n`)
	ctx := t.Context()
	of, database, o := noteStatements(t, s)
	list := func(f operator.FinishedFilter) func() error {
		return func() error { _, err := o.FinishedJobs(ctx, f); return err }
	}
	const byRow = "SEARCH job_finished USING INTEGER PRIMARY KEY"
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			execute(t, db, "ANALYZE")
		}
		for name, test := range map[string]struct {
			do   func() error
			want []string // beginnings
		}{
			"newest": {list(operator.FinishedFilter{}), []string{byRow}},
			"of queue": {
				list(operator.FinishedFilter{Queue: "queue-1"}),
				[]string{"SEARCH job_finished USING INDEX job_finished_queue (queue=? AND id<?)"},
			},
			"of name": {
				list(operator.FinishedFilter{Name: "name-1"}),
				[]string{"SEARCH job_finished USING INDEX job_finished_name (name=? AND id<?)"},
			},
			"by id": {
				list(operator.FinishedFilter{IDs: []int64{7}}), []string{"SEARCH job_finished USING INDEX job_finished_job (job_id=?"},
			},
			"one": {
				func() error { _, err := database.Ended(ctx, 7); return err },
				[]string{"SEARCH job_finished USING INDEX job_finished_job (job_id=?"},
			},
			"old": {
				func() error { return database.Beat(ctx, driver.Beat{Unseen: time.Hour}) },
				[]string{"SEARCH job_finished USING COVERING INDEX job_finished_until (keep_until<?)"},
			},
		} {
			of.statements = nil
			if err := test.do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got []string
			for _, statement := range of.statements {
				for _, step := range explain(t, db, statement) {
					if strings.Contains(step, " job_finished") && !slices.Contains(got, step) {
						got = append(got, step)
					}
				}
			}
			slices.Sort(got)
			matches := len(got) == len(test.want)
			for i := range min(len(got), len(test.want)) {
				matches = matches && strings.HasPrefix(got[i], test.want[i])
			}
			if !matches {
				t.Errorf("analyzed: %v, %s: plan %q\nwant %q", analyzed, name, got, test.want)
			}
		}
	}
}
