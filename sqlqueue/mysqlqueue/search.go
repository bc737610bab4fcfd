package mysqlqueue

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
)

// search is where an exchange looks for jobs and for what has expired, and how long that took. It begins at the marks of lane.Set.
type search struct {
	plan  *turn.Plan  // if queues take turns or have limits
	lanes []lane.Lane // in order, with those that this exchange has found
	found bool        // this exchange has found all that there are
	scan  lane.Scan
	took  time.Duration
	place place // where to begin to ask the lanes

	expiry     lane.Scan // for what has expired, in the lane of known.expiry
	expiryTook time.Duration
	left       time.Time // when the first had expired that was not released; zero: all were
}

// search returns where an exchange looks. It first finds the lanes that other processes have opened, if it is time.
func (s *store) search(ctx context.Context, x driver.Exchange, plan *turn.Plan) (*search, error) {
	queues, at := queuesOf(x), time.Now()
	f := &search{plan: plan}
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
	f.lanes = plan.Sort(s.known.lanes.Of(queues))
	if x.Everything || len(f.lanes) > mostAsked {
		f.scan.From = nil
	}
	if f.place = (place{began: at}); len(f.lanes) > mostAsked && !x.Everything {
		f.place = s.known.places.asking(queues, at)
	}
	return f, nil
}

// everything reports whether all lanes that there are now are looked at, each from its start.
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

// mark notes up to where the lanes have been reserved, and what had expired has been released.
func (s *store) mark(f *search, x driver.Exchange, answer *driver.Exchanged) {
	if x.Requeue > 0 {
		s.known.expiry.Released(f.expiry, x.Expired, f.left, answer.Now, f.expiryTook)
	}
	if x.Limit > 0 {
		s.known.lanes.Reserved(f.scan, x.Limit, answer, f.took)
	}
}

// since returns the condition that makes a search begin at a mark; for the zero time it is empty.
func since(column string, from time.Time) string {
	if from.IsZero() {
		return ""
	}
	return " AND " + column + " >= " + momentOf(from)
}
