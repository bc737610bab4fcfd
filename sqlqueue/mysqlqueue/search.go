package mysqlqueue

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// search is where an exchange looks for jobs and for what has expired, and how long that took. See lane.Set for the marks at which it begins.
type search struct {
	lanes []lane.Lane // in order, with those that were found just now
	found bool        // now, all that there are
	scan  lane.Scan
	took  time.Duration
	place place // where to begin to ask them

	expiry     lane.Scan // of what has expired, in the only lane of known.expiry
	expiryTook time.Duration
	left       time.Time // when the first had expired that was not released; zero: all were
}

// search returns the lanes of the exchange's queues after looking for those that other processes have opened.
func (s *store) search(ctx context.Context, x driver.Exchange) (*search, error) {
	queues, at := queuesOf(x), time.Now()
	f := &search{}
	if x.Requeue > 0 {
		f.expiry = s.known.expiry.Scan([]string{lane.Expiring.Queue}, at)
	}
	if x.Limit > 0 {
		f.scan = s.known.lanes.Scan(queues, at)
		stale := s.known.lanes.Stale(queues, at)
		if x.Everything {
			stale = queues
		}
		for _, queue := range queues {
			if _, cut := s.known.places.finding(queue); cut && !slices.Contains(stale, queue) {
				stale = append(stale, queue)
			}
		}
		if len(stale) > 0 {
			found, all, err := s.findLanes(ctx, stale, f.scan.From, x.Everything)
			if err != nil {
				return nil, err
			}
			for _, queue := range stale {
				s.known.lanes.Found(queue, found[queue], at)
			}
			f.took = time.Since(at)
			f.found = all && len(stale) == len(queues)
		}
	}
	f.lanes = s.known.lanes.Of(queues)
	if x.Everything || len(f.lanes) > mostAsked {
		f.scan.From = nil
	}
	if f.place = (place{began: at}); len(f.lanes) > mostAsked && !x.Everything {
		f.place = s.known.places.asking(queues, at)
	}
	return f, nil
}

// everything reports whether lanes are looked at as they are now, each from its start.
func (f *search) everything() bool {
	if !f.found {
		return false
	}
	for _, mark := range f.scan.From {
		if !mark.IsZero() {
			return false
		}
	}
	return true
}

// mark notes how far the lanes are reserved, and what had expired is released.
func (s *store) mark(f *search, x driver.Exchange, answer *driver.Exchanged) {
	if x.Requeue > 0 {
		s.known.expiry.Released(f.expiry, x.Expired, f.left, answer.Now, f.expiryTook)
	}
	if x.Limit > 0 {
		s.known.lanes.Reserved(f.scan, x.Limit, answer, f.took)
	}
}

// since is a condition on a column by which a search begins at a mark.
func since(column string, from time.Time) string {
	if from.IsZero() {
		return ""
	}
	return " AND " + column + " >= " + momentOf(from)
}
