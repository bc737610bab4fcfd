package mysqlqueue

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// withFreed returns the lanes in which jobs are due, and those of the jobs that were requeued, which are due now.
func (c *exchange) withFreed(v *view) []lane.Lane {
	queues := lane.Names(c.x.Reserve)
	lanes := slices.Clone(v.lanes)
	for l := range c.freed {
		if !slices.Contains(queues, l.Queue) || sqldb.Stopped(v.controls, l.Queue, c.x.Force) {
			continue
		}
		if !c.where.part.Many() || slices.Contains(c.where.part.Lanes, l) { // the others' turn comes
			lanes = append(lanes, l)
		}
	}
	order := make(map[string]int, len(queues))
	for i, queue := range queues {
		order[queue] = i
	}
	slices.SortFunc(lanes, func(a, b lane.Lane) int {
		return cmp.Or(cmp.Compare(order[a.Queue], order[b.Queue]), cmp.Compare(a.Priority, b.Priority))
	})
	return c.where.plan.Sort(slices.Compact(lanes))
}

// The index does not have reserved, because every reservation and release would change it then: a drain was a third slower with it, and
// also without the hint. %[1]s queue, %[2]d priority, %[3]s where to go on, %[4]d how many.
const dueSQL = `
SELECT id, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at) FROM {jobs} FORCE INDEX ({jobs_ready})
WHERE queue = %[1]s AND priority = %[2]d AND available_at <= UTC_TIMESTAMP(6) AND reserved = 0
    AND id BETWEEN 1 AND 9223372036854775807%[3]s
ORDER BY available_at, id LIMIT %[4]d`

// %[1]s queue, %[2]d priority, %[3]s ids, %[4]d how many, %[5]s the payload, or NULL if it is read later.
const fetchSQL = `
SELECT id, %[5]s, LENGTH(payload), attempts, exceptions, started <> 0, unique_key, unique_until = 1, ` +
	`TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at),
    TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))
FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN (%[3]s) AND queue = %[1]s AND priority = %[2]d AND available_at <= UTC_TIMESTAMP(6) AND reserved = 0
LIMIT %[4]d FOR UPDATE SKIP LOCKED`

// fetch locks up to n jobs of a lane that are due, and returns them as they will be when they are reserved.
func (c *exchange) fetch(ctx context.Context, l lane.Lane, n int) ([]sqlqueue.Job, error) {
	var jobs []sqlqueue.Job
	_, err := c.claim(ctx, n, "available_at", c.where.scan.From[l], &c.where.took, func(goOn string, size int) string {
		return c.store.sql(dueSQL, text(l.Queue), l.Priority, goOn, size)
	}, func(ids []int64, n int) (locked []int64, err error) {
		for len(ids) > 0 && len(locked) < n && !c.full {
			part := ids[:min(len(ids), c.fitting())]
			ids = ids[len(part):]
			more, err := c.fetchPart(ctx, l, part, n-len(locked))
			if err != nil {
				return nil, err
			}
			for i := range more {
				locked = append(locked, more[i].ID)
			}
			jobs = append(jobs, more...)
		}
		return locked, nil
	})
	slices.SortFunc(jobs, inOrder)
	return jobs, err
}

func inOrder(a, b sqlqueue.Job) int {
	return cmp.Or(a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
}

// fitting returns how many jobs to lock at a time, from the size of the payloads that were reserved last.
func (c *exchange) fitting() int {
	const unknown = 20
	if c.x.Bytes == 0 {
		return mostIDs
	}
	if average := c.store.known.payload.Load(); average > 0 {
		return int(max(1, min(mostIDs, (c.x.Bytes-c.bytes)/average+1)))
	}
	return unknown
}

// fetchPart locks up to n of the jobs that are due. If their payloads do not fit together with those that were fetched before, it returns
// the first jobs only, and the others stay as they are.
func (c *exchange) fetchPart(ctx context.Context, l lane.Lane, ids []int64, n int) ([]sqlqueue.Job, error) {
	payload := "payload"
	if c.x.Bytes > 0 { // so that not too much is read in vain
		const short = 4 << 10
		payload = fmt.Sprintf("IF(LENGTH(payload) <= %d, payload, NULL)", max(short, (c.x.Bytes-c.bytes)/int64(len(ids))))
	}
	var giveUp []int64 // those whose keys end with the reservation
	jobs, lengths := make([]sqlqueue.Job, 0, len(ids)), make(map[int64]int64, len(ids))
	statement := c.store.sql(fetchSQL, text(l.Queue), l.Priority, integers(ids), n, payload)
	if err := each(ctx, c.db, statement, func(scan func(...any) error) error {
		j := sqlqueue.Job{Queue: l.Queue, Priority: l.Priority, Reserved: true, ReservedBy: c.x.Number}
		var payload []byte
		var uniqueKey sql.NullString
		var availableAt, createdAt sql.NullInt64
		var length, reservedAt int64
		var untilStarted bool
		err := scan(&j.ID, &payload, &length, &j.Attempts, &j.Exceptions, &j.Started, &uniqueKey, &untilStarted, &availableAt,
			&createdAt, &reservedAt)
		j.Payload, j.UniqueKey = valid(payload), strings.ToValidUTF8(uniqueKey.String, "\uFFFD")
		j.AvailableAt, j.CreatedAt, j.ReservedAt = timeOrZero(availableAt), timeOrZero(createdAt), timeOf(reservedAt)
		j.Attempts = min(j.Attempts+1, mostAttempts)
		jobs, lengths[j.ID] = append(jobs, j), length
		if untilStarted && uniqueKey.Valid {
			giveUp = append(giveUp, j.ID)
		}
		return err
	}); err != nil || len(jobs) == 0 {
		return jobs, err
	}
	if giveUp != nil {
		var err error
		if jobs, err = c.lockKeys(ctx, jobs, giveUp); err != nil || len(jobs) == 0 {
			return jobs, err
		}
	}
	if c.x.Bytes == 0 {
		return jobs, nil
	}
	slices.SortFunc(jobs, inOrder)
	var total int64
	for _, length := range lengths {
		total += length
	}
	c.store.known.payload.Store(max(1, total/int64(len(jobs))))

	var later []int64
	for i := range jobs {
		length := lengths[jobs[i].ID]
		if c.full = c.bytes+length > c.x.Bytes && len(c.answer.Reserved)+c.fetched > 0; c.full {
			jobs = jobs[:i]
			break
		}
		c.bytes += length
		c.fetched++
		if jobs[i].Payload == nil {
			later = append(later, jobs[i].ID)
		}
	}
	if later == nil {
		return jobs, nil
	}
	payloads := map[int64][]byte{}
	err := each(ctx, c.db, c.store.sql(payloadsSQL, integers(later)), func(scan func(...any) error) error {
		var id int64
		var payload []byte
		err := scan(&id, &payload)
		payloads[id] = valid(payload)
		return err
	})
	for i := range jobs {
		if jobs[i].Payload == nil {
			jobs[i].Payload = payloads[jobs[i].ID]
		}
	}
	return jobs, err
}

// valid returns a payload in UTF-8: MariaDB allows half surrogate pairs.
func valid(payload []byte) []byte {
	if utf8.Valid(payload) {
		return payload
	}
	return bytes.ToValidUTF8(payload, []byte("\uFFFD"))
}

// %[1]s ids, of jobs that are locked.
const payloadsSQL = `
SELECT id, payload FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s)`

// mostAttempts is the greatest number that the column attempts can have.
const mostAttempts = 1<<32 - 1

// %[1]s reserved_at, %[2]s number, %[3]s expires_at, %[4]s ids. The condition on reserved makes sure that a job has one owner: TiDB accepts
// SKIP LOCKED and ignores it.
const reserveSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET reserved = 1, attempts = LEAST(attempts + 1, 4294967295), reserved_at = %[1]s, reserved_by = %[2]s, expires_at = %[3]s
WHERE id IN (%[4]s) AND reserved = 0`

// %[1]s ids, %[2]s number.
const reservedSQL = `
SELECT id FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s) AND reserved_by = %[2]s`

// reserve writes the reservations of the jobs that were fetched, and drops the jobs whose rows it did not change.
func (c *exchange) reserve(ctx context.Context) error {
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
	return c.clearKeys(ctx)
}
