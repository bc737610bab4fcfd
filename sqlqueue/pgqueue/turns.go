package pgqueue

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
)

// reserveTurnsSQL is reserveBytesSQL for queues that take turns: $10 how many jobs of each lane at most, $11 the patterns whose pause holds
// for it, with commas between them.
var reserveTurnsSQL = func() string {
	find := findLimited
	find.most, find.parents = "$10::integer[]", "$11::text[]"
	return reserveBytes(find)
}()

// candidatesSQL locks jobs that are due, in order, also more than limits of several queues together allow. $1 queues and $2 priorities of
// the lanes, $3 how many at most, $4 whether to reserve also in maintenance, $5 the mark of each lane to begin at, $6 how many jobs of each
// at most, $7 the patterns whose pause holds for it.
var candidatesSQL = findSQL{
	columns: ", l.queue, j.size", read: ", octet_length(payload::text) AS size",
	queues: "$1::text[]", priorities: "$2::smallint[]", limit: "$3", force: "$4::boolean", since: "$5::timestamptz[]",
	most: "$6::integer[]", parents: "$7::text[]",
}.String()

// reserveIDsSQL reserves jobs that are locked. $1 number, $2 queues and $3 their expires, $4 ids, $5 whether some were left for want of
// bytes.
var reserveIDsSQL = reserveUpdate("$1", "$2", "$3") + `
WHERE reserved_by IS NULL AND id = ANY ($4::bigint[])
RETURNING ` + reserveAnswer + `, $5::boolean`

func (c *exchange) bytes() int64 {
	if c.x.Bytes > 0 {
		return c.x.Bytes
	}
	return math.MaxInt64
}

// shares is how many jobs to take from each lane at most.
func (c *exchange) shares(lanes []lane.Lane) []int32 {
	shares := make([]int32, len(lanes))
	for i, l := range lanes {
		shares[i] = int32(min(c.plan.Left(l.Queue), c.x.Limit, math.MaxInt32))
	}
	return shares
}

// limited sends what comes before, takes permits in a statement of its own, and then chooses among the jobs that are due: what runs must be
// counted after the permits are locked. It returns a batch that reserves the chosen jobs.
func (c *exchange) limited(ctx context.Context, conn connection, batch *pgx.Batch, legible func(string) string) (*pgx.Batch, error) {
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	db := pgxDB{conn}
	if err := c.plan.Permit(ctx, c.store.Database, db); err != nil {
		return nil, err
	}
	lanes := c.part.Lanes
	queues, priorities, since := split(lanes, c.scan.From)
	rows, err := conn.Query(ctx, c.store.names.In(candidatesSQL),
		queues, priorities, c.x.Limit, c.x.Force, since, c.shares(lanes), turn.ParentsOf(lanes))
	if err != nil {
		return nil, err
	}
	var ids []int64
	var id, size, bytes int64
	var queue string
	if _, err := pgx.ForEachRow(rows, []any{&id, &queue, &size}, func() error {
		if c.plan.Left(queue) == 0 || c.cut {
			return nil
		}
		if c.cut = len(ids) > 0 && bytes+size > c.bytes(); c.cut {
			return nil
		}
		bytes += size
		ids = append(ids, id)
		c.plan.Took(queue, 1)
		return nil
	}); err != nil {
		return nil, err
	}
	if err := c.plan.Spend(ctx, c.store.Database, db); err != nil {
		return nil, err
	}
	except, expires := c.expires()
	next := &pgx.Batch{}
	c.read(next.Queue(c.store.names.In(reserveIDsSQL), c.x.Number, except, expires, ids, c.cut), legible)
	return next, nil
}
