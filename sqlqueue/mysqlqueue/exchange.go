package mysqlqueue

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Exchange is that of sqlqueue.Store.
//
// No statement waits for a row lock, and none locks what it does not change: ids are looked up by an index without locks, locked by the
// primary key with SKIP LOCKED, and changed by the primary key. The shorter ways were measured with 8 sessions, expiring jobs and 40,000
// rows. To lock while scanning jobs_ready keeps, on MariaDB until the end of the transaction, the locks of all reserved rows that are
// passed, so that 36,000 settles of others had to be repeated and 46 transactions were deadlocks; on both servers it keeps the lock of
// the index entry of every row that is skipped, for which the settle of its holder then waits. An UPDATE joined to a subquery with SKIP
// LOCKED, for what expired, lost 6,000 to 16,000 settles and had up to 400 deadlocks; an UPDATE of ids that are not locked before, up to
// 1,400. This way had none, but for very few on MariaDB, where two SKIP LOCKED can take each other for a deadlock; and it was not slower.
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
	where, err := s.search(ctx, x)
	if err != nil {
		return driver.Exchanged{}, err
	}
	var seen *view
	if x.Worker == nil && x.Unseen == 0 && x.OldCounts == 0 && len(x.Counts)+len(x.Settle)+len(x.Touch)+len(x.Abandoned) == 0 {
		if seen, err = s.look(ctx, s.DB, x, where, true); err != nil {
			return driver.Exchanged{}, err
		}
		if !seen.work(x) {
			seen.answer.Everything = where.everything() && !seen.left
			s.mark(where, x, &seen.answer)
			return seen.answer, nil
		}
	}
	var answer driver.Exchanged
	err = s.tx(ctx, func(db sqldb.DB) error {
		c := &conversation{store: s, db: db, x: x, where: where, seen: seen}
		seen = nil // it is too old for another try
		err := c.run(ctx)
		answer = c.answer
		return err
	})
	if err != nil {
		return driver.Exchanged{}, err
	}
	s.mark(where, x, &answer)
	return answer, nil
}

const clockSQL = `SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`

// settleBound settles in the caller's transaction.
func (s *store) settleBound(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	if x.Worker != nil || x.Unseen+x.OldCounts > 0 || len(x.Counts)+len(x.Touch)+len(x.Abandoned)+x.Requeue+x.Limit > 0 {
		return driver.Exchanged{}, errors.New("in a caller's transaction jobs can be settled only")
	}
	c := &conversation{store: s, db: s.DB, x: x}
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

// conversation is one Exchange in its transaction.
type conversation struct {
	store  *store
	db     sqldb.DB
	x      driver.Exchange
	where  *search
	seen   *view // nil: to be looked at
	answer driver.Exchanged

	freed   map[lane.Lane]bool // of what was requeued
	bytes   int64              // of payloads that were fetched
	fetched int                // jobs, where their bytes are counted
	full    bool               // no further job may be fetched: it would be too long
}

func (c *conversation) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{c.worker, c.unseen, c.counts, c.settle, c.giveBack, c.lookAndReserve} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// %[1]s id.
const lockWorkerSQL = `
SELECT 1 FROM {job_workers} WHERE id = %[1]s FOR UPDATE SKIP LOCKED`

// %[1]s id, %[2]s name, %[3]s host, %[4]d pid, %[5]s queues, %[6]d concurrency.
const seenSQL = `
UPDATE {job_workers} SET name = %[2]s, host = %[3]s, pid = %[4]d, queues = %[5]s, concurrency = %[6]d, seen_at = UTC_TIMESTAMP(6)
WHERE id = %[1]s`

// The same. A row that is there and locked is left as it is.
const registerSQL = `
INSERT INTO {job_workers} (id, name, host, pid, queues, concurrency)
SELECT %[1]s, %[2]s, %[3]s, %[4]d, %[5]s, %[6]d FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {job_workers} WHERE id = %[1]s)`

// %[1]s microseconds.
const unseenSQL = `
SELECT id FROM {job_workers} WHERE seen_at < UTC_TIMESTAMP(6) - INTERVAL %[1]d MICROSECOND`

// %[1]s id.
const leaveSQL = `
DELETE FROM {job_workers} WHERE id = %[1]s`

// unseen deletes the rows of workers that were not seen for long. Rows that are locked by others are left: they are looked up without
// locks and locked one by one.
func (c *conversation) unseen(ctx context.Context) error {
	if c.x.Unseen == 0 {
		return nil
	}
	var gone []string
	if err := each(ctx, c.db, c.store.sql(unseenSQL, c.x.Unseen.Microseconds()), func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		gone = append(gone, id)
		return err
	}); err != nil {
		return err
	}
	for _, id := range gone {
		if err := c.leave(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) counts(ctx context.Context) error { return c.store.WriteCounts(ctx, c.db, c.x) }

// leave deletes a worker's row, unless it is locked.
func (c *conversation) leave(ctx context.Context, id string) error {
	locked, err := c.ids(ctx, c.store.sql(lockWorkerSQL, text(id)))
	if err == nil && len(locked) > 0 {
		_, err = c.db.Exec(ctx, c.store.sql(leaveSQL, text(id)))
	}
	return err
}

func (c *conversation) worker(ctx context.Context) error {
	w := c.x.Worker
	if w == nil {
		return nil
	}
	if c.x.Leave {
		return c.leave(ctx, w.ID)
	}
	locked, err := c.ids(ctx, c.store.sql(lockWorkerSQL, text(w.ID)))
	if err != nil {
		return err
	}
	statement := registerSQL
	if len(locked) > 0 {
		statement = seenSQL
	}
	_, err = c.db.Exec(ctx, c.store.sql(statement, text(w.ID), text(w.Name), text(w.Host), w.PID, text(strings.Join(w.Queues, ",")), w.Concurrency))
	return err
}
