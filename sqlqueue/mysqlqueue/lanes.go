package mysqlqueue

import (
	"context"
	"database/sql"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// priorities is a range of priorities of a queue.
type priorities struct {
	queue    string
	from, to int
	since    time.Time // the mark of a lane that is known
}

// A MIN with these conditions reads one entry of jobs_ready, however many jobs there are. GROUP BY queue, priority would go from lane to
// lane only if the optimizer chose to, and otherwise read the whole index.
//
// %[1]s queue, %[2]d and %[3]d the first and the last priority.
const findLaneSQL = `
(SELECT MIN(priority) FROM {jobs} WHERE queue = %[1]s AND priority BETWEEN %[2]d AND %[3]d)`

// With one condition more, a MIN would read all the jobs of the lane. The condition on reserved is always true: it keeps MySQL from reading
// the whole index, as in isExpiredSQL. The order keeps it from collecting 32,768 entries for a multi-range read before it returns the
// first. %[1]s queue, %[2]d priority, %[3]s the condition of its mark.
const isLaneSQL = `
(SELECT priority FROM {jobs} FORCE INDEX ({jobs_ready}) WHERE queue = %[1]s AND priority = %[2]d AND reserved IN (0, 1)%[3]s
    ORDER BY available_at, id LIMIT 1)`

// The lanes among the first entries of a range of priorities. %[1]s queue, %[2]d and %[3]d the first and the last priority, %[4]d how many
// entries.
const sweepSQL = `
SELECT priority, COUNT(*) FROM (
    SELECT priority FROM {jobs} FORCE INDEX ({jobs_ready}) WHERE queue = %[1]s AND priority BETWEEN %[2]d AND %[3]d AND reserved IN (0, 1)
    ORDER BY priority, available_at, id LIMIT %[4]d) AS entries
GROUP BY priority ORDER BY priority`

// findLanes returns the priorities at which queues have jobs, those that are known and new ones between them, and whether these are all. If
// they are not, known.places has where the next search goes on. With all, it searches until it has found every one.
func (s *store) findLanes(ctx context.Context, queues []string, from map[lane.Lane]time.Time, all bool) (map[string][]int16, bool, error) {
	var look, sweep []priorities
	for _, queue := range queues {
		first := math.MinInt16
		if at, cut := s.known.places.finding(queue); cut && !all {
			sweep = append(sweep, priorities{queue: queue, from: at, to: math.MaxInt16})
			continue
		}
		known := s.known.lanes.Of([]string{queue})
		if len(known) > mostLanes {
			sweep = append(sweep, priorities{queue: queue, from: first, to: math.MaxInt16})
			continue
		}
		for _, l := range known {
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
			return nil, false, err
		}
		for i, p := range part {
			if priority := lowest[i].Int16; lowest[i].Valid {
				found[p.queue] = append(found[p.queue], priority)
				if int(priority) < p.to {
					sweep = append(sweep, priorities{queue: p.queue, from: int(priority) + 1, to: p.to})
				}
			}
		}
	}
	cut, err := s.sweep(ctx, sweep, all, found)
	if err != nil {
		return nil, false, err
	}
	for _, queue := range queues {
		next, more := cut[queue]
		s.known.places.found(queue, next, more)
	}
	return found, len(cut) == 0, nil
}

// sweep finds the lanes in ranges of priorities, one after the other. It returns, by queue, the priorities from which on it has not looked.
func (s *store) sweep(ctx context.Context, ranges []priorities, all bool, found map[string][]int16) (cut map[string]int, err error) {
	const first, most = 16, 500
	cut = map[string]int{}
	for statements := 0; len(ranges) > 0; ranges = ranges[1:] {
		p := ranges[0]
		for size := first; p.from <= p.to; statements++ {
			if statements >= mostSweeps && !all {
				if at, ok := cut[p.queue]; !ok || p.from < at {
					cut[p.queue] = p.from
				}
				break
			}
			lanes, entries := 0, 0
			if err := each(ctx, s.DB, s.sql(sweepSQL, text(p.queue), p.from, p.to, size), func(scan func(...any) error) error {
				var priority int16
				var n int
				err := scan(&priority, &n)
				found[p.queue] = append(found[p.queue], priority)
				p.from = int(priority) + 1
				lanes++
				entries += n
				return err
			}); err != nil {
				return nil, err
			}
			if entries < size {
				break
			}
			if lanes > size/2 {
				size = min(4*size, most)
			}
		}
	}
	return cut, nil
}
