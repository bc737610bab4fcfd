package pgqueue

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
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

// Whether a reservation has expired. $4 when it must have expired, or NULL for now, $5 the mark.
const isExpiredSQL = `,
    EXISTS (SELECT FROM "jobs" WHERE reserved AND expires_at <= least($4::timestamptz, statement_timestamp()) AND expires_at >= $5)`

// look reads the clock, when the next job is due, and what operators want. If expired is not nil, it also finds out whether a reservation
// has expired.
func (c *exchange) look(batch *pgx.Batch, expired *bool) {
	queues, priorities, _ := split(c.part.Lanes, nil)
	worker, _, _ := strings.Cut(c.x.Number, "-")
	query, args := c.store.names.In(lookSQL), []any{queues, priorities, worker}
	if expired != nil {
		by, from := c.expiredBy()
		query, args = query+c.store.names.In(isExpiredSQL), append(args, by, from)
	}
	if c.x.Chores {
		query += ", " + c.store.ChoresColumns()
	}
	if c.x.IdleWorkers {
		query += ", " + c.store.IdleWorkersColumn("$3", "statement_timestamp()")
	}
	batch.Queue(query, args...).QueryRow(func(row pgx.Row) error {
		var due *time.Time
		var wanted *int
		var chores driver.Chores
		into := []any{&c.answer.Now, &due, &wanted}
		if expired != nil {
			into = append(into, expired)
		}
		if c.x.Chores {
			into = append(into, sqldb.Reading(&chores.NextSchedule, &chores.OpenBatches)...)
			c.answer.Chores = &chores
		}
		if c.x.IdleWorkers {
			into = append(into, &c.answer.IdleWorkers)
		}
		if err := row.Scan(into...); err != nil {
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
	now := time.Now()
	if controls, ok := c.store.controls.Recent(c.asked, now); ok {
		c.answer.Controls = controls
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
			c.store.controls.Note(c.asked, c.answer.Controls, now)
			return rows.Err()
		})
}
