package pgqueue

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// $1 numbers.
const giveBackSQL = `
UPDATE "jobs" SET ` + endReservation + `,
    available_at = clock_timestamp(), attempts = greatest(attempts - 1, 0)
WHERE id = ANY (ARRAY(
    SELECT id FROM "jobs" WHERE reserved AND reserved_by = ANY ($1::text[])
    FOR UPDATE SKIP LOCKED))`

func (c *exchange) giveBack(batch *pgx.Batch) {
	if len(c.x.Abandoned) > 0 {
		batch.Queue(c.store.names.In(giveBackSQL), c.x.Abandoned)
	}
}

// $1 how many at most, $2 when they had expired, or NULL for now, $3 ids to leave out, $4 the mark to begin at.
const requeueSQL = `
UPDATE "jobs" SET ` + endReservation + `, available_at = clock_timestamp()
WHERE id = ANY (ARRAY(
    SELECT id FROM "jobs" WHERE reserved AND expires_at <= least($2::timestamptz, statement_timestamp()) AND expires_at >= $4
        AND id <> ALL ($3::bigint[])
    ORDER BY expires_at LIMIT $1
    FOR UPDATE SKIP LOCKED))`

// When the first had expired that is left, because it was locked, left out or too much. $1 when it had expired, or NULL for now, $2 the
// mark.
const leftSQL = `
SELECT greatest(expires_at, ` + firstTime + `) FROM "jobs"
WHERE reserved AND expires_at <= least($1::timestamptz, statement_timestamp()) AND expires_at >= $2
ORDER BY expires_at LIMIT 1`

// expiredBy is when a reservation must have expired to be requeued, nil for now, and the mark.
func (c *exchange) expiredBy() (expired *time.Time, from pgtype.Timestamptz) {
	if !c.x.Expired.IsZero() {
		expired = &c.x.Expired
	}
	return expired, mark(c.expiry.From[lane.Expiring])
}

func (c *exchange) requeue(batch *pgx.Batch) {
	if c.x.Requeue == 0 {
		return
	}
	expired, from := c.expiredBy()
	batch.Queue(c.store.names.In(requeueSQL), c.x.Requeue, expired, append([]int64{}, c.x.Keep...), from).Query(func(rows pgx.Rows) error {
		rows.Close()
		c.answer.Requeued = int(rows.CommandTag().RowsAffected())
		return rows.Err()
	})
	batch.Queue(c.store.names.In(leftSQL), expired, from).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&c.left}, func() error { return nil })
		return err
	})
}
