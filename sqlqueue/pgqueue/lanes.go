package pgqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// $1 queues. It goes from one priority to the next by the index, however many jobs a lane has.
const lanesSQL = `
SELECT q.queue, p.priority FROM unnest($1::text[]) AS q(queue)
CROSS JOIN LATERAL (
    WITH RECURSIVE p AS (
        (SELECT priority FROM "jobs" WHERE queue = q.queue AND NOT reserved ORDER BY priority LIMIT 1)
        UNION ALL
        SELECT (SELECT j.priority FROM "jobs" j WHERE j.queue = q.queue AND NOT j.reserved AND j.priority > p.priority
                ORDER BY j.priority LIMIT 1)
        FROM p WHERE p.priority IS NOT NULL)
    SELECT priority FROM p WHERE priority IS NOT NULL) p`

// findLanes looks for lanes that other processes have opened.
func (s *store) findLanes(ctx context.Context, queues []string) error {
	at := time.Now()
	stale := s.lanes.Stale(queues, at)
	if stale == nil {
		return nil
	}
	found := map[string][]int16{}
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(byIndexSQL)
	batch.Queue(s.names.in(lanesSQL), stale).Query(func(rows pgx.Rows) error {
		var queue string
		var priority int16
		_, err := pgx.ForEachRow(rows, []any{&queue, &priority}, func() error {
			found[queue] = append(found[queue], priority)
			return nil
		})
		return err
	})
	batch.Queue("COMMIT")
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return translate(err)
	}
	for _, queue := range stale {
		s.lanes.Found(queue, found[queue], at)
	}
	return nil
}
