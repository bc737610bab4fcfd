package sqlitequeue

import (
	"context"
	"math"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// selectPriorities returns the priorities of the waiting jobs of the queue ?1, from ?2 on and at most ?3, by one step in the index for each.
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
func (e *exchange) findLanes(ctx context.Context) error {
	e.choose()
	queues := e.part.Queues()
	stale := queues
	if !e.asked.Everything {
		stale = e.store.lanes.Stale(queues, e.answer.Now)
	}
	for _, queue := range stale {
		if err := e.findLanesOf(ctx, queue); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		e.choose()
	}
	// In each lane it looks at everything.
	e.answer.Everything = e.part.All() && len(stale) == len(queues) && len(e.store.lanes.Stale(queues, e.answer.Now)) == 0
	return nil
}

// choose decides which of the lanes that are known the exchange asks.
func (e *exchange) choose() {
	queues, names := make([]string, len(e.asked.Reserve)), make([]string, len(e.whole.Reserve))
	for i, r := range e.asked.Reserve {
		queues[i] = r.Queue
	}
	for i, r := range e.whole.Reserve {
		names[i] = r.Queue
	}
	lanes := e.plan.Sort(e.store.lanes.Of(queues))
	switch {
	case e.asked.Everything:
		e.part = lane.All(lanes)
	case e.asked.Limit <= 0:
		e.part = lane.Few(lanes)
	default:
		e.part = e.store.places.Part(names, lanes, e.plan.Name, e.asked.Limit, e.answer.Now)
	}
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
