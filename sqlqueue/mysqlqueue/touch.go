package mysqlqueue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// progress writes how far jobs are whose reservations are held.
func (c *exchange) progress(ctx context.Context, held func(sqlqueue.Reservation) bool) error {
	var rows []string
	for _, t := range c.x.Touch {
		if t.Progress != nil && held(t.Reservation) {
			rows = append(rows, fmt.Sprintf("(%d, %s, %s, %s)",
				t.ID, strconv.FormatFloat(t.Progress.Fraction, 'f', -1, 64), text(t.Progress.Text), now))
		}
	}
	for part := range slices.Chunk(rows, mostIDs) {
		statement := c.store.sql("INSERT INTO {job_progress} (job_id, fraction, text, at) VALUES ") + strings.Join(part, ", ") +
			" ON DUPLICATE KEY UPDATE fraction = VALUES(fraction), text = VALUES(text), at = VALUES(at)"
		if _, err := c.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
