package mysqlqueue

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// lookAndReserve requeues and reserves what there is.
func (c *conversation) lookAndReserve(ctx context.Context) error {
	v, err := c.seen, error(nil)
	if v == nil {
		if v, err = c.store.look(ctx, c.db, c.x, c.where, len(c.where.lanes) > 1); err != nil {
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
	}
	if c.answer.Requeued > 0 { // they are due now
		lanes = slices.DeleteFunc(slices.Clone(c.where.lanes), func(l lane.Lane) bool { return stopped(v.answer.Controls, l.Queue, c.x.Force) })
	}
	for _, l := range lanes {
		if len(c.answer.Reserved) >= c.x.Limit {
			break
		}
		jobs, err := c.fetch(ctx, l, c.x.Limit-len(c.answer.Reserved))
		if err != nil {
			return err
		}
		c.answer.Reserved = append(c.answer.Reserved, jobs...)
	}
	return c.reserve(ctx)
}

// The index lacks reserved, because with it every reservation and release would change the index: a drain was a third slower then, as it was
// without the hint. %[1]s queue, %[2]d priority, %[3]s where to go on, %[4]d how many.
const dueSQL = `
SELECT id, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at) FROM {jobs} FORCE INDEX ({jobs_ready})
WHERE queue = %[1]s AND priority = %[2]d AND available_at <= UTC_TIMESTAMP(6) AND reserved = 0%[3]s
ORDER BY available_at, id LIMIT %[4]d`

// %[1]s queue, %[2]d priority, %[3]s ids, %[4]d how many.
const fetchSQL = `
SELECT id, payload, attempts, exceptions, started, unique_key, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at),
    TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))
FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN (%[3]s) AND queue = %[1]s AND priority = %[2]d AND available_at <= UTC_TIMESTAMP(6) AND reserved = 0
LIMIT %[4]d FOR UPDATE SKIP LOCKED`

// fetch locks up to n jobs of a lane that are due, and returns them as they will be.
func (c *conversation) fetch(ctx context.Context, l lane.Lane, n int) ([]sqlqueue.Job, error) {
	var jobs []sqlqueue.Job
	_, err := c.claim(ctx, n, "available_at", c.where.scan.From[l], &c.where.took, func(goOn string, size int) string {
		return c.store.sql(dueSQL, text(l.Queue), l.Priority, goOn, size)
	}, func(ids []int64, n int) ([]int64, error) {
		jobs = slices.Grow(jobs, len(ids))
		locked := make([]int64, 0, len(ids))
		err := each(ctx, c.db, c.store.sql(fetchSQL, text(l.Queue), l.Priority, integers(ids), n), func(scan func(...any) error) error {
			j := sqlqueue.Job{Queue: l.Queue, Priority: l.Priority, Reserved: true, ReservedBy: c.x.Number}
			var payload []byte
			var uniqueKey sql.NullString
			var availableAt, createdAt, reservedAt int64
			err := scan(&j.ID, &payload, &j.Attempts, &j.Exceptions, &j.Started, &uniqueKey, &availableAt, &createdAt, &reservedAt)
			j.Payload, j.UniqueKey = payload, uniqueKey.String
			j.AvailableAt, j.CreatedAt, j.ReservedAt = timeOf(availableAt), timeOf(createdAt), timeOf(reservedAt)
			j.Attempts++
			jobs, locked = append(jobs, j), append(locked, j.ID)
			return err
		})
		return locked, err
	})
	slices.SortFunc(jobs, func(a, b sqlqueue.Job) int {
		return cmp.Or(a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
	})
	return jobs, err
}

// claim locks the first n rows that a statement finds and others have not locked, and returns where the first is that it left; zero: it left
// none. Find is the statement, from a place on, in the order of a column and id, and took is told how long it took; lock locks up to n of the
// ids that are free, and returns them. After two tries in vain it offers more ids at a time, twice as many each time, and takes what it gets of
// them: many workers that want one job each would else try one by one.
func (c *conversation) claim(ctx context.Context, n int, column string, from time.Time, took *time.Duration,
	find func(goOn string, size int) string, lock func(ids []int64, n int) ([]int64, error),
) (left time.Time, err error) {
	const ahead = 20
	claimed := map[int64]bool{}
	inVain := 0
	for goOn := since(column, from); ; {
		size := min(max(n-len(claimed), ahead), mostIDs)
		var found, at []int64
		began := time.Now()
		if err := each(ctx, c.db, find(goOn, size), func(scan func(...any) error) error {
			var id, place int64
			err := scan(&id, &place)
			found, at = append(found, id), append(at, place)
			return err
		}); err != nil {
			return left, err
		}
		*took += time.Since(began)
		// A row that was found at one place may have had another when it was locked, and be found again there.
		free := slices.DeleteFunc(slices.Clone(found), func(id int64) bool { return claimed[id] })
		for len(free) > 0 && len(claimed) < n {
			need := n - len(claimed)
			part := free[:min(max(need, 1<<min(max(inVain-1, 0), 10)), len(free))]
			free = free[len(part):]
			locked, err := lock(part, need)
			if err != nil {
				return left, err
			}
			if inVain++; len(locked) > 0 {
				inVain = 0
			}
			for _, id := range locked {
				claimed[id] = true
			}
		}
		if first := slices.IndexFunc(found, func(id int64) bool { return !claimed[id] }); left.IsZero() && first >= 0 {
			left = timeOf(at[first])
		}
		if len(found) < size {
			return left, nil
		}
		last := timeOf(at[len(at)-1])
		if len(claimed) >= n {
			if left.IsZero() {
				left = last
			}
			return left, nil
		}
		goOn = fmt.Sprintf(" AND %[1]s >= %[2]s AND (%[1]s > %[2]s OR id > %[3]d)", column, momentOf(last), found[len(found)-1])
	}
}

// %[1]s reserved_at, %[2]s number, %[3]s expires_at, %[4]s ids. The condition on reserved is what makes owners single: TiDB reads SKIP
// LOCKED and does not heed it.
const reserveSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET reserved = 1, attempts = attempts + 1, reserved_at = %[1]s, reserved_by = %[2]s, expires_at = %[3]s
WHERE id IN (%[4]s) AND reserved = 0`

// %[1]s ids, %[2]s number.
const reservedSQL = `
SELECT id FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s) AND reserved_by = %[2]s`

// reserve writes the reservations of what was fetched, and keeps of the jobs those whose rows were really changed.
func (c *conversation) reserve(ctx context.Context) error {
	if len(c.answer.Reserved) == 0 {
		return nil
	}
	at := c.answer.Reserved[len(c.answer.Reserved)-1].ReservedAt
	expires := map[string]time.Time{}
	byExpiry := map[time.Time][]int64{}
	for _, r := range c.x.Reserve {
		if r.Expire != 0 {
			expires[r.Queue] = at.Add(r.Expire).Truncate(time.Microsecond)
		}
	}
	for i := range c.answer.Reserved {
		j := &c.answer.Reserved[i]
		j.ReservedAt, j.ExpiresAt = at, expires[j.Queue]
		byExpiry[j.ExpiresAt] = append(byExpiry[j.ExpiresAt], j.ID)
	}
	number := text(c.x.Number)
	for expiresAt, all := range byExpiry {
		literal := "NULL"
		if !expiresAt.IsZero() {
			literal = momentOf(expiresAt)
		}
		for ids := range slices.Chunk(all, mostIDs) {
			changed, err := c.db.Exec(ctx, c.store.sql(reserveSQL, momentOf(at), number, literal, integers(ids)))
			if err != nil {
				return err
			}
			if changed == int64(len(ids)) {
				continue
			}
			ours, err := c.ids(ctx, c.store.sql(reservedSQL, integers(ids), number))
			if err != nil {
				return err
			}
			c.answer.Reserved = slices.DeleteFunc(c.answer.Reserved, func(j sqlqueue.Job) bool {
				return slices.Contains(ids, j.ID) && !slices.Contains(ours, j.ID)
			})
		}
	}
	return nil
}

func momentOf(t time.Time) string { return fmt.Sprintf(moment, fmt.Sprint(t.UnixMicro())) }

// ids runs a statement that finds ids.
func (c *conversation) ids(ctx context.Context, statement string) ([]int64, error) {
	var ids []int64
	err := each(ctx, c.db, statement, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}
