package pgqueue

import (
	"context"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
)

// turns makes a statement one for queues that take turns: $9 how many bytes, $10 how many jobs of each lane at most, $11 the patterns whose
// pause holds for it, with commas between them.
var turns = strings.NewReplacer(
	"(SELECT l.queue, l.priority, l.since\n", "(SELECT l.queue, l.priority, l.since, l.most\n",
	"$8::timestamptz[]) WITH ORDINALITY AS l(queue, priority, since, n)",
	"$8::timestamptz[], $10::integer[], $11::text[]) WITH ORDINALITY AS l(queue, priority, since, most, parents, n)",
	"c.queue IN (l.queue, '')", "c.queue = ANY (ARRAY[l.queue, ''] || string_to_array(l.parents, ','))",
	"id LIMIT $3\n", "id LIMIT l.most\n",
)

// reserveTurnsSQL is reserveBytesSQL for queues that take turns.
var reserveTurnsSQL = turns.Replace(reserveBytesSQL)

// candidatesSQL locks jobs that are due, in order, also more than limits of several queues together allow. Arguments are those of
// reserveTurnsSQL without the number and the expires.
var candidatesSQL = strings.NewReplacer("$7", "$4", "$8", "$5", "$9", "$6", "$10", "$6", "$11", "$7").Replace(
	turns.Replace(findStart + ", l.queue, j.size" + findMiddle + ", octet_length(payload::text) AS size" + findEnd))

// reserveIDsSQL reserves jobs that are locked. $1 number, $2 queues and $3 their expires, $4 ids, $5 whether some were left for want of
// bytes.
var reserveIDsSQL = strings.NewReplacer("$4", "$1", "$5", "$2", "$6", "$3").Replace(reserveUpdate) + `
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
func (c *exchange) limited(ctx context.Context, conn *pgxpool.Conn, batch *pgx.Batch, legible func(string) string) (*pgx.Batch, error) {
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	db := pgxDB{conn}
	if err := c.plan.Permit(ctx, c.store.Database, db); err != nil {
		return nil, err
	}
	lanes := c.plan.Sort(c.store.lanes.Of(c.queues))
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
	expires := make([]*int64, len(c.x.Reserve))
	for i, r := range c.x.Reserve {
		expires[i] = orNever(r.Expire)
	}
	next := &pgx.Batch{}
	c.read(next.Queue(c.store.names.In(reserveIDsSQL), c.x.Number, c.queues, expires, ids, c.cut), legible)
	return next, nil
}
