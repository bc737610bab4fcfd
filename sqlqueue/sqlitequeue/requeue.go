package sqlitequeue

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// giveBackJobs releases at ?2 what is reserved under the numbers of ?1, [reserved_by, …]. It reads only the reserved rows.
var giveBackJobs = newStatement(`
UPDATE "jobs" INDEXED BY "jobs_expiry" SET ` + endReservation + `,
	available_at = ?2, attempts = max(attempts - 1, 0)
WHERE reserved AND reserved_by IN (SELECT value FROM json_each(?1))
RETURNING queue, priority`)

func (e *exchange) giveBack(ctx context.Context) error {
	if len(e.asked.Abandoned) == 0 {
		return nil
	}
	_, err := e.putBack(ctx, giveBackJobs, toJSON(e.asked.Abandoned), e.now)
	return err
}

// requeueJobs releases at ?1 at most ?2 reservations that had expired at ?3, except those of the jobs ?4, [id, …].
var requeueJobs = newStatement(`
UPDATE "jobs" SET ` + endReservation + `, available_at = ?1
WHERE id IN (SELECT id FROM "jobs" WHERE reserved AND expires_at <= ?3
	AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY expires_at LIMIT ?2)
RETURNING queue, priority`)

func (e *exchange) requeue(ctx context.Context) error {
	expired, err := e.anyExpired(ctx) // takes half the time of requeuing none
	if err != nil || !expired {
		return err
	}
	e.answer.Requeued, err = e.putBack(ctx, requeueJobs, e.now, e.asked.Requeue, e.expired(), toJSON(append([]int64{}, e.asked.Keep...)))
	return err
}

// expired is when a reservation must have expired to be released.
func (e *exchange) expired() int64 {
	if e.asked.Expired.IsZero() {
		return e.now
	}
	return min(e.asked.Expired.UnixMicro(), e.now)
}

// selectExpired returns a row if a reservation has expired at ?1.
var selectExpired = newStatement(`SELECT 1 FROM "jobs" WHERE reserved AND expires_at <= ?1 LIMIT 1`)

func (e *exchange) anyExpired(ctx context.Context) (expired bool, err error) {
	if e.asked.Requeue == 0 {
		return false, nil
	}
	err = sqldb.Each(ctx, e.db, e.sql.text[selectExpired], []any{e.expired()}, func(func(...any) error) error {
		expired = true
		return nil
	})
	return expired, err
}
