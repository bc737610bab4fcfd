package sqlitequeue

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Exchange: see sqlqueue.Store. Nothing is ever Locked.
func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	tells := len(x.Touch)+len(x.Abandoned) > 0
	switch {
	case s.bound && (tells || x.Requeue > 0 || x.Limit > 0):
		return driver.Exchanged{}, errors.New("in a transaction of the caller's, an exchange can only settle")
	case x.Limit > 0 && x.Number == "":
		return driver.Exchanged{}, errors.New("an exchange that reserves needs a number")
	case !s.bound && !tells && len(x.Settle) == 0:
		answer, work, err := s.look(ctx, x)
		if err != nil || !work {
			return answer, err
		}
	}
	var e *exchange
	err := s.promptly(ctx, func(tx sqldb.Executor) error {
		e = s.newExchange(sqldb.SQL(tx, translate), x)
		for _, step := range []func(context.Context) error{
			e.settle, e.touch, e.giveBack, e.requeue, e.wanted, e.control, e.findLanes, e.reserve, e.nextDue,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return driver.Exchanged{}, err
	}
	return e.answer, nil
}

// look answers an exchange that only asks, and tells whether there is anything to write, without being the writer.
func (s *store) look(ctx context.Context, x driver.Exchange) (answer driver.Exchanged, work bool, err error) {
	if err := whileBusy(ctx, time.Now(), func() error {
		if err := s.sql.prepare(ctx, s.pool); err != nil {
			return err
		}
		return s.file.check(ctx, s.pool)
	}); err != nil {
		return answer, false, err
	}
	e := s.newExchange(reader{sqldb.SQL(s.sql.prepared, translate)}, x)
	for _, step := range []func(context.Context) error{e.wanted, e.control, e.findLanes, e.nextDue} {
		if err := step(ctx); err != nil {
			return answer, false, err
		}
	}
	if due := e.answer.NextDue; x.Limit > 0 && !due.IsZero() && !due.After(e.answer.Now) {
		return answer, true, nil
	}
	expired, err := e.anyExpired(ctx)
	return e.answer, expired, err
}

// exchange is an Exchange under way.
type exchange struct {
	*store
	db     sqldb.DB
	asked  driver.Exchange
	answer driver.Exchanged
	now    int64
	open   map[string]driver.Reserve // queues to take jobs from, without those that are paused
	lanes  []lane.Lane               // theirs, in order
	bytes  int64                     // of the payloads that are reserved, if asked.Bytes counts
	full   bool                      // the next payload does not fit
}

func (s *store) newExchange(db sqldb.DB, x driver.Exchange) *exchange {
	now := time.Now().UnixMicro()
	return &exchange{store: s, db: db, asked: x, now: now, answer: driver.Exchanged{Now: fromMicros(now)}}
}

// selectWanted returns what concurrency is wanted of the worker ?1.
const selectWanted = `SELECT wanted_concurrency FROM "job_workers" WHERE id = ?1`

func (e *exchange) wanted(ctx context.Context) error {
	worker, _, _ := strings.Cut(e.asked.Number, "-")
	if worker == "" {
		return nil
	}
	return sqldb.Each(ctx, e.db, e.sql.text[selectWanted], []any{worker}, func(scan func(...any) error) error {
		var wanted sql.NullInt64
		err := scan(&wanted)
		e.answer.WantedConcurrency = int(wanted.Int64)
		return err
	})
}

func (e *exchange) settle(ctx context.Context) error {
	reservations := make([]sqlqueue.Reservation, len(e.asked.Settle))
	for i, settlement := range e.asked.Settle {
		reservations[i] = settlement.Reservation
	}
	lost, err := e.lost(ctx, e.db, reservations)
	if err != nil {
		return err
	}
	var done []int64
	var released [][5]any
	var failed [][3]any
	for i, settlement := range e.asked.Settle {
		if lost[i] {
			e.answer.Lost = append(e.answer.Lost, settlement.Reservation)
			continue
		}
		switch id := settlement.ID; settlement.Outcome {
		case driver.Delete:
			done = append(done, id)
		case driver.Release:
			released = append(released, [5]any{
				id, e.now + settlement.Delay.Microseconds(), settlement.GiveBack, settlement.Exception, settlement.KeepStarted,
			})
		case driver.Fail:
			failed = append(failed, [3]any{id, settlement.Error, settlement.Stack})
			done = append(done, id)
		default:
			return fmt.Errorf("job %d: %s %d: use Delete, Release or Fail", id, settlement.Outcome, int(settlement.Outcome))
		}
	}
	if err := e.release(ctx, released); err != nil {
		return err
	}
	if err := e.fail(ctx, failed); err != nil {
		return err
	}
	return e.delete(ctx, done)
}

// deleteJobs deletes the jobs of ?1, [id, …].
const deleteJobs = `DELETE FROM "jobs" WHERE id IN (SELECT value FROM json_each(?1))`

func (e *exchange) delete(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[deleteJobs], toJSON(ids))
	return err
}

// releaseJobs releases the jobs of ?1, [[id, available_at, whether to give back the attempt, whether to count an exception, whether started
// stays], …].
const releaseJobs = `
UPDATE "jobs" SET reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL,
	started = started AND json_extract(given.value, '$[4]'), available_at = json_extract(given.value, '$[1]'), attempts = max(attempts - json_extract(given.value, '$[2]'), 0),
	exceptions = min(exceptions, 2147483646) + json_extract(given.value, '$[3]')
FROM json_each(?1) AS given
WHERE "jobs".id = json_extract(given.value, '$[0]')
RETURNING queue, priority`

func (e *exchange) release(ctx context.Context, jobs [][5]any) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := e.putBack(ctx, releaseJobs, toJSON(jobs))
	return err
}

// putBack runs a statement that makes jobs wait again and returns their queues and priorities: lanes that may have been forgotten
// while all their jobs were reserved.
func (e *exchange) putBack(ctx context.Context, statement string, args ...any) (count int, err error) {
	err = sqldb.Each(ctx, e.db, e.sql.text[statement], args, func(scan func(...any) error) error {
		var l lane.Lane
		if err := scan(&l.Queue, &l.Priority); err != nil {
			return err
		}
		e.store.lanes.Learn(l.Queue, l.Priority)
		count++
		return nil
	})
	return count, err
}

// insertFailed copies the jobs of ?1, [[id, error, stack], …], failed at ?2.
const insertFailed = `
INSERT INTO "failed_jobs" (job_id, queue, priority, payload, attempts, unique_key, error, stack, created_at, failed_at)
SELECT job.id, job.queue, job.priority, job.payload, job.attempts, job.unique_key,
	json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'), job.created_at, ?2
FROM json_each(?1) AS given CROSS JOIN "jobs" AS job
WHERE job.id = json_extract(given.value, '$[0]')
ORDER BY given.key`

func (e *exchange) fail(ctx context.Context, jobs [][3]any) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[insertFailed], toJSON(jobs), e.now)
	return err
}

// touchJobs moves the ends of the reservations of the jobs of ?1, [[id, expires_at, whether started], …].
const touchJobs = `
UPDATE "jobs" SET expires_at = json_extract(given.value, '$[1]'), started = max(started, json_extract(given.value, '$[2]'))
FROM json_each(?1) AS given
WHERE "jobs".id = json_extract(given.value, '$[0]')`

func (e *exchange) touch(ctx context.Context) error {
	reservations := make([]sqlqueue.Reservation, len(e.asked.Touch))
	for i, touch := range e.asked.Touch {
		reservations[i] = touch.Reservation
	}
	lost, err := e.lost(ctx, e.db, reservations)
	if err != nil {
		return err
	}
	var jobs [][3]any
	for i, touch := range e.asked.Touch {
		if lost[i] {
			e.answer.Lost = append(e.answer.Lost, touch.Reservation)
			continue
		}
		jobs = append(jobs, [3]any{touch.ID, e.end(touch.Expire), touch.Start})
	}
	if len(jobs) == 0 {
		return nil
	}
	_, err = e.db.Exec(ctx, e.sql.text[touchJobs], toJSON(jobs))
	return err
}

// end returns when a reservation ends: nil for never.
func (e *exchange) end(expire time.Duration) any {
	if expire == 0 {
		return nil
	}
	return e.now + expire.Microseconds()
}

// giveBackJobs releases at ?2 what is reserved under the numbers of ?1, [reserved_by, …]. It walks over the reserved rows only.
const giveBackJobs = `
UPDATE "jobs" INDEXED BY "jobs_expiry" SET reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL,
	available_at = ?2, attempts = max(attempts - 1, 0)
WHERE reserved AND reserved_by IN (SELECT value FROM json_each(?1))
RETURNING queue, priority`

func (e *exchange) giveBack(ctx context.Context) error {
	if len(e.asked.Abandoned) == 0 {
		return nil
	}
	_, err := e.putBack(ctx, giveBackJobs, toJSON(e.asked.Abandoned), e.now)
	return err
}

// requeueJobs releases at ?1 at most ?2 reservations that had expired at ?3, except those of the jobs ?4, [id, …].
const requeueJobs = `
UPDATE "jobs" SET reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL, available_at = ?1
WHERE id IN (SELECT id FROM "jobs" WHERE reserved AND expires_at <= ?3
	AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY expires_at LIMIT ?2)
RETURNING queue, priority`

func (e *exchange) requeue(ctx context.Context) error {
	expired, err := e.anyExpired(ctx) // costs half of requeuing none
	if err != nil || !expired {
		return err
	}
	e.answer.Requeued, err = e.putBack(ctx, requeueJobs, e.now, e.asked.Requeue, e.expired(), toJSON(append([]int64{}, e.asked.Keep...)))
	return err
}

// expired is when a reservation must have expired to be released.
func (e *exchange) expired() int64 {
	if e.asked.Expired.IsZero() {
		return e.now
	}
	return min(e.asked.Expired.UnixMicro(), e.now)
}

// selectExpired returns a row if a reservation has expired at ?1.
const selectExpired = `SELECT 1 FROM "jobs" WHERE reserved AND expires_at <= ?1 LIMIT 1`

func (e *exchange) anyExpired(ctx context.Context) (expired bool, err error) {
	if e.asked.Requeue == 0 {
		return false, nil
	}
	err = sqldb.Each(ctx, e.db, e.sql.text[selectExpired], []any{e.expired()}, func(func(...any) error) error {
		expired = true
		return nil
	})
	return expired, err
}

// selectControls returns the controls at ?1 of the queues of ?2, [queue, …], as sqldb.ScanControl reads them.
const selectControls = `
SELECT queue, paused AND (paused_until IS NULL OR paused_until > ?1), paused_until, restarts, maintenance, expire_ms IS NOT NULL, expire_ms
FROM json_each(?2) AS given CROSS JOIN "job_queues" ON queue = given.value`

// control finds out which queues jobs may be taken from.
func (e *exchange) control(ctx context.Context) error {
	if len(e.asked.Reserve) == 0 {
		return nil
	}
	names := []string{""}
	for _, r := range e.asked.Reserve {
		names = append(names, r.Queue)
	}
	if err := sqldb.Each(ctx, e.db, e.sql.text[selectControls], []any{e.now, toJSON(names)}, func(scan func(...any) error) error {
		c, err := sqldb.ScanControl(scan)
		e.answer.Controls = append(e.answer.Controls, c)
		return err
	}); err != nil {
		return err
	}
	closed := map[string]bool{}
	for _, c := range e.answer.Controls {
		closed[c.Queue] = c.Paused || c.Maintenance && !e.asked.Force
	}
	e.open = map[string]driver.Reserve{}
	for _, r := range e.asked.Reserve {
		if !closed[""] && !closed[r.Queue] {
			e.open[r.Queue] = r
		}
	}
	return nil
}

// selectPriorities returns the priorities of the waiting jobs of the queue ?1, by one step in the index for each.
const selectPriorities = `
WITH RECURSIVE found (priority) AS (
	SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1
	UNION ALL
	SELECT (SELECT min(priority) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority > found.priority)
	FROM found WHERE found.priority IS NOT NULL
)
SELECT priority FROM found WHERE priority IS NOT NULL`

func (e *exchange) findLanes(ctx context.Context) error {
	var queues []string
	for _, r := range e.asked.Reserve {
		if _, ok := e.open[r.Queue]; ok {
			queues = append(queues, r.Queue)
		}
	}
	stale := queues
	if !e.asked.Everything {
		stale = e.store.lanes.Stale(queues, e.answer.Now)
	}
	e.answer.Everything = len(stale) == len(queues) // lanes are all that is remembered
	for _, queue := range stale {
		var priorities []int16
		if err := sqldb.Each(ctx, e.db, e.sql.text[selectPriorities], []any{queue}, func(scan func(...any) error) error {
			var priority int16
			err := scan(&priority)
			priorities = append(priorities, priority)
			return err
		}); err != nil {
			return err
		}
		e.store.lanes.Found(queue, priorities, e.answer.Now)
	}
	e.lanes = e.store.lanes.Of(queues)
	return nil
}

// reserveJobs reserves at most ?6 due jobs of the lane (?4, ?5): reserved at ?1, under the number ?2, until ?3.
const reserveJobs = `
UPDATE "jobs" SET reserved = 1, attempts = min(attempts, 2147483646) + 1, reserved_at = ?1, reserved_by = ?2, expires_at = ?3
WHERE id IN (
	SELECT id FROM "jobs" WHERE NOT reserved AND queue = ?4 AND priority = ?5 AND available_at <= ?1 ORDER BY available_at, id LIMIT ?6
)
RETURNING id, payload, attempts, exceptions, started, available_at, created_at, unique_key`

// selectSizes returns the lengths in bytes of the payloads that reserveJobs would reserve, in its order: of the lane (?2, ?3) at ?1, at most
// ?4.
const selectSizes = `
SELECT length(CAST(payload AS BLOB)) FROM "jobs" WHERE NOT reserved AND queue = ?2 AND priority = ?3 AND available_at <= ?1
ORDER BY available_at, id LIMIT ?4`

// errEnough ends a look at rows before the last.
var errEnough = errors.New("enough")

// fit returns how many jobs of a lane, at most most, can be reserved before their payloads are longer than Exchange.Bytes. No payload is
// read that lies behind.
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

func (e *exchange) reserve(ctx context.Context) error {
	// What all rows are read into. The numbers are as database/sql has them: it makes others by way of a text.
	var id, attempts, exceptions, availableAt, createdAt int64
	var payload []byte
	var started bool
	var uniqueKey sql.NullString
	columns := []any{&id, &payload, &attempts, &exceptions, &started, &availableAt, &createdAt, &uniqueKey}
	for _, l := range e.lanes {
		left := e.asked.Limit - len(e.answer.Reserved)
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
		expires := e.end(e.open[l.Queue].Expire)
		if expires != nil {
			common.ExpiresAt = fromMicros(expires.(int64))
		}
		args := []any{e.now, e.asked.Number, expires, l.Queue, l.Priority, left}
		from := len(e.answer.Reserved)
		e.answer.Reserved = slices.Grow(e.answer.Reserved, min(left, len(e.asked.Settle))) // a busy worker gets as many as it settles
		if err := sqldb.Each(ctx, e.db, e.sql.text[reserveJobs], args, func(scan func(...any) error) error {
			err := scan(columns...)
			job := common
			job.ID, job.Payload, job.UniqueKey, job.Started = id, payload, strings.ToValidUTF8(uniqueKey.String, "\uFFFD"), started
			if !utf8.Valid(payload) {
				job.Payload = bytes.ToValidUTF8(payload, []byte("\uFFFD"))
			}
			job.Attempts, job.Exceptions = int(attempts), int(exceptions)
			job.AvailableAt, job.CreatedAt = sqldb.Time(availableAt), sqldb.Time(createdAt)
			e.answer.Reserved = append(e.answer.Reserved, job)
			return err
		}); err != nil {
			return err
		}
		// RETURNING promises no order.
		slices.SortFunc(e.answer.Reserved[from:], func(a, b sqlqueue.Job) int {
			return cmp.Or(a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
		})
		if e.full {
			break
		}
	}
	return nil
}

// selectNextDue returns when the first waiting job of the lane (?1, ?2) is available.
const selectNextDue = `SELECT min(available_at) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority = ?2`

func (e *exchange) nextDue(ctx context.Context) error {
	if e.asked.Limit > 0 && len(e.answer.Reserved) == e.asked.Limit {
		return nil
	}
	for _, l := range e.lanes {
		if err := sqldb.Each(ctx, e.db, e.sql.text[selectNextDue], []any{l.Queue, l.Priority}, func(scan func(...any) error) error {
			var at sql.NullInt64
			err := scan(&at)
			if due := sqldb.Time(at.Int64); at.Valid && (e.answer.NextDue.IsZero() || due.Before(e.answer.NextDue)) {
				e.answer.NextDue = due
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func fromMicros(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
