package pgqueue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/retry"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Exchange is that of sqlqueue.Store. It is one round trip: BEGIN, the statements and COMMIT are sent together. Two things take another: once
// per lane.Interval the search for lanes, before it, and after it the question why something was not settled or touched.
func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	c := &conversation{store: s, x: x, queues: make([]string, len(x.Reserve))}
	for i, r := range x.Reserve {
		c.queues[i] = r.Queue
	}
	if s.pool == nil {
		return c.settleBound(ctx)
	}
	if x.Limit > 0 {
		now := time.Now()
		stale := s.lanes.Stale(c.queues, now)
		if x.Everything {
			stale, c.scan = c.queues, s.lanes.ScanAll(c.queues, now)
		} else {
			c.scan = s.lanes.Scan(c.queues, now)
		}
		if err := s.findLanes(ctx, stale, c.scan); err != nil {
			return driver.Exchanged{}, err
		}
		c.all = c.scan.Whole() && len(stale) == len(c.queues)
	}
	if x.Requeue > 0 {
		c.expiry = s.expiry.Scan([]string{lane.Expiring.Queue}, time.Now())
	}
	if err := retry.Do(ctx, transient, func() error { return c.run(ctx) }); err != nil {
		return driver.Exchanged{}, err
	}
	c.sort()
	c.mark()
	c.explain(ctx, s.DB)
	return c.answer, nil
}

// conversation is one Exchange on its way.
type conversation struct {
	store  *store
	x      driver.Exchange
	queues []string
	answer driver.Exchanged
	done   []sqlqueue.Reservation // what was settled or touched
	scan   lane.Scan
	expiry lane.Scan // in the lane Expiring
	left   time.Time // when the first had expired that was not released; zero: all were
	all    bool      // the scan looks at everything in every lane
	cut    bool      // Exchange.Bytes has kept jobs from being reserved that were found
	sent   time.Time

	// By the server's clock: what the scans have taken, without what else an exchange waits for. Asked only where a scan is whole.
	began, requeued time.Time
}

const beginSQL = `BEGIN ISOLATION LEVEL READ COMMITTED`

// The settings of the session on which the reading of an answer depends are set as well, for sessions of every kind.
//
// Plans are made once for a connection and kept. One that was made while the table was small, which a queue often is, would scan the
// table, or collect and sort, when it has grown to millions: for this transaction only the paths by index are left. Where there is none, as
// in the small tables, the cost of a path that is off would have the statement compiled: 100 ms.
const byIndexSQL = `
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('jit', 'off', true), set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true)`

// firstTime and lastTime are the bounds of the times that are read: the years 1 to 9999, and never the zero time. A row may have others.
const (
	firstTime = `timestamptz '0001-01-01 00:00:00.000001+00'`
	lastTime  = `timestamptz '9999-12-31 23:59:59.999999+00'`
)

// rollbackPatience is how long a rollback may take. Then the connection is closed, which rolls back as well.
const rollbackPatience = 3 * time.Second

// run sends everything in one batch, on one connection.
func (c *conversation) run(ctx context.Context) error {
	c.answer, c.done, c.left, c.cut = driver.Exchanged{}, nil, time.Time{}, false
	c.began, c.requeued = time.Time{}, time.Time{}
	conn, err := c.store.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()

	c.sent = time.Now()
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	batch.Queue(byIndexSQL)
	for _, step := range c.settle() {
		c.collect(batch.Queue(c.store.names.in(step.query), step.args...))
	}
	c.touch(batch)
	c.giveBack(batch)
	c.clock(batch, &c.began)
	c.requeue(batch)
	c.clock(batch, &c.requeued)
	c.reserve(batch, legible(conn.Conn()))
	c.look(batch)
	batch.Queue("COMMIT")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		// A transaction that failed is still open. Without a rollback the pool would close the connection.
		rollBack(ctx, conn)
		return outcome(readOnly(conn.Conn(), translate(err)))
	}
	return nil
}

// rollBack ends a transaction that has failed, also when ctx has ended. Where the server does not answer, it closes the connection.
func rollBack(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackPatience)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK") // at the end of ctx pgx closes the connection
}

// clock asks for the server's time between two statements, where a scan is to be timed.
func (c *conversation) clock(batch *pgx.Batch, at *time.Time) {
	if c.scan.Timed() || c.expiry.Timed() {
		batch.Queue("SELECT clock_timestamp()").QueryRow(func(row pgx.Row) error { return row.Scan(at) })
	}
}

// What is settled or touched is locked first, with SKIP LOCKED: no transaction that holds a row can hold up the others. Each row is looked
// up by its primary key, in a subquery of its own that the planner cannot turn into a scan of all that is reserved. A number that
// matches means that the row is reserved: a CHECK of the table.

// A row that is locked stays where it is, so the delete finds it there, for a quarter less than by its id. In a partitioned table, and one that
// others inherit from, each part has a row in the same place: the part is compared as well. $1 ids, $2 numbers.
const deleteSQL = `
WITH s AS MATERIALIZED (
    SELECT j.part, j.place FROM unnest($1::bigint[], $2::text[]) AS s(id, by)
    CROSS JOIN LATERAL (SELECT tableoid AS part, ctid AS place FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)
DELETE FROM "jobs" WHERE ctid = ANY (ARRAY(SELECT place FROM s)) AND (tableoid, ctid) IN (SELECT part, place FROM s)
RETURNING id, reserved_by`

// $1 ids, $2 numbers, $3 delays in microseconds, $4 how many attempts to give back, $5 how many exceptions to count, $6 whether started stays.
const releaseSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.by, s.delay, s.back, s.exceptions, s.started
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::smallint[], $6::boolean[]) AS s(id, by, delay, back, exceptions, started)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)
UPDATE "jobs" j SET reserved = false, reserved_at = NULL, reserved_by = NULL, expires_at = NULL, started = j.started AND s.started,
    available_at = clock_timestamp() + s.delay * interval '1 microsecond', attempts = greatest(j.attempts - s.back, 0),
    exceptions = least(j.exceptions, 2147483646) + s.exceptions
FROM s WHERE j.id = s.id
RETURNING j.id, s.by`

// $1 ids, $2 numbers, $3 errors, $4 stacks.
const failSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.by, s.error, s.stack FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS s(id, by, error, stack)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j),
d AS (
    DELETE FROM "jobs" j USING s WHERE j.id = s.id
    RETURNING j.id, j.queue, j.priority, j.payload, j.attempts, j.unique_key, s.error, s.stack, j.created_at, s.by),
f AS (
    INSERT INTO "failed_jobs" (job_id, queue, priority, payload, attempts, unique_key, error, stack, created_at)
    SELECT id, queue, priority, payload, attempts, unique_key, error, stack, created_at FROM d)
SELECT id, by FROM d`

// step is a statement whose answer is the reservations that it found.
type step struct {
	query string
	args  []any
}

func (c *conversation) settle() []step {
	var ids [driver.Fail + 1][]int64 // by outcome
	var numbers [driver.Fail + 1][]string
	var delays []int64
	var back, exceptions []int16
	var started []bool
	var errs, stacks []string
	for _, s := range c.x.Settle {
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
		steps = append(steps, step{deleteSQL, []any{ids[of], numbers[of]}})
	}
	if of := driver.Release; ids[of] != nil {
		steps = append(steps, step{releaseSQL, []any{ids[of], numbers[of], delays, back, exceptions, started}})
	}
	if of := driver.Fail; ids[of] != nil {
		steps = append(steps, step{failSQL, []any{ids[of], numbers[of], errs, stacks}})
	}
	return steps
}

func oneIf(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

// collect notes the reservations that a statement answers.
func (c *conversation) collect(query *pgx.QueuedQuery) {
	query.Query(func(rows pgx.Rows) error { return c.note(pgxRows{rows, nil}) })
}

func (c *conversation) note(rows sqldb.Rows) error {
	var r sqlqueue.Reservation
	into := []any{&r.ID, &r.By}
	return drain(rows, func() error {
		err := rows.Scan(into...)
		c.done = append(c.done, r)
		return err
	})
}

// $1 ids, $2 numbers, $3 expires in microseconds or NULL for never, $4 whether started.
const touchSQL = `
WITH s AS MATERIALIZED (
    SELECT j.id, s.expire, s.started FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[]) AS s(id, by, expire, started)
    CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by FOR UPDATE SKIP LOCKED) j)
UPDATE "jobs" j SET expires_at = clock_timestamp() + s.expire * interval '1 microsecond', started = j.started OR s.started
FROM s WHERE j.id = s.id
RETURNING j.id, j.reserved_by`

func (c *conversation) touch(batch *pgx.Batch) {
	if len(c.x.Touch) == 0 {
		return
	}
	n := len(c.x.Touch)
	ids, numbers, expires, started := make([]int64, n), make([]string, n), make([]*int64, n), make([]bool, n)
	for i, t := range c.x.Touch {
		ids[i], numbers[i], expires[i], started[i] = t.ID, t.By, orNever(t.Expire), t.Start
	}
	c.collect(batch.Queue(c.store.names.in(touchSQL), ids, numbers, expires, started))
}

func orNever(expire time.Duration) *int64 {
	if expire == 0 {
		return nil
	}
	micros := expire.Microseconds()
	return &micros
}

// $1 numbers.
const giveBackSQL = `
UPDATE "jobs" SET reserved = false, reserved_at = NULL, reserved_by = NULL, expires_at = NULL,
    available_at = clock_timestamp(), attempts = greatest(attempts - 1, 0)
WHERE id = ANY (ARRAY(
    SELECT id FROM "jobs" WHERE reserved AND reserved_by = ANY ($1::text[])
    FOR UPDATE SKIP LOCKED))`

func (c *conversation) giveBack(batch *pgx.Batch) {
	if len(c.x.Abandoned) > 0 {
		batch.Queue(c.store.names.in(giveBackSQL), c.x.Abandoned)
	}
}

// $1 how many at most, $2 when they had expired, or NULL for now, $3 ids to pass over, $4 from where on.
const requeueSQL = `
UPDATE "jobs" SET reserved = false, reserved_at = NULL, reserved_by = NULL, expires_at = NULL, available_at = clock_timestamp()
WHERE id = ANY (ARRAY(
    SELECT id FROM "jobs" WHERE reserved AND expires_at <= least($2::timestamptz, statement_timestamp()) AND expires_at >= $4 AND id <> ALL ($3::bigint[])
    ORDER BY expires_at LIMIT $1
    FOR UPDATE SKIP LOCKED))`

// What is left: because it was locked, passed over or too much. $1 when it had expired, or NULL for now, $2 from where on.
const leftSQL = `
SELECT greatest(expires_at, ` + firstTime + `) FROM "jobs" WHERE reserved AND expires_at <= least($1::timestamptz, statement_timestamp()) AND expires_at >= $2
ORDER BY expires_at LIMIT 1`

func (c *conversation) requeue(batch *pgx.Batch) {
	if c.x.Requeue == 0 {
		return
	}
	var expired *time.Time
	if !c.x.Expired.IsZero() {
		expired = &c.x.Expired
	}
	from := mark(c.expiry.From[lane.Expiring])
	batch.Queue(c.store.names.in(requeueSQL), c.x.Requeue, expired, append([]int64{}, c.x.Keep...), from).Query(func(rows pgx.Rows) error {
		rows.Close()
		c.answer.Requeued = int(rows.CommandTag().RowsAffected())
		return rows.Err()
	})
	batch.Queue(c.store.names.in(leftSQL), expired, from).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&c.left}, func() error { return nil })
		return err
	})
}

// One scan for each lane, in order, and none that is not needed: the outer LIMIT stops. The lanes are sorted in a subquery of their own,
// which the planner leaves as it is. Conditions on reserved are literal, because a generic plan cannot prove the partial index
// otherwise; statement_timestamp() is stable, as an index condition must be, and unlike now() not older than what has been committed.
// An array, rather than a join with a WITH query, keeps the plan generic and cached. The UPDATE's own condition is not on reserved: with
// it, a plan that was made while the table was small looks the ids up in the index of all ready jobs.
//
// $1 queues and $2 priorities of the lanes, $3 how many at most, $4 the number, $5 queues and $6 their expires in microseconds or NULL
// for never, $7 whether to reserve also under maintenance, $8 from where on in each lane.
const reserveSQL = reserveUpdate + `
WHERE reserved_by IS NULL AND id = ANY (ARRAY(` + findStart + findMiddle + findEnd + `))
RETURNING ` + reserveAnswer + `, false`

// As reserveSQL, and $9 how long the payloads may be together. The first is reserved in any case. What a value takes on disk is how long it is,
// unless it is compressed or so short that to read it costs nothing.
const reserveBytesSQL = `
WITH c AS MATERIALIZED (
    SELECT f.id, f.size, sum(f.size) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM (` + findStart + `, j.size` + findMiddle + `, CASE
            WHEN pg_column_size(payload) > 2000 AND pg_column_compression(payload) IS NULL THEN pg_column_size(payload)
            ELSE octet_length(payload::text) END AS size` + findEnd + `) f)` +
	reserveUpdate + `
WHERE reserved_by IS NULL AND id = ANY (ARRAY(SELECT id FROM c WHERE total <= $9::bigint OR total = size))
RETURNING ` + reserveAnswer + `, EXISTS (SELECT FROM c WHERE total > $9::bigint AND total > size)`

const reserveUpdate = `
UPDATE "jobs" SET reserved = true, attempts = least(attempts, 2147483646) + 1, reserved_at = clock_timestamp(), reserved_by = $4,
    expires_at = clock_timestamp() + ($6::bigint[])[array_position($5::text[], queue)] * interval '1 microsecond'`

const findStart = `
    SELECT j.id`

const findMiddle = `
    FROM (SELECT l.queue, l.priority, l.since
          FROM unnest($1::text[], $2::smallint[], $8::timestamptz[]) WITH ORDINALITY AS l(queue, priority, since, n)
          WHERE NOT EXISTS (SELECT FROM "job_queues" c WHERE c.queue IN (l.queue, '')
                            AND (c.paused AND (c.paused_until IS NULL OR c.paused_until > statement_timestamp())
                                 OR c.maintenance AND NOT $7::boolean))
          ORDER BY l.n) l
    CROSS JOIN LATERAL (
        SELECT id`

const findEnd = ` FROM "jobs"
        WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at <= statement_timestamp()
            AND available_at >= l.since
        ORDER BY available_at, id LIMIT $3
        FOR UPDATE SKIP LOCKED) j
    LIMIT $3`

const reserveAnswer = `id, queue, priority, payload::text, attempts, exceptions, reserved_at, expires_at, started,
    least(greatest(available_at, ` + firstTime + `), ` + lastTime + `), least(greatest(created_at, ` + firstTime + `), ` + lastTime + `), unique_key`

func (c *conversation) reserve(batch *pgx.Batch, legible func(string) string) {
	if c.x.Limit <= 0 {
		return
	}
	queues, priorities, since := split(c.store.lanes.Of(c.queues), c.scan.From)
	expires := make([]*int64, len(c.x.Reserve))
	for i, r := range c.x.Reserve {
		expires[i] = orNever(r.Expire)
	}
	query, args := reserveSQL, []any{queues, priorities, c.x.Limit, c.x.Number, c.queues, expires, c.x.Force, since}
	if c.x.Bytes > 0 {
		query, args = reserveBytesSQL, append(args, c.x.Bytes)
	}
	batch.Queue(c.store.names.in(query), args...).Query(func(rows pgx.Rows) error {
		var j sqlqueue.Job
		var queue, payload pgtype.DriverBytes
		var expiresAt pgtype.Timestamptz
		var uniqueKey pgtype.Text
		into := []any{
			&j.ID, &queue, &j.Priority, &payload, &j.Attempts, &j.Exceptions, &j.ReservedAt, &expiresAt,
			&j.Started, &j.AvailableAt, &j.CreatedAt, &uniqueKey, &c.cut,
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			if j.Queue != string(queue) {
				j.Queue = string(queue)
			}
			j.Payload, j.ExpiresAt, j.UniqueKey = bytes.Clone(payload), expiresAt.Time, uniqueKey.String
			if legible != nil {
				j.Queue, j.Payload, j.UniqueKey = legible(j.Queue), []byte(legible(string(payload))), legible(j.UniqueKey)
			}
			if c.answer.Reserved == nil {
				c.answer.Reserved = make([]sqlqueue.Job, 0, min(c.store.batch.Load()+1, int64(c.x.Limit)))
			}
			j.Reserved, j.ReservedBy = true, c.x.Number
			c.answer.Reserved = append(c.answer.Reserved, j)
		}
		if n := len(c.answer.Reserved); n > 0 {
			c.store.batch.Store(int64(n))
		}
		return rows.Err()
	})
}

// mark notes how far the lanes are reserved, and what had expired is released.
func (c *conversation) mark() {
	took := time.Since(c.sent)
	var scan, expiry time.Duration
	if !c.requeued.IsZero() {
		scan, expiry = c.answer.Now.Sub(c.requeued), c.requeued.Sub(c.began)
	}
	if c.x.Requeue > 0 {
		c.store.expiry.Released(c.expiry, c.x.Expired, c.left, c.answer.Now, expiry)
		c.store.expiry.Slow(c.expiry, took-expiry)
	}
	if c.x.Limit > 0 {
		limit := c.x.Limit
		if c.cut {
			limit = len(c.answer.Reserved)
		}
		c.answer.Everything = c.all && len(c.answer.Reserved) < limit
		c.store.lanes.Reserved(c.scan, limit, &c.answer, scan)
		c.store.lanes.Slow(c.scan, took-scan)
	}
}

// sort puts the reserved jobs into the order in which they should run: an UPDATE returns them in any.
func (c *conversation) sort() {
	place := make(map[string]int, len(c.queues))
	for i, queue := range c.queues {
		place[queue] = i
	}
	slices.SortFunc(c.answer.Reserved, func(a, b sqlqueue.Job) int {
		return cmp.Or(cmp.Compare(place[a.Queue], place[b.Queue]), cmp.Compare(a.Priority, b.Priority),
			a.AvailableAt.Compare(b.AvailableAt), cmp.Compare(a.ID, b.ID))
	})
}

// $1 queues and $2 priorities of the lanes, $3 the worker's id.
const lookSQL = `
SELECT clock_timestamp(),
    (SELECT nullif(least(min(j.available_at), ` + lastTime + `), ` + lastTime + `)
     FROM unnest($1::text[], $2::smallint[]) AS l(queue, priority)
     CROSS JOIN LATERAL (
        SELECT available_at FROM "jobs"
        WHERE queue = l.queue AND priority = l.priority AND NOT reserved AND available_at > statement_timestamp()
        ORDER BY available_at LIMIT 1) j),
    (SELECT wanted_concurrency FROM "job_workers" WHERE id = $3)`

// look reads the clock and what operators want.
func (c *conversation) look(batch *pgx.Batch) {
	queues, priorities, _ := split(c.store.lanes.Of(c.queues), nil)
	worker, _, _ := strings.Cut(c.x.Number, "-")
	batch.Queue(c.store.names.in(lookSQL), queues, priorities, worker).QueryRow(func(row pgx.Row) error {
		var due *time.Time
		var wanted *int
		if err := row.Scan(&c.answer.Now, &due, &wanted); err != nil {
			return err
		}
		if due != nil {
			c.answer.NextDue = *due
		}
		if wanted != nil {
			c.answer.WantedConcurrency = *wanted
		}
		return nil
	})
	if len(c.queues) == 0 {
		return
	}
	batch.Queue(c.store.SelectControls()+" WHERE queue = ANY ($1::text[])", append([]string{""}, c.queues...)).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				control, err := sqldb.ScanControl(rows.Scan)
				if err != nil {
					return err
				}
				c.answer.Controls = append(c.answer.Controls, control)
			}
			return rows.Err()
		})
}

// $1 ids, $2 numbers.
const stillSQL = `
SELECT s.id, s.by FROM unnest($1::bigint[], $2::text[]) AS s(id, by)
CROSS JOIN LATERAL (SELECT id FROM "jobs" WHERE id = s.id AND reserved_by = s.by LIMIT 1) j`

// explain tells of what was not settled or touched whether it is lost, or only locked. Where that cannot be found out, it is called locked,
// so that the worker tries again.
func (c *conversation) explain(ctx context.Context, db sqldb.DB) {
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
	rows, err := db.Query(ctx, c.store.names.in(stillSQL), ids, numbers)
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

// settleBound settles in the caller's transaction.
func (c *conversation) settleBound(ctx context.Context) (driver.Exchanged, error) {
	only := driver.Exchange{Settle: c.x.Settle}
	if len(c.x.Touch)+len(c.x.Abandoned)+c.x.Requeue+c.x.Limit > 0 {
		return c.answer, errors.New("in a caller's transaction jobs can be settled only")
	}
	c.x, c.done = only, nil
	for _, step := range c.settle() {
		rows, err := c.store.DB.Query(ctx, c.store.names.in(step.query), step.args...)
		if err == nil {
			err = c.note(rows)
		}
		if err != nil {
			return driver.Exchanged{}, err
		}
	}
	c.explain(ctx, c.store.DB)
	return c.answer, nil
}
