package sqlitequeue

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// reserveJobs reserves at most ?6 due jobs of the lane (?4, ?5): reserved at ?1, under the number ?2, until ?3.
var reserveJobs = newStatement(`
UPDATE "jobs" SET reserved = 1, attempts = min(attempts, 2147483646) + 1, reserved_at = ?1, reserved_by = ?2, expires_at = ?3
WHERE id IN (
	SELECT id FROM "jobs" WHERE NOT reserved AND queue = ?4 AND priority = ?5 AND available_at <= ?1 ORDER BY available_at, id LIMIT ?6
)
RETURNING id, payload, attempts, exceptions, started, available_at, created_at, unique_key, unique_until = 1 AND unique_key IS NOT NULL`)

func (e *exchange) reserve(ctx context.Context) error {
	if !e.plan.Limited() {
		return e.take(ctx)
	}
	if err := e.plan.Permit(ctx, e.Database, e.db); err != nil {
		return err
	}
	if err := e.take(ctx); err != nil {
		return err
	}
	return e.plan.Spend(ctx, e.Database, e.db)
}

func (e *exchange) take(ctx context.Context) error {
	// All rows are read into these. The numbers are int64, as database/sql has them: it converts others by way of text.
	var id, attempts, exceptions, availableAt, createdAt int64
	var payload []byte
	var started, giveUp bool
	var uniqueKey sql.NullString
	var gaveUp []int64 // the jobs whose keys end with the reservation
	columns := []any{&id, &payload, &attempts, &exceptions, &started, &availableAt, &createdAt, &uniqueKey, &giveUp}
	for _, l := range e.lanes {
		left := e.asked.Limit - len(e.answer.Reserved)
		if left > 0 {
			if left = min(left, e.plan.Left(l.Queue)); left == 0 {
				continue
			}
		}
		if left > 0 && e.asked.Bytes > 0 {
			var err error
			if left, err = e.fit(ctx, l, left); err != nil {
				return err
			}
			if left == 0 && !e.full {
				continue
			}
		}
		if left <= 0 {
			break
		}
		common := sqlqueue.Job{Queue: l.Queue, Priority: l.Priority, Reserved: true, ReservedAt: e.answer.Now, ReservedBy: e.asked.Number}
		expires := e.end(e.expires[l.Queue])
		if expires != nil {
			common.ExpiresAt = fromMicros(expires.(int64))
		}
		args := []any{e.now, e.asked.Number, expires, l.Queue, l.Priority, left}
		from := len(e.answer.Reserved)
		e.answer.Reserved = slices.Grow(e.answer.Reserved, min(left, len(e.asked.Settle))) // a busy worker reserves as many as it settles
		if err := sqldb.Each(ctx, e.db, e.sql.text[reserveJobs], args, func(scan func(...any) error) error {
			err := scan(columns...)
			job := common
			job.ID, job.Payload, job.UniqueKey, job.Started = id, payload, strings.ToValidUTF8(uniqueKey.String, "\uFFFD"), started
			if !utf8.Valid(payload) {
				job.Payload = bytes.ToValidUTF8(payload, []byte("\uFFFD"))
			}
			job.Attempts, job.Exceptions = int(attempts), int(exceptions)
			job.AvailableAt, job.CreatedAt = sqldb.Time(availableAt), sqldb.Time(createdAt)
			if giveUp {
				gaveUp, job.UniqueKey = append(gaveUp, id), ""
			}
			e.answer.Reserved = append(e.answer.Reserved, job)
			return err
		}); err != nil {
			return err
		}
		e.plan.Took(l.Queue, len(e.answer.Reserved)-from)
		// RETURNING has no order.
		slices.SortFunc(e.answer.Reserved[from:], func(a, b sqlqueue.Job) int {
			return cmp.Or(a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
		})
		if e.full {
			break
		}
	}
	if gaveUp == nil {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[clearKeys], toJSON(gaveUp))
	return err
}

// selectSizes returns the lengths in bytes of the payloads that reserveJobs would reserve, in its order: of the lane (?2, ?3) at ?1, at
// most ?4.
var selectSizes = newStatement(`
SELECT length(CAST(payload AS BLOB)) FROM "jobs" WHERE NOT reserved AND queue = ?2 AND priority = ?3 AND available_at <= ?1
ORDER BY available_at, id LIMIT ?4`)

// errEnough ends the reading of rows before the last.
var errEnough = errors.New("enough")

// fit returns how many jobs of a lane, at most most, can be reserved before their payloads have more bytes than Exchange.Bytes. It reads no
// payload after the first that does not fit.
func (e *exchange) fit(ctx context.Context, l lane.Lane, most int) (n int, err error) {
	err = sqldb.Each(ctx, e.db, e.sql.text[selectSizes], []any{e.now, l.Queue, l.Priority, most}, func(scan func(...any) error) error {
		var size int64
		if err := scan(&size); err != nil {
			return err
		}
		if len(e.answer.Reserved)+n > 0 && e.bytes+size > e.asked.Bytes {
			e.full = true
			return errEnough
		}
		e.bytes += size
		n++
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}
