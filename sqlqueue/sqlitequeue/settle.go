package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// errSomeLost: not all of exchange.deletes are held.
var errSomeLost = errors.New("some reservations are lost")

// deletes are the settlements by their numbers if they are all to delete jobs and nothing else; otherwise nil. The worker nearly always
// holds what it settles, so it is deleted and counted, and looked at before only when one is missing.
func (s *store) deletes(settlements []driver.Settlement) map[string][]int64 {
	if s.bound { // a caller's transaction cannot be repeated
		return nil
	}
	ids := map[string][]int64{}
	for _, end := range settlements {
		if end.Outcome != driver.Delete || end.Keep != nil || end.Push != nil {
			return nil
		}
		ids[end.By] = append(ids[end.By], end.ID)
	}
	return ids
}

// deleteHeld deletes the jobs of ?1, [id, …], that are reserved under the number ?2.
var deleteHeld = newStatement(`DELETE FROM "jobs" WHERE id IN (SELECT value FROM json_each(?1)) AND reserved_by = ?2`)

func (e *exchange) settle(ctx context.Context) error {
	if e.deletes == nil {
		return e.settleEach(ctx)
	}
	for by, ids := range e.deletes {
		deleted, err := e.db.Exec(ctx, e.sql.text[deleteHeld], toJSON(ids), by)
		if err != nil {
			return err
		}
		if deleted != int64(len(ids)) {
			return errSomeLost
		}
	}
	return nil
}

func (e *exchange) settleEach(ctx context.Context) error {
	reservations := make([]sqlqueue.Reservation, len(e.asked.Settle))
	for i, settlement := range e.asked.Settle {
		reservations[i] = settlement.Reservation
	}
	lost, err := e.lost(ctx, e.db, reservations)
	if err != nil {
		return err
	}
	var done []int64
	var next []driver.NewJob
	var released [][5]any
	var failed [][3]any
	var kept [][7]any
	for i, settlement := range e.asked.Settle {
		if lost[i] {
			e.answer.Lost = append(e.answer.Lost, settlement.Reservation)
			continue
		}
		switch id := settlement.ID; settlement.Outcome {
		case driver.Delete:
			done, next = append(done, id), append(next, settlement.Push...)
			if settlement.Keep != nil {
				kept = append(kept, e.kept(id, settlement.Keep))
			}
		case driver.Release:
			released = append(released, [5]any{
				id, e.now + settlement.Delay.Microseconds(), settlement.GiveBack, settlement.Exception, settlement.KeepStarted,
			})
		case driver.Fail:
			failed = append(failed, [3]any{id, settlement.Error, settlement.Stack})
			done, next = append(done, id), append(next, settlement.Push...)
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
	if err := e.keep(ctx, kept); err != nil {
		return err
	}
	if err := e.delete(ctx, done); err != nil || next == nil {
		return err
	}
	_, err = e.pushIn(ctx, e.db, next)
	return err
}

// selectLost returns which of the reservations of ?1, ["<id> <reserved_by>", …], are not held, by their index. Texts take half the time of
// nested lists, and the join half the time of a subquery.
var selectLost = newStatement(`
SELECT given.key FROM json_each(?1) AS given LEFT JOIN "jobs" ON "jobs".id = CAST(given.value AS INTEGER)
WHERE "jobs".id || ' ' || reserved_by IS NOT given.value`)

// lost reports for each reservation whether it is lost. Of two that are the same, the second is.
func (s *store) lost(ctx context.Context, db sqldb.DB, reservations []sqlqueue.Reservation) ([]bool, error) {
	lost := make([]bool, len(reservations))
	if len(reservations) == 0 {
		return lost, nil
	}
	given := make([]string, len(reservations))
	seen := make(map[sqlqueue.Reservation]bool, len(reservations))
	for i, r := range reservations {
		given[i] = strconv.FormatInt(r.ID, 10) + " " + r.By
		lost[i] = seen[r]
		seen[r] = true
	}
	return lost, sqldb.Each(ctx, db, s.sql.text[selectLost], []any{toJSON(given)}, func(scan func(...any) error) error {
		var i int
		if err := scan(&i); err != nil {
			return err
		}
		lost[i] = true
		return nil
	})
}

// deleteJobs deletes the jobs of ?1, [id, …].
var deleteJobs = newStatement(`DELETE FROM "jobs" WHERE id IN (SELECT value FROM json_each(?1))`)

func (e *exchange) delete(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[deleteJobs], toJSON(ids))
	return err
}

// endReservation is what a statement writes that ends a reservation and leaves the job in the table.
const endReservation = `reserved = 0, reserved_at = NULL, reserved_by = NULL, expires_at = NULL`

// releaseJobs releases the jobs of ?1, [[id, available_at, whether to give back the attempt, whether to count an exception, whether started
// stays], …].
var releaseJobs = newStatement(`
UPDATE "jobs" SET ` + endReservation + `,
	started = started AND json_extract(given.value, '$[4]'), available_at = json_extract(given.value, '$[1]'),
	attempts = max(attempts - json_extract(given.value, '$[2]'), 0),
	exceptions = min(exceptions, 2147483646) + json_extract(given.value, '$[3]')
FROM json_each(?1) AS given
WHERE "jobs".id = json_extract(given.value, '$[0]')
RETURNING queue, priority`)

func (e *exchange) release(ctx context.Context, jobs [][5]any) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := e.putBack(ctx, releaseJobs, toJSON(jobs))
	return err
}

// putBack runs a statement that releases jobs and returns their queues and priorities: lanes that may have been forgotten while all their
// jobs were reserved.
func (e *exchange) putBack(ctx context.Context, statement *statement, args ...any) (count int, err error) {
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

// keptColumns are what a failed job keeps of the job.
const keptColumns = `queue, priority, payload, attempts, unique_key`

// insertFailed copies the jobs of ?1, [[id, error, stack], …], failed at ?2.
var insertFailed = newStatement(`
INSERT INTO "failed_jobs" (job_id, ` + keptColumns + `, error, stack, created_at, failed_at)
SELECT job.id, ` + keptColumns + `,
	json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'), job.created_at, ?2
FROM json_each(?1) AS given CROSS JOIN "jobs" AS job
WHERE job.id = json_extract(given.value, '$[0]')
ORDER BY given.key`)

func (e *exchange) fail(ctx context.Context, jobs [][3]any) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[insertFailed], toJSON(jobs), e.now)
	return err
}

// insertFinished copies the jobs of ?1, [[id, name, outcome, result, worker, started_at or null, keep_until], …], finished at ?2.
var insertFinished = newStatement(`
INSERT INTO "job_finished" (job_id, queue, name, priority, payload, attempts, outcome, result, worker, created_at, started_at,
	finished_at, keep_until)
SELECT job.id, queue, json_extract(given.value, '$[1]'), priority, payload, attempts, json_extract(given.value, '$[2]'),
	json_extract(given.value, '$[3]'), json_extract(given.value, '$[4]'), created_at,
	coalesce(json_extract(given.value, '$[5]'), reserved_at), ?2, json_extract(given.value, '$[6]')
FROM json_each(?1) AS given CROSS JOIN "jobs" AS job
WHERE job.id = json_extract(given.value, '$[0]')
ORDER BY given.key`)

// kept is a job for insertFinished.
func (e *exchange) kept(id int64, k *driver.Keep) [7]any {
	row := [7]any{id, k.Name, k.Outcome, nil, k.Worker, nil, e.now + k.For.Microseconds()}
	if k.Result != nil {
		row[3] = string(k.Result)
	}
	if !k.Started.IsZero() {
		row[5] = k.Started.UnixMicro()
	}
	return row
}

func (e *exchange) keep(ctx context.Context, jobs [][7]any) error {
	if len(jobs) == 0 {
		return nil
	}
	_, err := e.db.Exec(ctx, e.sql.text[insertFinished], toJSON(jobs), e.now)
	return err
}
