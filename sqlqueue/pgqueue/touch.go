package pgqueue

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// $1 ids, $2 numbers, $3 expires in microseconds or NULL for never, $4 whether started.
const touchSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.expire, s.started FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[]) AS s(id, by, expire, started)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)
UPDATE "jobs" j SET expires_at = clock_timestamp() + s.expire * interval '1 microsecond', started = j.started OR s.started
FROM s WHERE j.id = s.id
RETURNING j.id, j.reserved_by`

func (c *exchange) touch(batch *pgx.Batch) {
	if len(c.x.Touch) == 0 {
		return
	}
	n := len(c.x.Touch)
	ids, numbers, expires, started := make([]int64, n), make([]string, n), make([]*int64, n), make([]bool, n)
	for i, t := range c.x.Touch {
		ids[i], numbers[i], expires[i], started[i] = t.ID, t.By, orNever(t.Expire), t.Start
	}
	c.collect(batch.Queue(c.store.names.In(touchSQL), ids, numbers, expires, started))
	c.progress(batch)
}

// $1 ids, $2 numbers, $3 fractions, $4 texts.
const progressSQL = `
INSERT INTO "job_progress" (job_id, fraction, text, at)
SELECT DISTINCT ON (s.id) s.id, s.fraction, s.text, clock_timestamp()
FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::text[]) AS s(id, by, fraction, text)
WHERE EXISTS (SELECT 1 FROM "jobs" WHERE id = s.id AND reserved_by = s.by)
ORDER BY s.id
ON CONFLICT (job_id) DO UPDATE SET fraction = excluded.fraction, text = excluded.text, at = excluded.at`

func (c *exchange) progress(batch *pgx.Batch) {
	var ids []int64
	var numbers, texts []string
	var fractions []float64
	for _, t := range c.x.Touch {
		if t.Progress != nil {
			ids, numbers = append(ids, t.ID), append(numbers, t.By)
			fractions, texts = append(fractions, t.Progress.Fraction), append(texts, t.Progress.Text)
		}
	}
	if ids != nil {
		batch.Queue(c.store.names.In(progressSQL), ids, numbers, fractions, texts)
	}
}

func orNever(expire time.Duration) *int64 {
	if expire == 0 {
		return nil
	}
	micros := expire.Microseconds()
	return &micros
}
