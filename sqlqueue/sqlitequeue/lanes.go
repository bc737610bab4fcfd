package sqlitequeue

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// selectPriorities returns the priorities of the waiting jobs of the queue ?1, by one step in the index for each.
var selectPriorities = newStatement(`
WITH RECURSIVE found (priority) AS (
	SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1
	UNION ALL
	SELECT (SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority > found.priority)
	FROM found WHERE found.priority IS NOT NULL
)
SELECT priority FROM found WHERE priority IS NOT NULL`)

func (e *exchange) findLanes(ctx context.Context) error {
	var queues []string
	for _, r := range e.asked.Reserve {
		if _, ok := e.open[r.Queue]; ok {
			queues = append(queues, r.Queue)
		}
	}
	stale := queues
	if !e.asked.Everything {
		stale = e.store.lanes.Stale(queues, e.answer.Now)
	}
	e.answer.Everything = len(stale) == len(queues) // in each lane it looks at everything
	for _, queue := range stale {
		var priorities []int16
		if err := sqldb.Each(ctx, e.db, e.sql.text[selectPriorities], []any{queue}, func(scan func(...any) error) error {
			var priority int16
			err := scan(&priority)
			priorities = append(priorities, priority)
			return err
		}); err != nil {
			return err
		}
		e.store.lanes.Found(queue, priorities, e.answer.Now)
	}
	e.lanes = e.plan.Sort(e.store.lanes.Of(queues))
	return nil
}
