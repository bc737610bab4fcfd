package mysqlqueue

import (
	"context"
	"database/sql"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// lanes returns the lanes of the exchange's queues, in order, after looking for those that other processes have opened.
func (s *store) lanes(ctx context.Context, x sqlqueue.Exchange) ([]lane.Lane, error) {
	queues := queuesOf(x)
	at := time.Now()
	stale := s.known.lanes.Stale(queues, at)
	if len(stale) > 0 {
		found, err := s.findLanes(ctx, stale)
		if err != nil {
			return nil, err
		}
		for _, queue := range stale {
			s.known.lanes.Found(queue, found[queue], at)
		}
	}
	return s.known.lanes.Of(queues), nil
}

// priorities are those of a queue from one to another.
type priorities struct {
	queue    string
	from, to int
}

// A MIN with these conditions is one look into jobs_ready, however many jobs there are. GROUP BY queue, priority goes from lane to lane only
// if the optimizer likes, and else through the whole index.
//
// %[1]s queue, %[2]d and %[3]d the first and the last priority.
const findLaneSQL = `
(SELECT MIN(priority) FROM {jobs} WHERE queue = %[1]s AND priority BETWEEN %[2]d AND %[3]d)`

// findLanes returns the priorities of queues that have jobs: of those that are known, and of new ones between them.
func (s *store) findLanes(ctx context.Context, queues []string) (map[string][]int16, error) {
	var look []priorities
	for _, queue := range queues {
		from := math.MinInt16
		for _, l := range s.known.lanes.Of([]string{queue}) {
			known := int(l.Priority)
			look = append(look, priorities{queue, from, known - 1}, priorities{queue, known, known})
			from = known + 1
		}
		look = append(look, priorities{queue, from, math.MaxInt16})
	}
	found := map[string][]int16{}
	for len(look) > 0 {
		part := look[:min(len(look), mostLanes)]
		look = look[len(part):]
		lowest, selects, dest := make([]sql.NullInt16, len(part)), make([]string, len(part)), make([]any, len(part))
		for i, p := range part {
			selects[i], dest[i] = s.sql(findLaneSQL, text(p.queue), p.from, p.to), &lowest[i]
		}
		if err := one(ctx, s.DB, "SELECT "+strings.Join(selects, ","), dest...); err != nil {
			return nil, err
		}
		for i, p := range part {
			if priority := lowest[i].Int16; lowest[i].Valid {
				found[p.queue] = append(found[p.queue], priority)
				if int(priority) < p.to {
					look = append(look, priorities{p.queue, int(priority) + 1, p.to})
				}
			}
		}
	}
	return found, nil
}
