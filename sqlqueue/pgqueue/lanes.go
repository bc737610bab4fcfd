package pgqueue

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// Between the lanes that are known it goes from one priority to the next by the index, however many jobs a lane has. Whether a known lane
// has jobs is looked up from its mark on.
//
// $1 queues, $2 and $3 the first and last priorities of ranges in which no lane is known; $4 queues, $5 priorities and $6 marks of the
// known lanes.
const lanesSQL = `
SELECT r.queue, p.priority FROM unnest($1::text[], $2::smallint[], $3::smallint[]) AS r(queue, first, last)
CROSS JOIN LATERAL (
    WITH RECURSIVE p AS (
        (SELECT priority FROM "jobs" WHERE queue = r.queue AND NOT reserved AND priority BETWEEN r.first AND r.last
         ORDER BY priority LIMIT 1)
        UNION ALL
        SELECT (SELECT j.priority FROM "jobs" j
                WHERE j.queue = r.queue AND NOT j.reserved AND j.priority > p.priority AND j.priority <= r.last
                ORDER BY j.priority LIMIT 1)
        FROM p WHERE p.priority IS NOT NULL)
    SELECT priority FROM p WHERE priority IS NOT NULL) p
UNION ALL
SELECT l.queue, l.priority FROM unnest($4::text[], $5::smallint[], $6::timestamptz[]) AS l(queue, priority, since)
CROSS JOIN LATERAL (
    SELECT FROM "jobs" WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at >= l.since
    ORDER BY available_at LIMIT 1) j`

// findLanes looks for lanes that other processes have opened in the queues.
func (s *store) findLanes(ctx context.Context, stale []string, scan lane.Scan) error {
	if len(stale) == 0 {
		return nil
	}
	at := time.Now()
	found := map[string][]int16{}
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(byIndexSQL)
	s.queueLanes(batch, stale, scan, found)
	batch.Queue("COMMIT")
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		rollBack(ctx, conn)
		return translate(err)
	}
	for _, queue := range stale {
		s.lanes.Found(queue, found[queue], at)
	}
	return nil
}

// queueLanes queues the search for the lanes of queues, which adds them to found.
func (s *store) queueLanes(batch *pgx.Batch, queues []string, scan lane.Scan, found map[string][]int16) {
	var between gaps
	var known []lane.Lane
	of := make(map[string][]lane.Lane, len(queues))
	for _, l := range scan.Lanes {
		of[l.Queue] = append(of[l.Queue], l)
	}
	for _, queue := range queues {
		first := math.MinInt16
		for _, l := range of[queue] {
			known = append(known, l)
			between.add(queue, first, int(l.Priority)-1)
			first = int(l.Priority) + 1
		}
		between.add(queue, first, math.MaxInt16)
	}
	names, priorities, marks := split(known, scan.From)
	args := []any{between.queues, between.first, between.last, names, priorities, marks}
	batch.Queue(s.names.In(lanesSQL), args...).Query(func(rows pgx.Rows) error {
		var queue string
		var priority int16
		_, err := pgx.ForEachRow(rows, []any{&queue, &priority}, func() error {
			found[queue] = append(found[queue], priority)
			return nil
		})
		return err
	})
}

// gaps are ranges of priorities between the lanes that are known.
type gaps struct {
	queues      []string
	first, last []int16
}

func (g *gaps) add(queue string, first, last int) {
	if first <= last {
		g.queues, g.first, g.last = append(g.queues, queue), append(g.first, int16(first)), append(g.last, int16(last))
	}
}

// split returns the parts of lanes, and where their scans begin, as arguments.
func split(lanes []lane.Lane, from map[lane.Lane]time.Time) (queues []string, priorities []int16, since []pgtype.Timestamptz) {
	for _, l := range lanes {
		queues, priorities, since = append(queues, l.Queue), append(priorities, l.Priority), append(since, mark(from[l]))
	}
	return queues, priorities, since
}

// mark is where a scan begins: for the zero time, or the first that can be read, at the start of the lane.
func mark(at time.Time) pgtype.Timestamptz {
	if at.Year() <= 1 {
		return pgtype.Timestamptz{Valid: true, InfinityModifier: pgtype.NegativeInfinity}
	}
	return pgtype.Timestamptz{Time: at, Valid: true}
}

// mark notes up to where the lanes have been reserved, and what had expired has been released, and how long the scans took.
func (c *exchange) mark(scan, expiry time.Duration) {
	took := time.Since(c.sent)
	if c.x.Requeue > 0 {
		c.store.expiry.Released(c.expiry, c.x.Expired, c.left, c.answer.Now, expiry)
		c.store.expiry.Slow(c.expiry, took-expiry)
	}
	if c.x.Limit > 0 {
		limit := c.x.Limit
		if c.cut {
			limit = len(c.answer.Reserved)
		}
		c.answer.Everything = c.all && len(c.answer.Reserved) < limit
		c.store.lanes.Reserved(c.scan, limit, &c.answer, scan)
		c.store.lanes.Slow(c.scan, took-scan)
	}
}
