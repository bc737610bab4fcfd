package sqlitequeue

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/operator"
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
	plans := map[string][]string{
		becomeWriter: {byID},
		insertJob:    {},
		insertJobs:   {},

		selectSequence: {},
		selectInserted: {"SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		selectHolder:   {"SEARCH jobs USING COVERING INDEX jobs_unique (queue=? AND unique_key=?)"},
		selectLost:     {byID + " LEFT-JOIN"},
		deleteJobs:     {byID},
		releaseJobs:    {byID},
		insertFailed:   {"SEARCH job USING INTEGER PRIMARY KEY (rowid=?)"},
		touchJobs:      {byID},
		giveBackJobs:   {"SCAN jobs USING INDEX jobs_expiry"}, // all that is reserved
		requeueJobs:    {byID, "SEARCH jobs USING INDEX jobs_expiry (expires_at<?)"},
		reserveJobs:    {byID, "SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=? AND available_at<?)"},

		selectExpired:    {"SEARCH jobs USING INDEX jobs_expiry (expires_at<?)"},
		selectNextDue:    {"SEARCH jobs USING INDEX jobs_ready (queue=? AND priority=?)"},
		selectPriorities: {"SEARCH jobs USING INDEX jobs_ready (queue=?)", "SEARCH jobs USING INDEX jobs_ready (queue=? AND priority>?)"},
		selectControls:   {},
		upsertWorker:     {},
		deleteWorker:     {},
		deleteUnseen:     {},
		selectWanted:     {},
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
	if err := operator.Each(t.Context(), operator.SQL(db, translate), query, make([]any, strings.Count(text, "?")), func(scan func(...any) error) error {
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
