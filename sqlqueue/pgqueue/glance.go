package pgqueue

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// mayGlance reports whether an exchange most likely has nothing to do, and can be answered by reading alone.
func (c *exchange) mayGlance() bool {
	x := &c.x
	switch {
	case len(x.Settle)+len(x.Touch)+len(x.Abandoned) > 0 || x.Everything:
		return false
	case x.Limit <= 0:
		return true
	case !x.Idle || slices.ContainsFunc(c.queues, driver.IsPattern):
		return false
	}
	few := lane.Few(c.lanes())
	return few.All()
}

// glance answers an exchange if none of its queues has a waiting job and no reservation has expired, and reports whether that was so. Its
// statements are sent together, in the transaction that the server begins by itself: three, or four with the search for lanes, instead of
// seven and more in up to three transactions. If there is something to do, the exchange goes on with the lanes that were found.
func (c *exchange) glance(ctx context.Context) (nothing bool, err error) {
	s := c.store
	c.answer = driver.Exchanged{}
	conn, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	c.sent = time.Now()
	batch := &pgx.Batch{}
	batch.Queue(byIndexSQL)
	c.part = lane.Few(c.lanes())
	var found *lanesFound
	if c.x.Limit > 0 {
		c.scan = s.lanes.Scan(c.queues, c.sent)
		c.all = c.scan.Whole()
		found = c.queueLanes(batch, c.queues)
	}
	var expired bool
	if c.x.Requeue > 0 {
		c.expiry = s.expiry.Scan([]string{lane.Expiring.Queue}, c.sent)
		c.look(batch, &expired)
	} else {
		c.look(batch, nil)
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return false, readOnly(conn.Conn(), translate(err))
	}
	waiting := false
	if found != nil {
		found.note(s.lanes, c.queues, c.sent)
		waiting = len(found.of) > 0
	}
	if waiting || expired {
		return false, nil
	}
	took := time.Since(c.sent)
	c.mark(took, took)
	return true, nil
}
