package mysqlqueue

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// %[1]s ids, %[2]s numbers, %[3]s the new end, %[4]s whether started.
const touchSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY) SET expires_at = %[3]s, started = %[4]s WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s)`

// end is what a touch writes: jobs with the same are written together.
type end struct {
	expire  time.Duration
	started bool
}

func (c *exchange) touch(ctx context.Context, to end, reservations []sqlqueue.Reservation) error {
	expiresAt, started := "NULL", "started"
	if to.expire != 0 {
		expiresAt = after(to.expire)
	}
	if to.started {
		started = "1"
	}
	for part := range slices.Chunk(reservations, mostIDs) {
		if _, err := c.db.Exec(ctx, c.store.sql(touchSQL, idsOf(part), numbersOf(part), expiresAt, started)); err != nil {
			return err
		}
	}
	return nil
}
