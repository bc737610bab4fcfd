package mysqlqueue

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// mostText bounds the bytes of errors and stacks in one statement that has more than one job.
const mostText = 256 << 10

// settle settles and touches. A reservation that is in both is settled.
func (c *exchange) settle(ctx context.Context) error {
	locked, err := c.lock(ctx)
	if err != nil {
		return err
	}
	ended := map[sqlqueue.Reservation]bool{}
	var ends, releases, fails []driver.Settlement
	touches := map[end][]sqlqueue.Reservation{}
	for _, s := range c.x.Settle {
		if !locked[s.Reservation] || ended[s.Reservation] {
			continue
		}
		ended[s.Reservation] = true
		switch s.Outcome {
		case driver.Release:
			releases = append(releases, s)
		case driver.Fail:
			fails = append(fails, s)
			ends = append(ends, s)
		case driver.Delete:
			ends = append(ends, s)
		}
	}
	for _, t := range c.x.Touch {
		if locked[t.Reservation] && !ended[t.Reservation] {
			to := end{t.Expire, t.Start}
			touches[to] = append(touches[to], t.Reservation)
		}
	}
	if err := c.fail(ctx, fails); err != nil {
		return err
	}
	if err := c.keep(ctx, ends); err != nil {
		return err
	}
	if err := c.delete(ctx, ends); err != nil {
		return err
	}
	if err := c.pushNext(ctx, ends); err != nil {
		return err
	}
	if err := c.release(ctx, releases); err != nil {
		return err
	}
	for to, reservations := range touches {
		if err := c.touch(ctx, to, reservations); err != nil {
			return err
		}
	}
	return c.progress(ctx, func(r sqlqueue.Reservation) bool { return locked[r] && !ended[r] })
}

// lock locks what is to be settled or touched, and finds out whether the rest is lost, or locked by others.
func (c *exchange) lock(ctx context.Context) (map[sqlqueue.Reservation]bool, error) {
	asked := map[sqlqueue.Reservation]bool{} // whether it is to be deleted
	for _, t := range c.x.Touch {
		asked[t.Reservation] = false
	}
	for _, s := range c.x.Settle {
		asked[s.Reservation] = asked[s.Reservation] || s.Outcome != driver.Release
	}
	locked := map[sqlqueue.Reservation]bool{}
	for part := range slices.Chunk(sorted(asked), mostIDs) {
		if err := c.lockPart(ctx, part, asked, locked); err != nil {
			return nil, err
		}
	}
	return locked, nil
}

// A condition on more than the id keeps MySQL from scanning the whole primary key if that looks cheaper than a list of ids: it ignores
// FORCE INDEX if an index has all columns of a statement.
//
// %[1]s ids, %[2]s numbers.
const lockSQL = `
SELECT id, reserved_by, IF(unique_key IS NULL, NULL, queue), unique_key FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s)
ORDER BY id FOR UPDATE SKIP LOCKED`

// A push of the same key locks only the entry in this index, until its transaction ends, which may be long. A DELETE of the job would wait
// for that. %[1]s conditions, %[2]d whether the jobs are reserved.
const lockKeysSQL = `
SELECT id FROM {jobs} FORCE INDEX ({jobs_unique}) WHERE (%[1]s) AND reserved = %[2]d FOR UPDATE SKIP LOCKED`

// %[1]s ids, %[2]s numbers.
const stillSQL = `
SELECT id, reserved_by FROM {jobs} FORCE INDEX (PRIMARY) WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s)`

func (c *exchange) lockPart(ctx context.Context, part []sqlqueue.Reservation, asked, locked map[sqlqueue.Reservation]bool) error {
	var keys []string
	keyed := map[int64]sqlqueue.Reservation{} // those that are to be deleted and have a unique key
	if err := each(ctx, c.db, c.store.sql(lockSQL, idsOf(part), numbersOf(part)), func(scan func(...any) error) error {
		var r sqlqueue.Reservation
		var queue, key sql.NullString
		err := scan(&r.ID, &r.By, &queue, &key)
		r.By = unpadded(r.By)
		if toDelete, ok := asked[r]; ok {
			locked[r] = true
			if toDelete && key.Valid {
				keyed[r.ID] = r
				keys = append(keys, fmt.Sprintf("queue = %s AND unique_key = %s", text(queue.String), text(key.String)))
			}
		}
		return err
	}); err != nil {
		return err
	}
	if len(keys) > 0 {
		free, err := c.ids(ctx, c.store.sql(lockKeysSQL, strings.Join(keys, " OR "), 1))
		if err != nil {
			return err
		}
		for id, r := range keyed {
			if !slices.Contains(free, id) {
				delete(locked, r)
			}
		}
	}
	left := slices.DeleteFunc(part, func(r sqlqueue.Reservation) bool { return locked[r] })
	if len(left) == 0 {
		return nil
	}
	still := map[sqlqueue.Reservation]bool{}
	if err := each(ctx, c.db, c.store.sql(stillSQL, idsOf(left), numbersOf(left)), func(scan func(...any) error) error {
		var r sqlqueue.Reservation
		err := scan(&r.ID, &r.By)
		r.By = unpadded(r.By)
		still[r] = true
		return err
	}); err != nil {
		return err
	}
	for _, r := range left {
		if still[r] {
			c.answer.Locked = append(c.answer.Locked, r)
		} else {
			c.answer.Lost = append(c.answer.Lost, r)
		}
	}
	return nil
}

// %[1]s ids, %[2]s numbers. A hint needs the form of DELETE that names a table.
const deleteSQL = `
DELETE j FROM {jobs} j FORCE INDEX (PRIMARY) WHERE j.id IN (%[1]s) AND j.reserved = 1 AND j.reserved_by IN (%[2]s)`

func (c *exchange) delete(ctx context.Context, settlements []driver.Settlement) error {
	for part := range slices.Chunk(settlements, mostIDs) {
		reservations := reservationsOf(part)
		if _, err := c.db.Exec(ctx, c.store.sql(deleteSQL, idsOf(reservations), numbersOf(reservations))); err != nil {
			return err
		}
	}
	return nil
}

// pushNext pushes what comes after jobs that have ended.
func (c *exchange) pushNext(ctx context.Context, ended []driver.Settlement) error {
	var jobs []driver.NewJob
	for _, s := range ended {
		jobs = append(jobs, s.Push...)
	}
	if jobs == nil {
		return nil
	}
	_, err := c.store.pushIn(ctx, c.db, jobs)
	return err
}

// endReservation is what a statement writes that ends a reservation and leaves the job in the table.
const endReservation = `reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL`

// %[1]s ids, %[2]s numbers, %[3]s delays in microseconds, %[4]s attempts to give back, %[5]s exceptions to count, %[6]s
// whether started stays.
const releaseSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY)
SET ` + endReservation + `, started = IF(%[6]s, started, 0),
    available_at = UTC_TIMESTAMP(6) + INTERVAL %[3]s MICROSECOND, attempts = attempts - LEAST(attempts, %[4]s),
    exceptions = LEAST(exceptions + %[5]s, 4294967295)
WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s)`

func (c *exchange) release(ctx context.Context, settlements []driver.Settlement) error {
	for part := range slices.Chunk(settlements, mostIDs) {
		var delays, back, exceptions, started strings.Builder
		for _, s := range part {
			if s.Delay > 0 {
				fmt.Fprintf(&delays, " WHEN %d THEN %d", s.ID, s.Delay.Microseconds())
			}
			if s.GiveBack {
				fmt.Fprintf(&back, " WHEN %d THEN 1", s.ID)
			}
			if s.Exception {
				fmt.Fprintf(&exceptions, " WHEN %d THEN 1", s.ID)
			}
			if s.KeepStarted {
				fmt.Fprintf(&started, " WHEN %d THEN 1", s.ID)
			}
		}
		reservations := reservationsOf(part)
		statement := c.store.sql(releaseSQL, idsOf(reservations), numbersOf(reservations),
			byID(delays.String()), byID(back.String()), byID(exceptions.String()), byID(started.String()))
		if _, err := c.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// byID returns an expression that is a number for some ids, and 0 for the others.
func byID(whens string) string {
	if whens == "" {
		return "0"
	}
	return "CASE id" + whens + " ELSE 0 END"
}

// keptColumns are what a failed job keeps of the job.
const keptColumns = `queue, priority, payload, attempts, unique_key`

// A zero date, which some sql_modes allow, is replaced, because others refuse to insert it. %[1]s ids, %[2]s numbers, %[3]s errors,
// %[4]s stacks.
const failSQL = `
INSERT INTO {failed_jobs} (job_id, ` + keptColumns + `, error, stack, created_at, failed_at)
SELECT id, ` + keptColumns + `, CASE id%[3]s END, CASE id%[4]s END,
    IF(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) IS NULL, TIMESTAMP'0001-01-01 00:00:00', created_at), UTC_TIMESTAMP(6)
FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s) ORDER BY id`

// fail copies jobs to the failed jobs.
func (c *exchange) fail(ctx context.Context, settlements []driver.Settlement) error {
	for len(settlements) > 0 {
		n, size := 0, 0
		for n < min(len(settlements), mostIDs) && (n == 0 || size+len(settlements[n].Error)+len(settlements[n].Stack) <= mostText) {
			size += len(settlements[n].Error) + len(settlements[n].Stack)
			n++
		}
		part := settlements[:n]
		settlements = settlements[n:]
		var errs, stacks []any
		var whyError, whyStack strings.Builder
		when := func(to *strings.Builder, args *[]any, id int64, value string) {
			if value == "" {
				fmt.Fprintf(to, " WHEN %d THEN "+emptyText, id)
				return
			}
			fmt.Fprintf(to, " WHEN %d THEN ?", id)
			*args = append(*args, value)
		}
		for _, s := range part {
			when(&whyError, &errs, s.ID, s.Error)
			when(&whyStack, &stacks, s.ID, s.Stack)
		}
		reservations := reservationsOf(part)
		statement := c.store.sql(failSQL, idsOf(reservations), numbersOf(reservations), whyError.String(), whyStack.String())
		if _, err := c.db.Exec(ctx, statement, append(errs, stacks...)...); err != nil {
			return err
		}
	}
	return nil
}

// sorted returns the reservations by id, so that all lock in the same order.
func sorted(set map[sqlqueue.Reservation]bool) []sqlqueue.Reservation {
	list := make([]sqlqueue.Reservation, 0, len(set))
	for r := range set {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b sqlqueue.Reservation) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func reservationsOf(settlements []driver.Settlement) []sqlqueue.Reservation {
	list := make([]sqlqueue.Reservation, len(settlements))
	for i, s := range settlements {
		list[i] = s.Reservation
	}
	return list
}
