package mysqlqueue

import (
	"context"
	"database/sql"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// priorities are those of a queue from one to another.
type priorities struct {
	queue    string
	from, to int
	since    time.Time // of one that is known: its mark
}

// A MIN with these conditions is one look into jobs_ready, however many jobs there are. GROUP BY queue, priority goes from lane to lane only
// if the optimizer likes, and else through the whole index.
//
// %[1]s queue, %[2]d and %[3]d the first and the last priority.
const findLaneSQL = `
(SELECT MIN(priority) FROM {jobs} WHERE queue = %[1]s AND priority BETWEEN %[2]d AND %[3]d)`

// With one more condition a MIN would go through all the jobs of the lane. That on reserved, which always holds, keeps MySQL from reading the
// whole of the index, as in isExpiredSQL. %[1]s queue, %[2]d priority, %[3]s from where on.
const isLaneSQL = `
(SELECT priority FROM {jobs} FORCE INDEX ({jobs_ready}) WHERE queue = %[1]s AND priority = %[2]d AND reserved IN (0, 1)%[3]s LIMIT 1)`

// findLanes returns the priorities of queues that have jobs: of those that are known, and of new ones between them.
func (s *store) findLanes(ctx context.Context, queues []string, from map[lane.Lane]time.Time) (map[string][]int16, error) {
	var look []priorities
	for _, queue := range queues {
		first := math.MinInt16
		for _, l := range s.known.lanes.Of([]string{queue}) {
			known := int(l.Priority)
			look = append(look, priorities{queue: queue, from: first, to: known - 1}, priorities{queue, known, known, from[l]})
			first = known + 1
		}
		look = append(look, priorities{queue: queue, from: first, to: math.MaxInt16})
	}
	found := map[string][]int16{}
	for len(look) > 0 {
		part := look[:min(len(look), mostLanes)]
		look = look[len(part):]
		lowest, selects, dest := make([]sql.NullInt16, len(part)), make([]string, len(part)), make([]any, len(part))
		for i, p := range part {
			selects[i], dest[i] = s.sql(findLaneSQL, text(p.queue), p.from, p.to), &lowest[i]
			if p.from == p.to {
				selects[i] = s.sql(isLaneSQL, text(p.queue), p.from, since("available_at", p.since))
			}
		}
		if err := one(ctx, s.DB, "SELECT "+strings.Join(selects, ","), dest...); err != nil {
			return nil, err
		}
		for i, p := range part {
			if priority := lowest[i].Int16; lowest[i].Valid {
				found[p.queue] = append(found[p.queue], priority)
				if int(priority) < p.to {
					look = append(look, priorities{queue: p.queue, from: int(priority) + 1, to: p.to})
				}
			}
		}
	}
	return found, nil
}
