package sqlitequeue

import (
	"context"
	"math"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// selectPriorities returns the priorities of the waiting jobs of the queue ?1, from ?2 on and at most ?3, by one step in the index for
// each.
var selectPriorities = newStatement(`
WITH RECURSIVE found (priority) AS (
	SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority >= ?2
	UNION ALL
	SELECT (SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority > found.priority)
	FROM found WHERE found.priority IS NOT NULL
	LIMIT ?3
)
SELECT priority FROM found WHERE priority IS NOT NULL`)

// mostFound is how many lanes one exchange finds in a queue at most. The next goes on from there.
const mostFound = 1000

// findLanes decides which lanes the exchange asks, after it has found those that other processes have opened.
func (e *exchange) findLanes(ctx context.Context) (err error) {
	search := lane.Search{
		Asked: lane.Names(e.whole.Reserve), Queues: lane.Names(e.asked.Reserve), Order: e.plan,
		Limit: e.asked.Limit, Everything: e.asked.Everything, At: e.answer.Now,
	}
	// In each lane it looks at everything.
	e.part, e.answer.Everything, err = e.places.Choose(e.store.lanes, search, func(_ []lane.Lane, stale []string) error {
		for _, queue := range stale {
			if err := e.findLanesOf(ctx, queue); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (e *exchange) findLanesOf(ctx context.Context, queue string) error {
	from, limit := math.MinInt16, mostFound
	if next, cut := e.store.lanes.Next(queue); cut {
		from = next
	}
	if e.asked.Everything {
		from, limit = math.MinInt16, math.MaxInt32
	}
	var priorities []int16
	if err := sqldb.Each(ctx, e.db, e.sql.text[selectPriorities], []any{queue, from, limit}, func(scan func(...any) error) error {
		var priority int16
		err := scan(&priority)
		priorities = append(priorities, priority)
		return err
	}); err != nil {
		return err
	}
	e.store.lanes.Found(queue, priorities, e.answer.Now)
	if n := len(priorities); n == limit {
		e.store.lanes.Cut(queue, int(priorities[n-1])+1)
	}
	return nil
}
