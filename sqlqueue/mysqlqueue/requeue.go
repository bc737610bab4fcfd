package mysqlqueue

import (
	"context"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
)

// %[1]s where to go on, %[2]d how many, %[3]s when they had expired, %[4]s ids to leave out.
const expiredSQL = `
SELECT id, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', expires_at) FROM {jobs} FORCE INDEX ({jobs_expiry})
WHERE expires_at <= %[3]s AND reserved = 1 AND id NOT IN (%[4]s) AND id BETWEEN 1 AND 9223372036854775807%[1]s
ORDER BY expires_at, id LIMIT %[2]d`

// The condition on expires_at is checked again when the row is locked: a touch may have moved it. %[1]s ids, %[2]d how many,
// %[3]s when they had expired.
const lockExpiredSQL = `
SELECT id, queue, priority FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s) AND reserved = 1 AND expires_at <= %[3]s
LIMIT %[2]d FOR UPDATE SKIP LOCKED`

// %[1]s ids, %[2]d how many attempts to give back.
const freeSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET ` + endReservation + `, available_at = UTC_TIMESTAMP(6),
    attempts = attempts - LEAST(attempts, %[2]d)
WHERE id IN (%[1]s) AND reserved = 1`

// expiredAt is when a reservation must have expired to be released.
func expiredAt(x driver.Exchange) string {
	if x.Expired.IsZero() {
		return "UTC_TIMESTAMP(6)"
	}
	return "LEAST(" + momentOf(x.Expired) + ", UTC_TIMESTAMP(6))"
}

// requeue releases expired reservations, and returns how many.
func (c *exchange) requeue(ctx context.Context) (int, error) {
	c.freed = map[lane.Lane]bool{}
	var expired []int64
	var err error
	from := c.where.expiry.From[lane.Expiring]
	c.where.left, err = c.claim(ctx, c.x.Requeue, "expires_at", from, &c.where.expiryTook, func(goOn string, size int) string {
		return c.store.sql(expiredSQL, goOn, size, expiredAt(c.x), integers(c.x.Keep))
	}, func(ids []int64, n int) ([]int64, error) {
		var locked []int64
		err := each(ctx, c.db, c.store.sql(lockExpiredSQL, integers(ids), n, expiredAt(c.x)), func(scan func(...any) error) error {
			var id int64
			var of lane.Lane
			err := scan(&id, &of.Queue, &of.Priority)
			locked, c.freed[of] = append(locked, id), true
			return err
		})
		expired = append(expired, locked...)
		return locked, err
	})
	if err != nil {
		return 0, err
	}
	return len(expired), c.free(ctx, expired, 0)
}

// free releases jobs that are locked.
func (c *exchange) free(ctx context.Context, ids []int64, attempts int) error {
	for ids := range slices.Chunk(ids, mostIDs) {
		if _, err := c.db.Exec(ctx, c.store.sql(freeSQL, integers(ids), attempts)); err != nil {
			return err
		}
	}
	return nil
}

// By the index of reservations that expire. %[1]s numbers.
const abandonedSQL = `
SELECT id FROM {jobs} FORCE INDEX ({jobs_expiry})
WHERE expires_at IS NOT NULL AND reserved = 1 AND reserved_by IN (%[1]s) AND id BETWEEN 1 AND 9223372036854775807`

// No index has the reservations that never expire: this reads all rows. %[1]s numbers.
const abandonedForEverSQL = `
SELECT id FROM {jobs} WHERE expires_at IS NULL AND reserved = 1 AND reserved_by IN (%[1]s) AND id BETWEEN 1 AND 9223372036854775807`

// %[1]s ids, %[2]s numbers.
const lockAbandonedSQL = `
SELECT id FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s)
ORDER BY id FOR UPDATE SKIP LOCKED`

// giveBack releases what abandoned exchanges have reserved.
func (c *exchange) giveBack(ctx context.Context) error {
	if len(c.x.Abandoned) == 0 {
		return nil
	}
	numbers := texts(c.x.Abandoned)
	found, err := c.ids(ctx, c.store.sql(abandonedSQL, numbers))
	if err != nil {
		return err
	}
	if c.mayNeverExpire() {
		more, err := c.ids(ctx, c.store.sql(abandonedForEverSQL, numbers))
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	for ids := range slices.Chunk(found, mostIDs) {
		locked, err := c.ids(ctx, c.store.sql(lockAbandonedSQL, integers(ids), numbers))
		if err == nil {
			err = c.free(ctx, locked, 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayNeverExpire reports whether the worker's earlier exchanges may have made reservations that never expire: because one has asked for
// them, or because it is not known what they asked for.
func (c *exchange) mayNeverExpire() bool {
	return len(c.x.Reserve) == 0 || c.store.known.endless.Load()
}
