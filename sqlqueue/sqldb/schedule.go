package sqldb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// mostSchedules is how many schedules one look returns.
const mostSchedules = 100

var _ driver.Scheduler = (*Database)(nil)

// SetSchedule implements driver.Scheduler.
func (d *Database) SetSchedule(ctx context.Context, of driver.Schedule, moved bool) error {
	return d.Tx(ctx, func(db DB) error {
		s := d.Statement("UPDATE %s SET ", d.Table("job_schedules"))
		s.Add("cron = %s, every = %s, zone = %s, ", s.Arg(of.Cron), s.Arg(of.Every), s.Arg(of.Zone))
		s.Add("queue = %s, priority = %s, payload = %s, ", s.Arg(of.Queue), s.Arg(of.Priority), s.Arg(string(of.Payload)))
		s.Add("missed = %s, catch_up_ms = %s, ", s.Arg(of.Missed), s.Arg(of.CatchUp.Milliseconds()))
		s.Add("overlap = %s, origin = %s, ", s.Arg(of.Overlap), s.Arg(of.Origin))
		if moved {
			s.Add("next_at = %s, ", s.timeOrNull(of.NextAt))
		}
		s.Add("updated_at = %s", s.Now())
		s.Add(" WHERE name = %s", s.Arg(of.Name))
		if n, err := s.Exec(ctx, db); err != nil || n > 0 {
			return err
		}
		s = d.Statement("INSERT INTO %s (name, cron, every, zone, queue, priority, payload, missed, catch_up_ms, "+
			"overlap, origin, next_at, "+
			"created_at, updated_at) VALUES (", d.Table("job_schedules"))
		s.Add("%s, %s, %s, %s, ", s.Arg(of.Name), s.Arg(of.Cron), s.Arg(of.Every), s.Arg(of.Zone))
		s.Add("%s, %s, %s, ", s.Arg(of.Queue), s.Arg(of.Priority), s.Arg(string(of.Payload)))
		s.Add("%s, %s, ", s.Arg(of.Missed), s.Arg(of.CatchUp.Milliseconds()))
		s.Add("%s, %s, ", s.Arg(of.Overlap), s.Arg(of.Origin))
		s.Add("%s, ", s.timeOrNull(of.NextAt))
		s.Add("%s, ", s.Time(of.CreatedAt))
		s.Add("%s)%s", s.Now(), d.Dialect.OnConflict)
		_, err := s.Exec(ctx, db)
		return err
	})
}

func (s *Statement) timeOrNull(t time.Time) string {
	if t.IsZero() {
		return "NULL"
	}
	return s.Time(t)
}

// selectSchedules begins a SELECT of schedules.
func (d *Database) selectSchedules() *Statement {
	payload := "payload"
	if d.Dialect.Payload != "" {
		payload = d.Dialect.Payload
	}
	s := d.Statement("SELECT name, cron, every, zone, queue, priority, %s, missed, catch_up_ms, overlap, paused, origin, last_job_id, runs",
		payload)
	for _, at := range []string{"next_at", "last_at", "created_at", "updated_at"} {
		s.Add(", "+d.Dialect.Micros, at)
	}
	s.Add(" FROM %s", d.Table("job_schedules"))
	return s
}

func eachSchedule(ctx context.Context, s *Statement, db DB) (schedules []driver.Schedule, err error) {
	err = s.Each(ctx, db, func(scan func(...any) error) error {
		var of driver.Schedule
		var payload []byte
		var catchUp int64
		err := scan(Reading(&of.Name, &of.Cron, &of.Every, &of.Zone, &of.Queue, &of.Priority, &payload, &of.Missed, &catchUp, &of.Overlap,
			&of.Paused, &of.Origin, &of.LastJobID, &of.Runs, &of.NextAt, &of.LastAt, &of.CreatedAt, &of.UpdatedAt)...)
		of.Payload, of.CatchUp = payload, Milliseconds(catchUp)
		schedules = append(schedules, of)
		return err
	})
	return schedules, err
}

// Schedules implements driver.Scheduler.
func (d *Database) Schedules(ctx context.Context, name string) ([]driver.Schedule, error) {
	s := d.selectSchedules()
	if name != "" {
		s.Add(" WHERE name = %s", s.Arg(name))
	}
	s.Add(" ORDER BY name")
	return eachSchedule(ctx, s, d.DB)
}

// ChoresColumns are two columns of a SELECT: when the next schedule comes, in microseconds since 1970 (1 if a schedule has no time yet,
// NULL if there is none), and whether there are open batches. Each reads the first entries of an index.
func (d *Database) ChoresColumns() string {
	schedules := d.Table("job_schedules") + d.Force("job_schedules_next")
	batches := d.Table("job_batches") + d.Force("job_batches_open")
	return "CASE WHEN EXISTS (SELECT 1 FROM " + schedules + " WHERE NOT paused AND next_at IS NULL) THEN 1 ELSE (SELECT " +
		fmt.Sprintf(d.Dialect.Micros, "next_at") + " FROM " + schedules +
		" WHERE NOT paused AND next_at IS NOT NULL ORDER BY next_at LIMIT 1) END, EXISTS (SELECT 1 FROM " + batches +
		" WHERE closed_at IS NULL)"
}

// DueSchedules implements driver.Scheduler. If nothing is due, it is one statement that reads the first entries of the index of next_at.
func (d *Database) DueSchedules(ctx context.Context) (due []driver.Schedule, next, now time.Time, err error) {
	table, byNext := d.Table("job_schedules"), d.Force("job_schedules_next")
	clock := d.Dialect.Now
	if clock == "" {
		clock = fmt.Sprint(time.Now().UnixMicro())
	}
	s := d.Statement("SELECT "+d.Dialect.Micros+", ", clock)
	s.Add("(SELECT "+d.Dialect.Micros, "next_at")
	s.Add(" FROM %s%s WHERE NOT paused AND next_at IS NOT NULL ORDER BY next_at LIMIT 1), ", table, byNext)
	s.Add("EXISTS (SELECT 1 FROM %s%s WHERE NOT paused AND next_at IS NULL)", table, byNext)
	unknown := false
	if err := s.Each(ctx, d.DB, func(scan func(...any) error) error { return scan(Reading(&now, &next, &unknown)...) }); err != nil {
		return nil, next, now, err
	}
	if !unknown && (next.IsZero() || next.After(now)) {
		return nil, next, now, nil
	}
	s = d.selectSchedules()
	s.Add("%s WHERE NOT paused AND next_at <= %s ORDER BY next_at LIMIT %d", byNext, s.Time(now), mostSchedules)
	if due, err = eachSchedule(ctx, s, d.DB); err != nil || !unknown || len(due) == mostSchedules {
		return due, now, now, err
	}
	s = d.selectSchedules()
	s.Add("%s WHERE NOT paused AND next_at IS NULL LIMIT %d", byNext, mostSchedules-len(due))
	without, err := eachSchedule(ctx, s, d.DB)
	return append(due, without...), now, now, err
}

// Tick implements driver.Scheduler.
func (d *Database) Tick(ctx context.Context, t driver.Tick) (ticked bool, err error) {
	err = d.Tx(ctx, func(db DB) error {
		ticked = false
		var at time.Time
		s := d.Statement("SELECT "+d.Dialect.Micros, "next_at")
		s.Add(" FROM %s%s", d.Table("job_schedules"), d.Dialect.ByID)
		s.Add(" WHERE name = %s AND NOT paused %s", s.Arg(t.Name), d.Dialect.SkipLocked)
		if err := s.Each(ctx, db, func(scan func(...any) error) error {
			err := scan(Reading(&at)...)
			ticked = at.Equal(t.At)
			return err
		}); err != nil || !ticked {
			return err
		}
		var last int64
		n := 0
		jobs, err := d.withoutHeld(ctx, db, t.Jobs)
		if err != nil {
			return err
		}
		if len(jobs) > 0 {
			pushed, err := d.Insert(ctx, db, jobs)
			if err != nil {
				return err
			}
			for _, p := range pushed {
				if !p.Duplicate {
					last, n = p.ID, n+1
				}
			}
		}
		s = d.Statement("UPDATE %s SET ", d.Table("job_schedules"))
		set := []string{"next_at = " + s.timeOrNull(t.Next)}
		if !t.Last.IsZero() {
			set = append(set, "last_at = "+s.Time(t.Last))
		}
		if n > 0 {
			set = append(set, "last_job_id = "+s.Arg(last), "runs = runs + "+s.Arg(n))
		}
		if t.Pause {
			set = append(set, "paused = "+s.Arg(true))
		}
		s.Add("%s", strings.Join(set, ", "))
		s.Add(" WHERE name = %s", s.Arg(t.Name))
		_, err = s.Exec(ctx, db)
		return err
	})
	return ticked, err
}

// withoutHeld leaves out jobs whose unique keys are held. An INSERT would wait for a handler that deletes the holder in a transaction of
// its own.
func (d *Database) withoutHeld(ctx context.Context, db DB, jobs []driver.NewJob) ([]driver.NewJob, error) {
	var free []driver.NewJob
	for _, job := range jobs {
		held := false
		if job.UniqueKey != "" {
			s := d.Statement("SELECT id FROM %s%s", d.Table("jobs"), d.Force("jobs_unique"))
			s.Add(" WHERE queue = %s AND unique_key = %s", s.Arg(job.Queue), s.Arg(job.UniqueKey))
			if err := s.Each(ctx, db, func(func(...any) error) error { held = true; return nil }); err != nil {
				return nil, err
			}
		}
		if !held {
			free = append(free, job)
		}
	}
	return free, nil
}
