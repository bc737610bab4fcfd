package pgqueue

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
)

// Exchange implements driver.Store, in one round trip: BEGIN, the statements and COMMIT are sent together. Two things take a round trip
// more: the search for lanes, before the exchange and once per lane.Interval, and afterwards the question why something was not settled or
// touched.
func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	c := &exchange{store: s, x: x, queues: lane.Names(x.Reserve), asked: lane.Names(x.Reserve)}
	if s.pool == nil {
		return c.settleBound(ctx)
	}
	glanced := c.mayGlance()
	if glanced {
		var nothing bool
		if err := retry.Do(ctx, transient, func() (err error) { nothing, err = c.glance(ctx); return err }); err != nil {
			return driver.Exchanged{}, err
		}
		if nothing {
			return c.answer, nil
		}
	}
	if x.Limit > 0 {
		var err error
		if c.plan, err = s.turns.Prepare(ctx, s.Database, x); err != nil {
			return driver.Exchanged{}, err
		}
		if c.plan != nil {
			x.Reserve = c.plan.Reserve
			c.x.Reserve, c.queues = x.Reserve, lane.Names(x.Reserve)
		}
	}
	if err := c.chooseLanes(ctx, glanced); err != nil {
		return driver.Exchanged{}, err
	}
	if x.Requeue > 0 && !glanced {
		c.expiry = s.expiry.Scan([]string{lane.Expiring.Queue}, time.Now())
	}
	if err := retry.Do(ctx, transient, func() error { return c.run(ctx) }); err != nil {
		return driver.Exchanged{}, err
	}
	c.sort()
	var scan, expiry time.Duration
	if !c.requeued.IsZero() {
		scan, expiry = c.reserved.Sub(c.requeued), c.requeued.Sub(c.began)
	}
	c.mark(scan, expiry)
	c.plan.Done(&c.answer)
	c.answer.Keep = s.turns.Keep()
	c.explain(ctx, s.DB)
	return c.answer, nil
}

// exchange is an Exchange under way.
type exchange struct {
	store  *store
	x      driver.Exchange
	queues []string   // exact ones
	asked  []string   // as they were given, with patterns
	plan   *turn.Plan // if queues take turns or have limits
	answer driver.Exchanged
	done   []sqlqueue.Reservation // what was settled or touched
	next   []driver.NewJob        // what is pushed because jobs have ended
	part   lane.Part
	scan   lane.Scan
	expiry lane.Scan // in the lane Expiring
	left   time.Time // when the first had expired that was not released; zero: all were
	all    bool      // the scan looks at all of every lane
	cut    bool      // jobs were found that were not reserved because of Exchange.Bytes
	sent   time.Time

	// Times before and after the scans, by the server's clock. They are asked only when a scan is timed.
	began, requeued, reserved time.Time
}

// run sends everything in one batch, on one connection.
func (c *exchange) run(ctx context.Context) error {
	c.answer, c.done, c.next, c.left, c.cut = driver.Exchanged{}, nil, nil, time.Time{}, false
	c.began, c.requeued, c.reserved = time.Time{}, time.Time{}, time.Time{}
	conn, err := c.store.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()

	c.sent = time.Now()
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(byIndexSQL)
	if c.plan.Limited() {
		batch.Queue(idleSQL)
	}
	for _, step := range c.settle() {
		c.collect(batch.Queue(c.store.names.In(step.query), step.args...))
	}
	notify, later := c.store.toNotifyNext(c.next)
	if notify != nil {
		batch.Queue(notifySQL, c.store.notifier.channel, notify)
	}
	c.touch(batch)
	c.giveBack(batch)
	c.clock(batch, &c.began)
	c.requeue(batch)
	c.clock(batch, &c.requeued)
	if c.plan.Limited() {
		if batch, err = c.limited(ctx, conn, batch, legible(conn.Conn())); err != nil {
			rollBack(ctx, conn)
			return outcome(readOnly(conn.Conn(), translate(err)))
		}
	} else {
		c.reserve(batch, legible(conn.Conn()))
	}
	c.clock(batch, &c.reserved)
	c.look(batch, nil)
	batch.Queue("COMMIT")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		// A transaction that failed is still open. Without a rollback the pool would close the connection.
		rollBack(ctx, conn)
		return outcome(readOnly(conn.Conn(), translate(err)))
	}
	c.store.pushed(c.next, later)
	return nil
}

// settleBound settles in the caller's transaction.
func (c *exchange) settleBound(ctx context.Context) (driver.Exchanged, error) {
	only := driver.Exchange{Settle: c.x.Settle}
	if len(c.x.Touch)+len(c.x.Abandoned)+c.x.Requeue+c.x.Limit > 0 {
		return c.answer, errors.New("in a caller's transaction jobs can only be settled")
	}
	c.x, c.done = only, nil
	for _, step := range c.settle() {
		rows, err := c.store.DB.Query(ctx, c.store.names.In(step.query), step.args...)
		if err == nil {
			err = c.note(rows)
		}
		if err != nil {
			return driver.Exchanged{}, err
		}
	}
	if notify, _ := c.store.toNotifyNext(c.next); notify != nil {
		if _, err := c.store.DB.Exec(ctx, notifySQL, c.store.notifier.channel, notify); err != nil {
			return driver.Exchanged{}, err
		}
	}
	c.store.pushed(c.next, nil)
	c.explain(ctx, c.store.DB)
	return c.answer, nil
}
