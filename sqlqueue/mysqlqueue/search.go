package mysqlqueue

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
)

// search is where an exchange looks for jobs and for what has expired, and how long that took. It begins at the marks of lane.Set.
type search struct {
	plan  *turn.Plan // if queues take turns or have limits
	asked []string   // the queues, as they were given, with patterns
	part  lane.Part  // the lanes to ask, with those that this exchange has found
	found bool       // these are all that there are
	scan  lane.Scan
	took  time.Duration

	expiry     lane.Scan // for what has expired, in the lane of known.expiry
	expiryTook time.Duration
	again      bool      // a lane had jobs that were due, and it is not known when the next will be
	left       time.Time // when the first had expired that was not released; zero: all were
}

// search returns where an exchange looks. It first finds the lanes that other processes have opened, if it is time. Asked are the queues as
// they were given, with patterns.
func (s *store) search(ctx context.Context, x driver.Exchange, asked []string, plan *turn.Plan) (*search, error) {
	at := time.Now()
	f := &search{plan: plan, asked: asked}
	if x.Requeue > 0 {
		f.expiry = s.known.expiry.Scan([]string{lane.Expiring.Queue}, at)
	}
	search := lane.Search{Asked: asked, Queues: lane.Names(x.Reserve), Order: plan, Limit: x.Limit, Everything: x.Everything, At: at}
	var err error
	f.part, f.found, err = s.known.places.Choose(&s.known.lanes, search, func(known []lane.Lane, stale []string) error {
		if f.scan = s.known.lanes.ScanLanes(known, at); len(stale) == 0 {
			return nil
		}
		err := s.findLanes(ctx, stale, f.scan.From, x.Everything, at)
		f.took = time.Since(at)
		return err
	})
	if x.Everything || f.part.Many() {
		f.scan.From = nil
	}
	return f, err
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
func (s *store) mark(f *search, x driver.Exchange, answer *driver.Exchanged, full bool) {
	if f.again {
		s.known.places.Changed()
	}
	if x.Requeue > 0 {
		s.known.expiry.Released(f.expiry, x.Expired, f.left, answer.Now, f.expiryTook)
	}
	if x.Limit > 0 {
		s.known.lanes.Reserved(f.scan, lane.Limit(&x, answer, full), answer, f.took)
	}
	s.known.places.Exchanged(&f.part, &x, answer, full, time.Now())
}

// since returns the condition that makes a search begin at a mark; for the zero time it is empty.
func since(column string, from time.Time) string {
	if from.IsZero() {
		return ""
	}
	return " AND " + column + " >= " + momentOf(from)
}
