package sqlitequeue

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// look answers an exchange that settles and touches nothing, and reports whether there is anything to write. It only reads.
func (s *store) look(ctx context.Context, x, whole driver.Exchange, plan *turn.Plan) (answer driver.Exchanged, work bool, err error) {
	if err := whileBusy(ctx, time.Now(), func() error {
		if err := s.sql.prepare(ctx, s.pool); err != nil {
			return err
		}
		return s.file.check(ctx, s.pool)
	}); err != nil {
		return answer, false, err
	}
	e := s.newExchange(reader{sqldb.SQL(s.sql.prepared, translate)}, x, whole, plan)
	for _, step := range []func(context.Context) error{e.wanted, e.findLanes, e.control, e.nextDue} {
		if err := step(ctx); err != nil {
			return answer, false, err
		}
	}
	if due := e.answer.NextDue; x.Limit > 0 && !due.IsZero() && !due.After(e.answer.Now) {
		return e.answer, true, nil
	}
	expired, err := e.anyExpired(ctx)
	if err == nil && !expired {
		e.noteAsked()
	}
	return e.answer, expired, err
}

// selectWanted returns the concurrency that an operator has set for the worker ?1, and selectChores the chores as well.
var (
	selectWanted = newStatement(wantedSQL)
	selectChores = newStatement(wantedSQL + ", " + (&sqldb.Database{Dialect: dialect}).ChoresColumns())
)

// selectIdleWorkers returns driver.Exchanged.IdleWorkers for the worker ?1 at ?2.
var selectIdleWorkers = newStatement("SELECT " + (&sqldb.Database{Dialect: dialect}).IdleWorkersColumn("?1", "?2"))

const wantedSQL = `SELECT (SELECT wanted_concurrency FROM "job_workers" WHERE id = ?1)`

func (e *exchange) wanted(ctx context.Context) error {
	worker, _, _ := strings.Cut(e.asked.Number, "-")
	if worker == "" && !e.asked.Chores {
		return nil
	}
	query, into := selectWanted, []any{&e.answer.WantedConcurrency}
	if e.asked.Chores {
		e.answer.Chores = &driver.Chores{}
		query, into = selectChores, append(into, &e.answer.Chores.NextSchedule, &e.answer.Chores.OpenBatches)
	}
	err := sqldb.Each(ctx, e.db, e.sql.text[query], []any{worker}, func(scan func(...any) error) error {
		return scan(sqldb.Reading(into...)...)
	})
	if err != nil || !e.asked.IdleWorkers {
		return err
	}
	return sqldb.Each(ctx, e.db, e.sql.text[selectIdleWorkers], []any{worker, e.now}, func(scan func(...any) error) error {
		return scan(&e.answer.IdleWorkers)
	})
}

// selectControls returns the controls at ?1 of the queues of ?2, [queue, …], as sqldb.ScanControl reads them.
var selectControls = newStatement(`
SELECT ` + sqldb.ControlColumns("?1", "paused_until") + `
FROM json_each(?2) AS given CROSS JOIN "job_queues" ON queue = given.value`)

// control finds out from which queues of the lanes jobs may be taken, and what operators have said of all that are asked.
func (e *exchange) control(ctx context.Context) error {
	if len(e.whole.Reserve) == 0 {
		return nil
	}
	controls, said, err := e.plan.Controls(e.controls, lane.Names(e.whole.Reserve), &e.part, e.answer.Now, func(names []string) (
		controls []driver.Control, err error,
	) {
		err = sqldb.Each(ctx, e.db, e.sql.text[selectControls], []any{e.now, toJSON(names)}, func(scan func(...any) error) error {
			c, err := sqldb.ScanControl(scan)
			controls = append(controls, c)
			return err
		})
		return controls, err
	})
	if err != nil {
		return err
	}
	e.answer.Controls = said
	expires := make(map[string]time.Duration, len(e.part.Lanes))
	for _, queue := range e.part.Queues() {
		expires[queue] = 0
	}
	for _, r := range e.asked.Reserve {
		if _, ok := expires[r.Queue]; ok {
			expires[r.Queue] = r.Expire
		}
	}
	e.lanes, e.expires = nil, expires
	for _, l := range e.part.Lanes {
		if !sqldb.Stopped(controls, l.Queue, e.asked.Force) {
			e.lanes = append(e.lanes, l)
		}
	}
	return nil
}

// selectNextDue returns when the first waiting job of the lane (?1, ?2) is available.
var selectNextDue = newStatement(`SELECT min(available_at) FROM "jobs" WHERE NOT reserved AND queue = ?1 AND priority = ?2`)

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
