package sqlitequeue

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// touchJobs moves the ends of the reservations of the jobs of ?1, [[id, expires_at, whether started], …].
var touchJobs = newStatement(`
UPDATE "jobs" SET expires_at = json_extract(given.value, '$[1]'), started = max(started, json_extract(given.value, '$[2]'))
FROM json_each(?1) AS given
WHERE "jobs".id = json_extract(given.value, '$[0]')`)

func (e *exchange) touch(ctx context.Context) error {
	reservations := make([]sqlqueue.Reservation, len(e.asked.Touch))
	for i, touch := range e.asked.Touch {
		reservations[i] = touch.Reservation
	}
	lost, err := e.lost(ctx, e.db, reservations)
	if err != nil {
		return err
	}
	var jobs [][3]any
	var progress [][3]any
	for i, touch := range e.asked.Touch {
		if lost[i] {
			e.answer.Lost = append(e.answer.Lost, touch.Reservation)
			continue
		}
		jobs = append(jobs, [3]any{touch.ID, e.end(touch.Expire), touch.Start})
		if p := touch.Progress; p != nil {
			progress = append(progress, [3]any{touch.ID, p.Fraction, p.Text})
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	if _, err := e.db.Exec(ctx, e.sql.text[touchJobs], toJSON(jobs)); err != nil || progress == nil {
		return err
	}
	_, err = e.db.Exec(ctx, e.sql.text[writeProgress], toJSON(progress), e.now)
	return err
}

// writeProgress writes how far the jobs of ?1 are, [[id, fraction, text], …], at ?2.
var writeProgress = newStatement(`
INSERT INTO "job_progress" (job_id, fraction, text, at)
SELECT json_extract(given.value, '$[0]'), CAST(json_extract(given.value, '$[1]') AS REAL), json_extract(given.value, '$[2]'), ?2
FROM json_each(?1) AS given WHERE true
ON CONFLICT (job_id) DO UPDATE SET fraction = excluded.fraction, text = excluded.text, at = excluded.at`)

// end returns when a reservation ends: nil for never.
func (e *exchange) end(expire time.Duration) any {
	if expire == 0 {
		return nil
	}
	return e.now + expire.Microseconds()
}
