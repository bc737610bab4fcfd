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

// The first and the last lane of a queue. The order begins with the queue, which is always the same: without it, MySQL sorts all jobs of
// the queue. %[1]s the lanes, of which only the queues matter.
const edgesSQL = `
SELECT l.n,
    (SELECT priority FROM {jobs} FORCE INDEX ({jobs_ready}) WHERE queue = l.queue AND reserved IN (0, 1)
        ORDER BY queue, priority, available_at, id LIMIT 1),
    (SELECT priority FROM {jobs} FORCE INDEX ({jobs_ready}) WHERE queue = l.queue AND reserved IN (0, 1)
        ORDER BY queue DESC, priority DESC, available_at DESC, id DESC LIMIT 1)
FROM %[1]s AS l`

// mostSweeps is how many statements of one exchange look for lanes one after the other.
const mostSweeps = 10

// manyQueues is from how many queues on a search for lanes begins with edgesSQL.
const manyQueues = 10

// findLanes looks for the priorities at which queues have jobs, those that are known and new ones between them, and notes what it has found
// at a time. With all, it searches until it has found every one.
func (s *store) findLanes(ctx context.Context, queues []string, from map[lane.Lane]time.Time, all bool, at time.Time) error {
	found := map[string][]int16{}
	search := queues
	if len(queues) >= manyQueues {
		var err error
		if search, err = s.edges(ctx, queues, found); err != nil {
			return err
		}
	}
	var look, sweep []priorities
	for _, queue := range search {
		first := math.MinInt16
		if next, cut := s.known.lanes.Next(queue); cut && !all {
			sweep = append(sweep, priorities{queue: queue, from: next, to: math.MaxInt16})
			continue
		}
		known := s.known.lanes.Of([]string{queue})
		if len(known) > mostEach {
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
	for len(look) > 0 {
		part := look[:min(len(look), mostEach)]
		look = look[len(part):]
		lowest, selects, dest := make([]sql.NullInt16, len(part)), make([]string, len(part)), make([]any, len(part))
		for i, p := range part {
			selects[i], dest[i] = s.sql(findLaneSQL, text(p.queue), p.from, p.to), &lowest[i]
			if p.from == p.to {
				selects[i] = s.sql(isLaneSQL, text(p.queue), p.from, since("available_at", p.since))
			}
		}
		if err := one(ctx, s.DB, "SELECT "+strings.Join(selects, ","), dest...); err != nil {
			return err
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
		return err
	}
	for _, queue := range queues {
		s.known.lanes.Found(queue, found[queue], at)
		if next, ok := cut[queue]; ok {
			s.known.lanes.Cut(queue, next)
		}
	}
	return nil
}

// edges finds the first and the last lane of queues, and returns those that may have others.
func (s *store) edges(ctx context.Context, queues []string, found map[string][]int16) (more []string, err error) {
	lanes := make([]lane.Lane, len(queues))
	for i, queue := range queues {
		lanes[i].Queue = queue
	}
	var first, last sql.NullInt16
	err = s.eachLane(ctx, s.DB, edgesSQL, lanes, []any{&first, &last}, func(l lane.Lane) bool {
		switch {
		case !first.Valid:
		case first == last:
			found[l.Queue] = append(found[l.Queue], first.Int16)
		default:
			more = append(more, l.Queue)
		}
		return true
	})
	return more, err
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
