package mysqlqueue

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// mostLanes is how many lanes, or ranges of priorities, one statement looks at.
const mostLanes = 100

// view is what there is to do, as it was seen without locks.
type view struct {
	answer   driver.Exchanged // with what every answer has
	expired  bool
	controls []driver.Control // also of patterns that have the queues
	lanes    []lane.Lane      // those that have a job that is due and may be reserved from
	left     bool             // the lanes from one on were not asked
	from     lane.Lane
}

// leave notes that the lanes from this one on were not asked, and that the next exchange should come at once.
func (v *view) leave(from lane.Lane) {
	v.left, v.from = true, from
	v.answer.NextDue = v.answer.Now
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

// look reads the clock, what operators want, and what there is to do. Without ask it does not look for jobs that are due, and treats every
// lane as if it had some: for exchanges that try all lanes anyway.
func (s *store) look(ctx context.Context, db sqldb.DB, x driver.Exchange, where *search, ask bool) (*view, error) {
	v := &view{}
	queues := queuesOf(x)
	at := where.place
	lanes := where.lanes
	if at.from.Queue != "" {
		lanes = from(lanes, at.from, before(queues))
	}
	worker, _, _ := strings.Cut(x.Number, "-")
	if len(x.Reserve) > 0 {
		var err error
		names := queues
		if where.plan != nil {
			names = where.plan.Stopping()
		}
		if v.controls, err = s.controls(ctx, db, names); err != nil {
			return nil, err
		}
		v.answer.Controls = where.plan.Asked(v.controls)
	}
	asked := 0
	for first := true; first || len(lanes) > 0; first = false {
		if !first && (len(v.lanes) >= min(max(x.Limit, 1), mostLanes) || asked >= mostAsked && !x.Everything) {
			break // enough lanes have jobs that are due, or enough were asked in one exchange
		}
		part := lanes[:min(mostLanes, len(lanes))]
		lanes = lanes[len(part):]
		asked += len(part)

		var clock int64
		var wanted sql.NullInt64
		due, next := make([]bool, len(part)), make([]sql.NullInt64, len(part))
		statement := s.sql(lookSQL, text(worker))
		dest := []any{&clock, &wanted}
		if first && x.Chores {
			statement += ", " + s.ChoresColumns()
			v.answer.Chores = &driver.Chores{}
			dest = append(dest, sqldb.Reading(&v.answer.Chores.NextSchedule, &v.answer.Chores.OpenBatches)...)
		}
		if first && x.Requeue > 0 {
			statement += s.sql(isExpiredSQL, expiredAt(x), since("expires_at", where.expiry.From[lane.Expiring]))
			dest = append(dest, &v.expired)
		}
		for i, l := range part {
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
		where.expiryTook += time.Since(began)
		if ask {
			where.took += time.Since(began)
		}
		v.answer.Now, v.answer.WantedConcurrency = timeOf(clock), int(wanted.Int64)
		for i, l := range part {
			if then := timeOf(next[i].Int64); next[i].Valid && (at.next.IsZero() || then.Before(at.next)) {
				at.next = then
			}
			if due[i] && !sqldb.Stopped(v.controls, l.Queue, x.Force) {
				v.lanes = append(v.lanes, l)
			}
		}
	}
	v.answer.NextDue = at.next
	if len(lanes) > 0 {
		v.leave(lanes[0])
		at.from = lanes[0]
	}
	if len(v.lanes) > 0 {
		at.from = v.lanes[0]
	}
	if len(where.lanes) > mostAsked {
		again := len(v.lanes) > 0 && time.Since(at.began) < lane.Interval
		s.known.places.asked(queues, at, again || len(v.lanes) == 0 && v.left)
	}
	return v, nil
}

// controls does what Database.Controls does, without arguments, for which the driver would prepare a statement each time.
func (s *store) controls(ctx context.Context, db sqldb.DB, queues []string) (controls []driver.Control, err error) {
	statement := s.SelectControls() + " WHERE queue IN (" + texts(append([]string{""}, queues...)) + ")"
	err = each(ctx, db, statement, func(scan func(...any) error) error {
		control, err := sqldb.ScanControl(scan)
		controls = append(controls, control)
		return err
	})
	return controls, err
}
