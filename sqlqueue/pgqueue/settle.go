package pgqueue

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Rows to settle or touch are locked first, with SKIP LOCKED, so that a transaction that holds one does not hold up the others. Each is
// looked up by its primary key, in a subquery of its own that the planner cannot turn into a scan of all reserved rows. If the number
// matches, the row is reserved: the table has a CHECK for that.

// lockToDelete locks the rows that a statement then deletes by their places, which takes three quarters of the time that it takes by id: a
// locked row stays in its place. $1 ids, $2 numbers.
const lockToDelete = `
WITH s AS MATERIALIZED (
    SELECT j.part, j.place FROM unnest($1::bigint[], $2::text[]) AS s(id, by)
    CROSS JOIN LATERAL (SELECT tableoid AS part, ctid AS place FROM "jobs" WHERE id = s.id ` +
	`AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)`

// Places are those of one part of a table that is partitioned or inherited from. If there are several the part is compared as well: with IS
// TRUE by a hash, without it by a join that compares every row with every other.
const deleteLocked = `
    DELETE FROM "jobs" WHERE ctid = ANY (ARRAY(SELECT place FROM s))
        AND (tableoid = (SELECT min(part) FROM s HAVING min(part) = max(part)) OR ((tableoid, ctid) IN (SELECT part, place FROM s)) IS TRUE)
    RETURNING id, reserved_by`

// deleteSQL is for a caller's transaction, whose planner has every choice.
const deleteSQL = lockToDelete + deleteLocked

// deleteManySQL is the same for an exchange, in which byIndexSQL leaves the planner no way but that by the primary key. It takes
// some 6 % less of the server's time for a whole exchange of a thousand.
const deleteManySQL = `
WITH s AS MATERIALIZED (
    SELECT j.tableoid AS part, j.ctid AS place FROM unnest($1::bigint[], $2::text[]) AS s(id, by)
    JOIN "jobs" j ON j.id = s.id AND j.reserved_by = s.by FOR UPDATE OF j SKIP LOCKED)` + deleteLocked

// endReservation is what a statement writes that ends a reservation and leaves the job in the table.
const endReservation = `reserved = false, reserved_at = NULL, reserved_by = NULL, expires_at = NULL`

// $1 ids, $2 numbers, $3 delays in microseconds, $4 how many attempts to give back, $5 how many exceptions to count, $6 whether started
// stays.
const releaseSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.by, s.delay, s.back, s.exceptions, s.started
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::smallint[], $6::boolean[])
        AS s(id, by, delay, back, exceptions, started)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)
UPDATE "jobs" j SET ` + endReservation + `, started = j.started AND s.started,
    available_at = clock_timestamp() + s.delay * interval '1 microsecond', attempts = greatest(j.attempts - s.back, 0),
    exceptions = least(j.exceptions, 2147483646) + s.exceptions
FROM s WHERE j.id = s.id
RETURNING j.id, s.by`

// keptColumns are the columns that a failed job has from the job, and from its settlement.
const keptColumns = `queue, priority, payload, attempts, unique_key, error, stack, created_at`

// $1 ids, $2 numbers, $3 errors, $4 stacks.
const failSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.by, s.error, s.stack FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS s(id, by, error, stack)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j),
d AS (
    DELETE FROM "jobs" j USING s WHERE j.id = s.id
    RETURNING j.id, ` + keptColumns + `, s.by),
f AS (
    INSERT INTO "failed_jobs" (job_id, ` + keptColumns + `)
    SELECT id, ` + keptColumns + ` FROM d)
SELECT id, by FROM d`

// What to push when the jobs of d have ended, as for pushSQL, and the ids and numbers of those. IS TRUE as in deleteLocked.
const nextSQL = `,
n AS (
    INSERT INTO "jobs" (queue, priority, payload, available_at)
    SELECT r.queue, r.priority, r.payload::json,
           coalesce(timestamptz 'epoch' + r.at * interval '1 microsecond', clock_timestamp() + r.delay * interval '1 microsecond')
    FROM unnest(%s::text[], %s::smallint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
         WITH ORDINALITY AS r(queue, priority, payload, at, delay, parent, by, n)
    WHERE ((r.parent, r.by) IN (SELECT id, by FROM d)) IS TRUE
    ORDER BY r.n)`

// The statements that end jobs, and push what comes next.
var (
	deleteThenSQL = lockToDelete + `,
d AS (` + strings.Replace(deleteLocked, "reserved_by", "reserved_by AS by", 1) + `)` +
		fmt.Sprintf(nextSQL, "$3", "$4", "$5", "$6", "$7", "$8", "$9") + `
SELECT id, by FROM d`
	failThenSQL = strings.Replace(failSQL, "\nSELECT id, by FROM d",
		fmt.Sprintf(nextSQL, "$5", "$6", "$7", "$8", "$9", "$10", "$11")+"\nSELECT id, by FROM d", 1)
	keepThenSQL = strings.Replace(keepSQL, "\nSELECT id, by FROM d",
		fmt.Sprintf(nextSQL, "$9", "$10", "$11", "$12", "$13", "$14", "$15")+"\nSELECT id, by FROM d", 1)
)

// What becomes of kept jobs. $1 ids, $2 numbers, $3 for how many microseconds, $4 names, $5 outcomes, $6 results, $7 workers, $8 when they
// were started, in microseconds since 1970, or NULL.
const keepSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.by, s.keep, s.name, s.outcome, s.result, s.worker, s.started, s.n
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        WITH ORDINALITY AS s(id, by, keep, name, outcome, result, worker, started, n)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j),
d AS (
    DELETE FROM "jobs" j USING s WHERE j.id = s.id
    RETURNING j.id, s.by, j.queue, j.priority, j.payload, j.attempts, j.created_at, j.reserved_at,
        s.keep, s.name, s.outcome, s.result, s.worker, s.started, s.n),
k AS (
    INSERT INTO "job_finished" (job_id, queue, name, priority, payload, attempts, outcome, result, worker, created_at, started_at,
        finished_at, keep_until)
    SELECT id, queue, name, priority, payload, attempts, outcome, result, worker, created_at,
        coalesce(timestamptz 'epoch' + started * interval '1 microsecond', reserved_at),
        clock_timestamp(), clock_timestamp() + keep * interval '1 microsecond'
    FROM d ORDER BY n)
SELECT id, by FROM d`

// step is a statement that returns the reservations that it has settled.
type step struct {
	query string
	args  []any
}

func (c *exchange) settle() []step {
	var ids [driver.Fail + 1][]int64 // by outcome
	var numbers [driver.Fail + 1][]string
	var delays []int64
	var back, exceptions []int16
	var started []bool
	var errs, stacks []string
	var kept []driver.Settlement
	for _, s := range c.x.Settle {
		if s.Outcome == driver.Delete && s.Keep != nil {
			kept = append(kept, s)
			continue
		}
		ids[s.Outcome] = append(ids[s.Outcome], s.ID)
		numbers[s.Outcome] = append(numbers[s.Outcome], s.By)
		switch s.Outcome {
		case driver.Release:
			delays = append(delays, s.Delay.Microseconds())
			back, exceptions = append(back, oneIf(s.GiveBack)), append(exceptions, oneIf(s.Exception))
			started = append(started, s.KeepStarted)
		case driver.Fail:
			errs, stacks = append(errs, s.Error), append(stacks, s.Stack)
		case driver.Delete:
		}
	}
	var steps []step
	if of := driver.Delete; ids[of] != nil {
		query := deleteManySQL
		if c.store.pool == nil {
			query = deleteSQL
		}
		steps = append(steps, c.thenPush(of, false, step{query, []any{ids[of], numbers[of]}}, deleteThenSQL))
	}
	if kept != nil {
		steps = append(steps, c.thenPush(driver.Delete, true, keepStep(kept), keepThenSQL))
	}
	if of := driver.Release; ids[of] != nil {
		steps = append(steps, step{releaseSQL, []any{ids[of], numbers[of], delays, back, exceptions, started}})
	}
	if of := driver.Fail; ids[of] != nil {
		steps = append(steps, c.thenPush(of, false, step{failSQL, []any{ids[of], numbers[of], errs, stacks}}, failThenSQL))
	}
	return steps
}

// keepStep is the step that ends jobs that are kept.
func keepStep(kept []driver.Settlement) step {
	n := len(kept)
	ids, numbers, keep, names := make([]int64, n), make([]string, n), make([]int64, n), make([]string, n)
	outcomes, results, workers, started := make([]string, n), make([]*string, n), make([]string, n), make([]*int64, n)
	for i, s := range kept {
		ids[i], numbers[i], keep[i] = s.ID, s.By, s.Keep.For.Microseconds()
		names[i], outcomes[i], workers[i] = s.Keep.Name, s.Keep.Outcome, s.Keep.Worker
		if s.Keep.Result != nil {
			result := string(s.Keep.Result)
			results[i] = &result
		}
		if !s.Keep.Started.IsZero() {
			at := s.Keep.Started.UnixMicro()
			started[i] = &at
		}
	}
	return step{keepSQL, []any{ids, numbers, keep, names, outcomes, results, workers, started}}
}

// thenPush makes a step that ends jobs, those that are kept or the others, push what comes next, by the statement then, if there is
// anything.
func (c *exchange) thenPush(of driver.Outcome, kept bool, end step, then string) step {
	var jobs []driver.NewJob
	var parents []int64
	var numbers []string
	var which []int
	seen := map[sqlqueue.Reservation]bool{}
	for _, s := range c.x.Settle {
		if s.Push == nil || s.Outcome != of || (of == driver.Delete && s.Keep != nil) != kept || seen[s.Reservation] {
			continue
		}
		seen[s.Reservation] = true
		for _, job := range s.Push {
			which = append(which, len(jobs))
			jobs = append(jobs, job)
			parents, numbers = append(parents, s.ID), append(numbers, s.By)
		}
	}
	if jobs == nil {
		return end
	}
	c.next = append(c.next, jobs...)
	return step{then, append(append(end.args, columns(jobs, which)...), parents, numbers)}
}

func oneIf(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

// collect notes the reservations that a statement in a batch returns.
func (c *exchange) collect(query *pgx.QueuedQuery) {
	query.Query(func(rows pgx.Rows) error { return c.note(pgxRows{rows, nil}) })
}

func (c *exchange) note(rows sqldb.Rows) error {
	var r sqlqueue.Reservation
	into := []any{&r.ID, &r.By}
	return drain(rows, func() error {
		err := rows.Scan(into...)
		c.done = append(c.done, r)
		return err
	})
}

// $1 ids, $2 numbers.
const stillSQL = `
SELECT s.id, s.by FROM unnest($1::bigint[], $2::text[]) AS s(id, by)
CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by LIMIT 1) j`

// explain finds out whether what was not settled or touched is lost, or only locked. If that fails, it is called locked, so that the worker
// tries again.
func (c *exchange) explain(ctx context.Context, db sqldb.DB) {
	if len(c.done) == len(c.x.Settle)+len(c.x.Touch) {
		return
	}
	var left []sqlqueue.Reservation
	done := setOf(c.done)
	for _, s := range c.x.Settle {
		if !done[s.Reservation] {
			left = append(left, s.Reservation)
		}
	}
	for _, t := range c.x.Touch {
		if !done[t.Reservation] {
			left = append(left, t.Reservation)
		}
	}
	if left == nil {
		return
	}
	ids, numbers := make([]int64, len(left)), make([]string, len(left))
	for i, r := range left {
		ids[i], numbers[i] = r.ID, r.By
	}
	rows, err := db.Query(ctx, c.store.names.In(stillSQL), ids, numbers)
	if err == nil {
		c.done = nil
		err = c.note(rows)
	}
	still := setOf(c.done)
	for _, r := range left {
		if err != nil || still[r] {
			c.answer.Locked = append(c.answer.Locked, r)
		} else {
			c.answer.Lost = append(c.answer.Lost, r)
		}
	}
}

func setOf(reservations []sqlqueue.Reservation) map[sqlqueue.Reservation]bool {
	set := make(map[sqlqueue.Reservation]bool, len(reservations))
	for _, r := range reservations {
		set[r] = true
	}
	return set
}
