package mysqlqueue

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// search is where an exchange looks for jobs and for what has expired, and how long that took. See lane.Set for the marks at which it begins.
type search struct {
	lanes []lane.Lane // in order, with those that were found just now
	scan  lane.Scan
	took  time.Duration

	expiry     lane.Scan // of what has expired, in the only lane of known.expiry
	expiryTook time.Duration
	left       time.Time // when the first had expired that was not released; zero: all were
}

// expiring is the lane of reservations that expire, in a Set of its own. Its mark is the time up to which all that had expired were released.
var expiring = lane.Lane{}

// search returns the lanes of the exchange's queues after looking for those that other processes have opened.
func (s *store) search(ctx context.Context, x sqlqueue.Exchange) (*search, error) {
	queues, at := queuesOf(x), time.Now()
	f := &search{}
	if x.Requeue > 0 {
		f.expiry = s.known.expiry.Scan([]string{expiring.Queue}, at)
	}
	if x.Limit > 0 {
		f.scan = s.known.lanes.Scan(queues, at)
		if stale := s.known.lanes.Stale(queues, at); len(stale) > 0 {
			found, err := s.findLanes(ctx, stale, f.scan.From)
			if err != nil {
				return nil, err
			}
			for _, queue := range stale {
				s.known.lanes.Found(queue, found[queue], at)
			}
			f.took = time.Since(at)
		}
	}
	f.lanes = s.known.lanes.Of(queues)
	return f, nil
}

// mark notes how far the lanes are reserved, and what had expired is released. A search that has found less than it was to, and has not looked
// everywhere, is to be followed by one that does. One that was cut short may have left more behind the mark: the next goes on from there.
func (s *store) mark(f *search, x sqlqueue.Exchange, answer *sqlqueue.Exchanged) {
	if x.Requeue > 0 {
		to := answer.Now
		if !x.Expired.IsZero() && x.Expired.Before(to) {
			to = x.Expired
		}
		s.known.expiry.Scanned(f.expiry, map[lane.Lane]time.Time{expiring: to}, answer.Now, f.expiryTook)
		if !f.left.IsZero() {
			s.known.expiry.Rewind(expiring, f.left)
		}
	}
	if x.Limit <= 0 {
		return
	}
	latest := map[lane.Lane]time.Time{}
	var last lane.Lane
	for i := range answer.Reserved {
		j := &answer.Reserved[i]
		last = lane.Lane{Queue: j.Queue, Priority: j.Priority}
		if j.AvailableAt.After(latest[last]) {
			latest[last] = j.AvailableAt
		}
	}
	again := s.known.lanes.Scanned(f.scan, latest, answer.Now, f.took)
	if len(answer.Reserved) == x.Limit {
		s.known.lanes.Rewind(last, latest[last])
	} else if at := answer.Now.Add(again); again > 0 && (answer.NextDue.IsZero() || at.Before(answer.NextDue)) {
		answer.NextDue = at
	}
}

// since is a condition on a column by which a search begins at a mark.
func since(column string, from time.Time) string {
	if from.IsZero() {
		return ""
	}
	return " AND " + column + " >= " + momentOf(from)
}
