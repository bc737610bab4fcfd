package pgqueue

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// findSQL finds jobs that are due. Each lane is scanned by itself, in order, until the outer LIMIT is reached. The lanes are sorted in a
// subquery of their own, which the planner leaves as it is. Conditions on reserved are literal, because a generic plan cannot prove the
// partial index otherwise; statement_timestamp() is stable, as an index condition must be, and unlike now() not older than what others have
// committed before.
type findSQL struct {
	columns string // of the search after the id, from the lane l and its jobs j
	read    string // of each job after the id, as columns of j

	queues, priorities, since string // of the lanes; since is where to begin, the mark
	limit                     string // how many at most
	force                     string // whether to reserve also in maintenance

	// For queues that take turns, otherwise empty: how many jobs of each lane at most, and the patterns whose pause holds for it, with
	// commas between them.
	most, parents string
}

func (f findSQL) String() string {
	laneColumns, arrays, names := "l.queue, l.priority, l.since", f.since, "queue, priority, since, n"
	stopping, limit := "c.queue IN (l.queue, '')", f.limit
	if f.most != "" {
		laneColumns += ", l.most"
		arrays, names = f.since+", "+f.most+", "+f.parents, "queue, priority, since, most, parents, n"
		stopping, limit = "c.queue = ANY (ARRAY[l.queue, ''] || string_to_array(l.parents, ','))", "l.most"
	}
	return `
    SELECT j.id` + f.columns + `
    FROM (SELECT ` + laneColumns + `
          FROM unnest(` + f.queues + ", " + f.priorities + ", " + arrays + `) WITH ORDINALITY AS l(` + names + `)
          WHERE NOT EXISTS (SELECT FROM "job_queues" c WHERE ` + stopping + `
                            AND ` + sqldb.StoppedSQL("c.", "statement_timestamp()", f.force) + `)
          ORDER BY l.n) l
    CROSS JOIN LATERAL (
        SELECT id` + f.read + ` FROM "jobs"
        WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at <= statement_timestamp()
            AND available_at >= l.since
        ORDER BY available_at, id LIMIT ` + limit + `
        FOR UPDATE SKIP LOCKED) j
    LIMIT ` + f.limit
}

// reserveUpdate begins an UPDATE that reserves jobs. Arguments are the number, and queues and their expires in microseconds or NULL for
// never. The first is that of all other queues.
func reserveUpdate(number, queues, expires string) string {
	return `
UPDATE "jobs" SET reserved = true, attempts = least(attempts, 2147483646) + 1, reserved_at = clock_timestamp(), reserved_by = ` + number +
		`,
    expires_at = clock_timestamp() + (` + expires + `::bigint[])[coalesce(array_position(` + queues +
		`::text[], queue), 1)] * interval '1 microsecond',
    unique_key = CASE WHEN unique_until = 0 THEN unique_key END`
}

var findLimited = findSQL{
	queues: "$1::text[]", priorities: "$2::smallint[]", limit: "$3", force: "$7::boolean", since: "$8::timestamptz[]",
}

// An array instead of a join with a WITH query keeps the plan generic and cached. The UPDATE itself has no condition on reserved: with one,
// a plan that was made while the table was small would look up the ids in the index of all ready jobs.
//
// $1 queues and $2 priorities of the lanes, $3 how many at most, $4 the number, $5 queues and $6 their expires in microseconds or NULL
// for never, $7 whether to reserve also in maintenance, $8 the mark of each lane to begin at.
var reserveSQL = reserveUpdate("$4", "$5", "$6") + `
WHERE reserved_by IS NULL AND id = ANY (ARRAY(` + findLimited.String() + `))
RETURNING ` + reserveAnswer + `, false`

// reserveBytesSQL is reserveSQL, and $9 how many bytes the payloads may have together. The first job is reserved in any case.
var reserveBytesSQL = reserveBytes(findLimited)

// reserveBytes is a statement that reserves what a search finds, up to a number of bytes. A payload counts with its size on disk, unless it
// is compressed, or so short that it costs nothing to read it. The running sum is only made if they have more together: it takes a third of
// the time of the search.
func reserveBytes(find findSQL) string {
	find.columns = ", j.size"
	find.read = `, CASE
            WHEN pg_column_size(payload) > 2000 AND pg_column_compression(payload) IS NULL THEN pg_column_size(payload)
            ELSE octet_length(payload::text) END AS size`
	return `
WITH c AS MATERIALIZED (
    SELECT array_agg(f.id) AS ids, array_agg(f.size) AS sizes, sum(f.size) AS total FROM (` + find.String() + `) f)` +
		reserveUpdate("$4", "$5", "$6") + `
WHERE reserved_by IS NULL AND id = ANY ((SELECT CASE WHEN total <= $9::bigint THEN ids ELSE ARRAY(
        SELECT id FROM (
            SELECT id, size, sum(size) OVER (ROWS UNBOUNDED PRECEDING) AS so_far FROM unnest(ids, sizes) AS u(id, size)) u
        WHERE so_far <= $9::bigint OR so_far = size) END
    FROM c)::bigint[])
RETURNING ` + reserveAnswer + `, (SELECT total > $9::bigint AND cardinality(ids) > 1 FROM c)`
}

const reserveAnswer = `id, queue, priority, payload::text, attempts, exceptions, reserved_at, expires_at, started,
    available_at, created_at, unique_key`

func (c *exchange) reserve(batch *pgx.Batch, legible func(string) string) {
	if c.x.Limit <= 0 {
		return
	}
	lanes := c.part.Lanes
	queues, priorities, since := split(lanes, c.scan.From)
	except, expires := c.expires()
	query, args := reserveSQL, []any{queues, priorities, c.x.Limit, c.x.Number, except, expires, c.x.Force, since}
	if c.plan != nil {
		query, args = reserveTurnsSQL, append(args, c.bytes(), c.shares(lanes), turn.ParentsOf(lanes))
	} else if c.x.Bytes > 0 {
		query, args = reserveBytesSQL, append(args, c.x.Bytes)
	}
	c.read(batch.Queue(c.store.names.In(query), args...), legible)
}

// expires are those of queues as arguments of reserveUpdate. Nearly always all queues have the same.
func (c *exchange) expires() (queues []string, expires []*int64) {
	for i, r := range c.x.Reserve {
		switch {
		case i == 0:
			queues, expires = []string{""}, []*int64{orNever(r.Expire)}
		case r.Expire != c.x.Reserve[0].Expire:
			queues, expires = append(queues, r.Queue), append(expires, orNever(r.Expire))
		}
	}
	return queues, expires
}

// read takes the jobs that were reserved into the answer.
func (c *exchange) read(query *pgx.QueuedQuery, legible func(string) string) {
	query.Query(func(rows pgx.Rows) error {
		var j sqlqueue.Job
		var queue, payload pgtype.DriverBytes
		var expiresAt, availableAt, createdAt pgtype.Timestamptz
		var uniqueKey pgtype.Text
		into := []any{
			&j.ID, &queue, &j.Priority, &payload, &j.Attempts, &j.Exceptions, &j.ReservedAt, &expiresAt,
			&j.Started, &availableAt, &createdAt, &uniqueKey, &c.cut,
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			if j.Queue != string(queue) {
				j.Queue = string(queue)
			}
			j.Payload, j.ExpiresAt, j.UniqueKey = bytes.Clone(payload), expiresAt.Time, uniqueKey.String
			j.AvailableAt, j.CreatedAt = readable(availableAt), readable(createdAt)
			if legible != nil {
				j.Queue, j.Payload, j.UniqueKey = legible(j.Queue), []byte(legible(string(payload))), legible(j.UniqueKey)
			}
			if c.answer.Reserved == nil {
				c.answer.Reserved = make([]sqlqueue.Job, 0, min(c.store.batch.Load()+1, int64(c.x.Limit)))
			}
			j.Reserved, j.ReservedBy = true, c.x.Number
			c.answer.Reserved = append(c.answer.Reserved, j)
		}
		switch n := len(c.answer.Reserved); n {
		case 0:
		case c.x.Limit: // most likely the next is full, too, and its limit is another
			c.store.batch.Store(int64(4 * n))
		default:
			c.store.batch.Store(int64(n))
		}
		return rows.Err()
	})
}

// readable is a time of a row, within the bounds of what is read.
func readable(at pgtype.Timestamptz) time.Time {
	switch {
	case at.InfinityModifier == pgtype.Infinity || at.Time.After(latest):
		return latest
	case at.Time.Before(earliest): // also -infinity, with which Time is zero
		return earliest
	}
	return at.Time
}

// sort puts the reserved jobs into the order in which they should run. An UPDATE returns them in no order.
func (c *exchange) sort() {
	if len(c.answer.Reserved) < 2 {
		return
	}
	place := make(map[lane.Lane]int, len(c.part.Lanes))
	for i, l := range c.part.Lanes {
		place[l] = i
	}
	slices.SortFunc(c.answer.Reserved, func(a, b sqlqueue.Job) int {
		if l, m := (lane.Lane{Queue: a.Queue, Priority: a.Priority}), (lane.Lane{Queue: b.Queue, Priority: b.Priority}); l != m {
			return cmp.Compare(place[l], place[m])
		}
		return cmp.Or(a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
	})
}
