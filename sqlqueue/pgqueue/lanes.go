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
// known lanes; $7 how many lanes to find in the ranges at most.
const lanesSQL = `
(SELECT true, r.queue, p.priority FROM unnest($1::text[], $2::smallint[], $3::smallint[]) AS r(queue, first, last)
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
LIMIT $7)
UNION ALL
SELECT false, l.queue, l.priority FROM unnest($4::text[], $5::smallint[], $6::timestamptz[]) AS l(queue, priority, since)
CROSS JOIN LATERAL (
    SELECT FROM "jobs" WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at >= l.since
    ORDER BY available_at LIMIT 1) j`

// mostFound is how many new lanes one exchange finds at most. The next goes on from there.
const mostFound = 1000

// chooseLanes decides which lanes the exchange asks, after it has found those that other processes have opened. Glanced: it has looked for
// them already.
func (c *exchange) chooseLanes(ctx context.Context, glanced bool) error {
	if glanced {
		if c.part = lane.Few(c.lanes()); c.x.Limit <= 0 || c.part.All() {
			return nil
		}
	}
	s, search := c.store, lane.Search{
		Asked: c.asked, Queues: c.queues, Order: c.plan, Limit: c.x.Limit, Everything: c.x.Everything, At: time.Now(),
	}
	if c.x.Everything || glanced { // the scan of the glance is not used
		s.lanes.Forget(c.queues)
	}
	var all bool
	var err error
	c.part, all, err = s.places.Choose(s.lanes, search, func(known []lane.Lane, stale []string) error {
		if c.scan = s.lanes.ScanLanes(known, search.At); len(stale) == 0 {
			return nil
		}
		return c.findLanes(ctx, stale, search.At)
	})
	c.all = all && c.scan.Whole()
	return err
}

// lanes are all that are known, in order.
func (c *exchange) lanes() []lane.Lane { return c.plan.Sort(c.store.lanes.Of(c.queues)) }

// findLanes looks for lanes that other processes have opened in the queues by a time.
func (c *exchange) findLanes(ctx context.Context, stale []string, at time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(byIndexSQL)
	found := c.queueLanes(batch, stale)
	batch.Queue("COMMIT")
	conn, err := c.store.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		rollBack(ctx, conn)
		return translate(err)
	}
	found.note(c.store.lanes, stale, at)
	return nil
}

// lanesFound are the lanes that a search has found.
type lanesFound struct {
	of    map[string][]int16 // by queue
	limit int                // how many new ones at most
	news  int                // how many are new
	last  lane.Lane          // the last of these
}

// queueLanes queues the search for the lanes of queues.
func (c *exchange) queueLanes(batch *pgx.Batch, queues []string) *lanesFound {
	s, f := c.store, &lanesFound{of: map[string][]int16{}, limit: mostFound}
	if c.x.Everything {
		f.limit = math.MaxInt32
	}
	var between gaps
	var known []lane.Lane
	of := make(map[string][]lane.Lane, len(queues))
	for _, l := range c.scan.Lanes {
		of[l.Queue] = append(of[l.Queue], l)
	}
	for _, queue := range queues {
		first := math.MinInt16
		next, cut := s.lanes.Next(queue)
		switch {
		case c.x.Everything:
		case cut:
			first = next
		case len(of[queue]) <= mostFound:
			for _, l := range of[queue] {
				known = append(known, l)
				between.add(queue, first, int(l.Priority)-1)
				first = int(l.Priority) + 1
			}
		}
		between.add(queue, first, math.MaxInt16)
	}
	names, priorities, marks := split(known, c.scan.From)
	args := []any{between.queues, between.first, between.last, names, priorities, marks, f.limit}
	batch.Queue(s.names.In(lanesSQL), args...).Query(func(rows pgx.Rows) error {
		var isNew bool
		var l lane.Lane
		_, err := pgx.ForEachRow(rows, []any{&isNew, &l.Queue, &l.Priority}, func() error {
			f.of[l.Queue] = append(f.of[l.Queue], l.Priority)
			if isNew {
				f.news, f.last = f.news+1, l
			}
			return nil
		})
		return err
	})
	return f
}

// note adds the lanes to those of the queues, in which they were looked for by a time.
func (f *lanesFound) note(lanes *lane.Set, queues []string, at time.Time) {
	cut := false
	for _, queue := range queues {
		lanes.Found(queue, f.of[queue], at)
		switch {
		case cut:
			lanes.Cut(queue, math.MinInt16)
		case f.news == f.limit && queue == f.last.Queue:
			lanes.Cut(queue, int(f.last.Priority)+1)
			cut = true
		}
	}
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
		limit := lane.Limit(&c.x, &c.answer, c.cut)
		c.answer.Everything = c.all && len(c.answer.Reserved) < limit
		c.store.lanes.Reserved(c.scan, limit, &c.answer, scan)
		c.store.lanes.Slow(c.scan, took-scan)
	}
	c.store.places.Exchanged(&c.part, &c.x, &c.answer, c.cut, time.Now())
}
