package mysqlqueue

import (
	"context"
	"errors"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Exchange implements driver.Store.
//
// No statement waits for a row lock, and none locks what it does not change: ids are looked up by an index without locks, locked by the
// primary key with SKIP LOCKED, and changed by the primary key. Shorter ways were measured, with 8 sessions, expiring jobs and 40,000 rows.
// A scan of jobs_ready that locks keeps the locks of all reserved rows that it passes, on MariaDB until the end of the transaction, so that
// 36,000 settles of others had to be repeated and 46 transactions were deadlocks; on both servers it keeps the lock of the index entry of
// every row that it skips, for which the settle of its holder then waits. An UPDATE of what has expired, joined to a subquery with SKIP
// LOCKED, lost 6,000 to 16,000 settles and had up to 400 deadlocks; an UPDATE of ids that are not locked before had up to 1,400. This way
// was not slower, and had no deadlocks except very few on MariaDB, where two SKIP LOCKED can take each other for one.
func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	if s.bound != nil {
		return s.settleBound(ctx, x)
	}
	if _, err := s.session(ctx, s.DB); err != nil {
		return driver.Exchanged{}, err
	}
	if x.Limit > 0 && slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return r.Expire == 0 }) ||
		slices.ContainsFunc(x.Touch, func(t driver.Touch) bool { return t.Expire == 0 }) {
		s.known.endless.Store(true)
	}
	asked := lane.Names(x.Reserve)
	reads := len(x.Settle)+len(x.Touch)+len(x.Abandoned) == 0
	// Limits do not matter while there is nothing to reserve.
	planned := !x.Idle || !reads || slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return driver.IsPattern(r.Queue) })
	var plan *turn.Plan
	prepare := func() (err error) {
		if plan, err = s.known.turns.Prepare(ctx, s.Database, x); plan != nil {
			x.Reserve = plan.Reserve
		}
		return err
	}
	if planned {
		if err := prepare(); err != nil {
			return driver.Exchanged{}, err
		}
	}
	where, err := s.search(ctx, x, asked, plan)
	if err != nil {
		return driver.Exchanged{}, err
	}
	var seen *view
	if reads {
		if seen, err = s.look(ctx, s.DB, x, where, true); err != nil {
			return driver.Exchanged{}, err
		}
		if !seen.work(x) {
			seen.answer.Everything = where.everything()
			s.mark(where, x, &seen.answer, false)
			plan.Done(&seen.answer)
			seen.answer.Keep = s.known.turns.Keep()
			return seen.answer, nil
		}
	}
	if !planned {
		if err := prepare(); err != nil {
			return driver.Exchanged{}, err
		}
		if plan != nil {
			s.known.lanes.Forget(asked) // the scan before is not used
			if where, err = s.search(ctx, x, asked, plan); err != nil {
				return driver.Exchanged{}, err
			}
			seen = nil
		}
	}
	var answer driver.Exchanged
	full := false
	err = s.tx(ctx, func(db sqldb.DB) error {
		c := &exchange{store: s, db: db, x: x, where: where, seen: seen}
		seen = nil // a second try looks again
		err := c.run(ctx)
		answer, full = c.answer, c.full
		return err
	})
	if err != nil {
		return driver.Exchanged{}, err
	}
	s.mark(where, x, &answer, full)
	plan.Done(&answer)
	answer.Keep = s.known.turns.Keep()
	return answer, nil
}

const clockSQL = `SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`

// settleBound settles in the caller's transaction.
func (s *store) settleBound(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	if len(x.Touch)+len(x.Abandoned)+x.Requeue+x.Limit > 0 {
		return driver.Exchanged{}, errors.New("in a caller's transaction jobs can only be settled")
	}
	if _, err := s.session(ctx, s.DB); err != nil {
		return driver.Exchanged{}, err
	}
	c := &exchange{store: s, db: s.DB, x: x}
	err := c.settle(ctx)
	if err == nil {
		var clock int64
		err = one(ctx, s.DB, clockSQL, &clock)
		c.answer.Now = timeOf(clock)
	}
	if err != nil {
		return driver.Exchanged{}, err
	}
	return c.answer, nil
}

// exchange is an Exchange under way, in its transaction.
type exchange struct {
	store  *store
	db     sqldb.DB
	x      driver.Exchange
	where  *search
	seen   *view // what was found to do before the transaction; nil: not looked yet
	answer driver.Exchanged

	freed   map[lane.Lane]bool // the lanes of what was requeued
	giveUp  []int64            // jobs that were fetched and give up their keys
	bytes   int64              // of the payloads that were fetched
	fetched int                // how many jobs were, if Exchange.Bytes bounds them
	full    bool               // the next payload does not fit
}

func (c *exchange) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.settle, c.giveBack, c.lookAndReserve} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lookAndReserve requeues what has expired, and reserves jobs.
func (c *exchange) lookAndReserve(ctx context.Context) error {
	v, err := c.seen, error(nil)
	if v == nil {
		if v, err = c.store.look(ctx, c.db, c.x, c.where, len(c.where.part.Lanes) > 1); err != nil {
			return err
		}
	}
	lost, locked := c.answer.Lost, c.answer.Locked
	c.answer = v.answer
	c.answer.Lost, c.answer.Locked = lost, locked
	lanes := v.lanes
	if v.expired && c.x.Requeue > 0 {
		if c.answer.Requeued, err = c.requeue(ctx); err != nil {
			return err
		}
		lanes = c.withFreed(v)
	}
	if c.where.plan.Limited() {
		if err := c.where.plan.Permit(ctx, c.store.Database, c.db); err != nil {
			return err
		}
	}
	for _, l := range lanes {
		if len(c.answer.Reserved) >= c.x.Limit || c.full {
			break
		}
		n := min(c.x.Limit-len(c.answer.Reserved), c.where.plan.Left(l.Queue))
		if n == 0 {
			continue
		}
		jobs, err := c.fetch(ctx, l, n)
		if err != nil {
			return err
		}
		c.where.plan.Took(l.Queue, len(jobs))
		c.answer.Reserved = append(c.answer.Reserved, jobs...)
	}
	if c.full {
		c.answer.NextDue = c.answer.Now
	}
	c.answer.Everything = c.where.everything() && !c.full && len(c.answer.Reserved) < c.x.Limit
	if c.where.plan.Limited() {
		if err := c.where.plan.Spend(ctx, c.store.Database, c.db); err != nil {
			return err
		}
	}
	return c.reserve(ctx)
}

// ids returns the ids that a statement finds.
func (c *exchange) ids(ctx context.Context, statement string) ([]int64, error) {
	var ids []int64
	err := each(ctx, c.db, statement, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}
