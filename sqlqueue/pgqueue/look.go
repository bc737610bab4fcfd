package pgqueue

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// clock asks for the server's time between two statements, if a scan is to be timed.
func (c *exchange) clock(batch *pgx.Batch, at *time.Time) {
	if c.scan.Timed() || c.expiry.Timed() {
		batch.Queue("SELECT clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(at) })
	}
}

// $1 queues and $2 priorities of the lanes, $3 the worker's id.
const lookSQL = `
SELECT clock_timestamp(),
    (SELECT nullif(least(min(j.available_at), ` + lastTime + `), ` + lastTime + `)
     FROM unnest($1::text[], $2::smallint[]) AS l(queue, priority)
     CROSS JOIN LATERAL (
        SELECT available_at FROM "jobs"
        WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at > statement_timestamp()
        ORDER BY available_at LIMIT 1) j),
    (SELECT wanted_concurrency FROM "job_workers" WHERE id = $3)`

// look reads the clock, when the next job is due, and what operators want.
func (c *exchange) look(batch *pgx.Batch) {
	queues, priorities, _ := split(c.store.lanes.Of(c.queues), nil)
	worker, _, _ := strings.Cut(c.x.Number, "-")
	batch.Queue(c.store.names.In(lookSQL), queues, priorities, worker).QueryRow(func(row pgx.Row) error {
		var due *time.Time
		var wanted *int
		if err := row.Scan(&c.answer.Now, &due, &wanted); err != nil {
			return err
		}
		if due != nil {
			c.answer.NextDue = *due
		}
		if wanted != nil {
			c.answer.WantedConcurrency = *wanted
		}
		return nil
	})
	if len(c.asked) == 0 {
		return
	}
	batch.Queue(c.store.SelectControls()+" WHERE queue = ANY ($1::text[])", append([]string{""}, c.asked...)).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				control, err := sqldb.ScanControl(rows.Scan)
				if err != nil {
					return err
				}
				c.answer.Controls = append(c.answer.Controls, control)
			}
			return rows.Err()
		})
}
