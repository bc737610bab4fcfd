package mysqlqueue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// mostEach is how many lanes one statement asks by a subquery for each.
const mostEach = 100

// view is what there is to do, as it was seen without locks.
type view struct {
	answer   driver.Exchanged // with what every answer has
	expired  bool
	controls []driver.Control // also of patterns that have the queues
	lanes    []lane.Lane      // those that have a job that is due and may be reserved from
}

// work reports whether there is anything to requeue or to reserve.
func (v *view) work(x driver.Exchange) bool {
	return x.Requeue > 0 && v.expired || x.Limit > 0 && len(v.lanes) > 0
}

// %[1]s the worker's id.
const lookSQL = `
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)), (SELECT wanted_concurrency FROM {job_workers} WHERE id = %[1]s)`

// The condition on reserved keeps MySQL from reading the whole of jobs_expiry, which it may in spite of a hint if an index has all columns
// of a statement. %[1]s when reservations had expired, %[2]s the condition of the mark.
const isExpiredSQL = `,
    EXISTS (SELECT 1 FROM {jobs} FORCE INDEX ({jobs_expiry}) WHERE expires_at <= %[1]s AND reserved = 1
        AND id BETWEEN 1 AND 9223372036854775807%[2]s)`

// Whether a job is due. %[1]s queue, %[2]d priority, %[3]s the condition of the lane's mark.
const isDueSQL = `,
    EXISTS (SELECT 1 FROM {jobs} FORCE INDEX ({jobs_ready})
        WHERE queue = %[1]s AND priority = %[2]d AND available_at <= UTC_TIMESTAMP(6) AND reserved = 0
        AND id BETWEEN 1 AND 9223372036854775807%[3]s)`

// When the next job will be due. %[1]s queue, %[2]d priority.
const nextDueSQL = `,
    (SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at) FROM {jobs} FORCE INDEX ({jobs_ready})
        WHERE queue = %[1]s AND priority = %[2]d AND available_at > UTC_TIMESTAMP(6) AND reserved = 0
        ORDER BY available_at LIMIT 1)`

// When the first job of each lane is or was due: for many lanes, of which each costs a tenth of what it costs in a statement of isDueSQL.
// It does not begin at a mark. %[1]s the lanesTable.
const firstDueSQL = `
SELECT l.n, (SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', available_at), 0) FROM {jobs} FORCE INDEX ({jobs_ready})
    WHERE queue = l.queue AND priority = l.priority AND reserved = 0 AND id BETWEEN 1 AND 9223372036854775807
    ORDER BY available_at, id LIMIT 1)
FROM %[1]s AS l
ORDER BY l.n`

// lanesTable is a table of lanes, numbered by n.
func (s *store) lanesTable(lanes []lane.Lane) (string, error) {
	if s.known.tidb.Load() { // which has no JSON_TABLE
		rows := make([]string, len(lanes))
		for i, l := range lanes {
			rows[i] = fmt.Sprintf("SELECT %d AS n, %s AS queue, %d AS priority", i+1, text(l.Queue), l.Priority)
		}
		return "(" + strings.Join(rows, " UNION ALL ") + ")", nil
	}
	list := make([][2]any, len(lanes))
	for i, l := range lanes {
		list[i] = [2]any{l.Queue, l.Priority}
	}
	encoded, err := json.Marshal(list)
	return `JSON_TABLE(` + text(string(encoded)) + `, '$[*]' COLUMNS (n FOR ORDINALITY,
    queue VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]', priority INT PATH '$[1]'))`, err
}

// atOnce is how many lanes one statement of lanesTable has at most.
const atOnce = 500

// eachLane runs a statement with a lanesTable for lanes, until row returns false. The statement's rows begin with n, and the other columns
// are read into dest before each call.
func (s *store) eachLane(
	ctx context.Context, db sqldb.DB, statement string, lanes []lane.Lane, dest []any, row func(lane.Lane) bool,
) error {
	var n int
	dest = append([]any{&n}, dest...)
	more := true
	for part := range slices.Chunk(lanes, atOnce) {
		if !more {
			break
		}
		table, err := s.lanesTable(part)
		if err != nil {
			return err
		}
		if err := each(ctx, db, s.sql(statement, table), func(scan func(...any) error) error {
			err := scan(dest...)
			more = more && err == nil && row(part[n-1])
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// look reads the clock, what operators want, and what there is to do. Without ask it does not look for jobs that are due, and treats every
// lane as if it had some: for exchanges that try all lanes anyway.
func (s *store) look(ctx context.Context, db sqldb.DB, x driver.Exchange, where *search, ask bool) (*view, error) {
	v := &view{}
	lanes := where.part.Lanes
	worker, _, _ := strings.Cut(x.Number, "-")
	if len(where.asked) > 0 {
		if err := s.control(ctx, db, where, v); err != nil {
			return nil, err
		}
	}
	var clock int64
	var wanted sql.NullInt64
	statement, dest := s.sql(lookSQL, text(worker)), []any{&clock, &wanted}
	if x.Chores {
		statement += ", " + s.ChoresColumns()
		v.answer.Chores = &driver.Chores{}
		dest = append(dest, sqldb.Reading(&v.answer.Chores.NextSchedule, &v.answer.Chores.OpenBatches)...)
	}
	if x.IdleWorkers {
		statement += ", " + s.IdleWorkersColumn(text(worker), now)
		dest = append(dest, &v.answer.IdleWorkers)
	}
	if x.Requeue > 0 {
		statement += s.sql(isExpiredSQL, expiredAt(x), since("expires_at", where.expiry.From[lane.Expiring]))
		dest = append(dest, &v.expired)
	}
	single := lanes // which the statement asks one by one
	if len(lanes) > mostEach {
		single = nil
	}
	due, next := make([]bool, len(single)), make([]sql.NullInt64, len(single))
	for i, l := range single {
		queue := text(l.Queue)
		if due[i] = !ask; ask {
			statement += s.sql(isDueSQL, queue, l.Priority, since("available_at", where.scan.From[l]))
			dest = append(dest, &due[i])
		}
		statement += s.sql(nextDueSQL, queue, l.Priority)
		dest = append(dest, &next[i])
	}
	began := time.Now()
	if err := one(ctx, db, statement, dest...); err != nil {
		return nil, err
	}
	v.answer.Now, v.answer.WantedConcurrency = timeOf(clock), int(wanted.Int64)
	found := func(l lane.Lane, due bool, next sql.NullInt64) {
		if then := timeOf(next.Int64); next.Valid && (v.answer.NextDue.IsZero() || then.Before(v.answer.NextDue)) {
			v.answer.NextDue = then
		}
		if due && !sqldb.Stopped(v.controls, l.Queue, x.Force) {
			v.lanes = append(v.lanes, l)
		}
	}
	for i, l := range single {
		found(l, due[i], next[i])
	}
	if single == nil && len(lanes) > 0 {
		var at sql.NullInt64
		asked := 0
		if err := s.eachLane(ctx, db, firstDueSQL, lanes, []any{&at}, func(l lane.Lane) bool {
			due := at.Valid && at.Int64 <= clock
			where.again = where.again || due
			found(l, due, sql.NullInt64{Int64: at.Int64, Valid: at.Valid && !due})
			asked++
			return len(v.lanes) < mostEach || x.Everything // each costs some statements
		}); err != nil {
			return nil, err
		}
		where.part.Until(asked)
	}
	where.expiryTook += time.Since(began)
	if ask {
		where.took += time.Since(began)
	}
	return v, nil
}

// control finds out what operators have said of the queues of the lanes, and of all that are asked.
func (s *store) control(ctx context.Context, db sqldb.DB, where *search, v *view) (err error) {
	read := func(names []string) ([]driver.Control, error) { return s.controls(ctx, db, names) }
	v.controls, v.answer.Controls, err = where.plan.Controls(&s.known.controls, where.asked, &where.part, time.Now(), read)
	return err
}

// controls does what Database.Controls does, without arguments, for which the driver would prepare a statement each time.
func (s *store) controls(ctx context.Context, db sqldb.DB, queues []string) (controls []driver.Control, err error) {
	const most = 500 // names at once: see mostIDs
	for part := range slices.Chunk(queues, most) {
		if err := each(ctx, db, s.SelectControls()+" WHERE queue IN ("+texts(part)+")", func(scan func(...any) error) error {
			control, err := sqldb.ScanControl(scan)
			controls = append(controls, control)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return controls, nil
}
