package pgqueue

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Each lane is scanned by itself, in order, until the outer LIMIT is reached. The lanes are sorted in a subquery of their own, which the
// planner leaves as it is. Conditions on reserved are literal, because a generic plan cannot prove the partial index otherwise;
// statement_timestamp() is stable, as an index condition must be, and unlike now() not older than what others have committed before. An
// array instead of a join with a WITH query keeps the plan generic and cached. The UPDATE itself has no condition on reserved: with one, a
// plan that was made while the table was small would look up the ids in the index of all ready jobs.
//
// $1 queues and $2 priorities of the lanes, $3 how many at most, $4 the number, $5 queues and $6 their expires in microseconds or NULL
// for never, $7 whether to reserve also in maintenance, $8 the mark of each lane to begin at.
var reserveSQL = reserveUpdate + `
WHERE reserved_by IS NULL AND id = ANY (ARRAY(` + findStart + findMiddle + findEnd + `))
RETURNING ` + reserveAnswer + `, false`

// As reserveSQL, and $9 how many bytes the payloads may have together. The first job is reserved in any case. A payload counts with its
// size on disk, unless it is compressed, or so short that it costs nothing to read it.
var reserveBytesSQL = `
WITH c AS MATERIALIZED (
    SELECT f.id, f.size, sum(f.size) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (` + findStart + `, j.size` + findMiddle + `, CASE
            WHEN pg_column_size(payload) > 2000 AND pg_column_compression(payload) IS NULL THEN pg_column_size(payload)
            ELSE octet_length(payload::text) END AS size` + findEnd + `) f)` +
	reserveUpdate + `
WHERE reserved_by IS NULL AND id = ANY (ARRAY(SELECT id FROM c WHERE total <= $9::bigint OR total = size))
RETURNING ` + reserveAnswer + `, EXISTS (SELECT FROM c WHERE total > $9::bigint AND total > size)`

const reserveUpdate = `
UPDATE "jobs" SET reserved = true, attempts = least(attempts, 2147483646) + 1, reserved_at = clock_timestamp(), reserved_by = $4,
    expires_at = clock_timestamp() + ($6::bigint[])[array_position($5::text[], queue)] * interval '1 microsecond',
    unique_key = CASE WHEN unique_until = 0 THEN unique_key END`

const findStart = `
    SELECT j.id`

var findMiddle = `
    FROM (SELECT l.queue, l.priority, l.since
          FROM unnest($1::text[], $2::smallint[], $8::timestamptz[]) WITH ORDINALITY AS l(queue, priority, since, n)
          WHERE NOT EXISTS (SELECT FROM "job_queues" c WHERE c.queue IN (l.queue, '')
                            AND ` + sqldb.StoppedSQL("c.", "statement_timestamp()", "$7::boolean") + `)
          ORDER BY l.n) l
    CROSS JOIN LATERAL (
        SELECT id`

const findEnd = ` FROM "jobs"
        WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at <= statement_timestamp()
            AND available_at >= l.since
        ORDER BY available_at, id LIMIT $3
        FOR UPDATE SKIP LOCKED) j
    LIMIT $3`

const reserveAnswer = `id, queue, priority, payload::text, attempts, exceptions, reserved_at, expires_at, started,
    least(greatest(available_at, ` + firstTime + `), ` + lastTime + `),
    least(greatest(created_at, ` + firstTime + `), ` + lastTime + `), unique_key`

func (c *exchange) reserve(batch *pgx.Batch, legible func(string) string) {
	if c.x.Limit <= 0 {
		return
	}
	lanes := c.plan.Sort(c.store.lanes.Of(c.queues))
	queues, priorities, since := split(lanes, c.scan.From)
	expires := make([]*int64, len(c.x.Reserve))
	for i, r := range c.x.Reserve {
		expires[i] = orNever(r.Expire)
	}
	query, args := reserveSQL, []any{queues, priorities, c.x.Limit, c.x.Number, c.queues, expires, c.x.Force, since}
	if c.plan != nil {
		query, args = reserveTurnsSQL, append(args, c.bytes(), c.shares(lanes), turn.ParentsOf(lanes))
	} else if c.x.Bytes > 0 {
		query, args = reserveBytesSQL, append(args, c.x.Bytes)
	}
	c.read(batch.Queue(c.store.names.In(query), args...), legible)
}

// read takes the jobs that were reserved into the answer.
func (c *exchange) read(query *pgx.QueuedQuery, legible func(string) string) {
	query.Query(func(rows pgx.Rows) error {
		var j sqlqueue.Job
		var queue, payload pgtype.DriverBytes
		var expiresAt pgtype.Timestamptz
		var uniqueKey pgtype.Text
		into := []any{
			&j.ID, &queue, &j.Priority, &payload, &j.Attempts, &j.Exceptions, &j.ReservedAt, &expiresAt,
			&j.Started, &j.AvailableAt, &j.CreatedAt, &uniqueKey, &c.cut,
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			if j.Queue != string(queue) {
				j.Queue = string(queue)
			}
			j.Payload, j.ExpiresAt, j.UniqueKey = bytes.Clone(payload), expiresAt.Time, uniqueKey.String
			if legible != nil {
				j.Queue, j.Payload, j.UniqueKey = legible(j.Queue), []byte(legible(string(payload))), legible(j.UniqueKey)
			}
			if c.answer.Reserved == nil {
				c.answer.Reserved = make([]sqlqueue.Job, 0, min(c.store.batch.Load()+1, int64(c.x.Limit)))
			}
			j.Reserved, j.ReservedBy = true, c.x.Number
			c.answer.Reserved = append(c.answer.Reserved, j)
		}
		if n := len(c.answer.Reserved); n > 0 {
			c.store.batch.Store(int64(n))
		}
		return rows.Err()
	})
}

// sort puts the reserved jobs into the order in which they should run. An UPDATE returns them in no order.
func (c *exchange) sort() {
	place := make(map[string]int, len(c.queues))
	for i, queue := range c.queues {
		place[queue] = i
	}
	slices.SortFunc(c.answer.Reserved, func(a, b sqlqueue.Job) int {
		return cmp.Or(c.plan.Compare(a.Queue, b.Queue, a.Priority, b.Priority), cmp.Compare(place[a.Queue], place[b.Queue]), cmp.Compare(a.Priority, b.Priority),
			a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
	})
}
