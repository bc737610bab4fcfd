package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Schedule is a row of the table of schedules.
type Schedule = driver.Schedule

// Schedules returns all schedules, by name.
func (o *Operator) Schedules(ctx context.Context) ([]Schedule, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("schedules", err)
	}
	all, err := t.Schedules(ctx, "")
	return all, wrap("schedules", err)
}

// Schedule returns the schedule of a name, or ErrNoSchedule.
func (o *Operator) Schedule(ctx context.Context, name string) (Schedule, error) {
	t, err := o.open(ctx)
	if err != nil {
		return Schedule{}, wrap("schedule", err)
	}
	s, err := t.schedule(ctx, name)
	return s, wrap("schedule", err)
}

func (t *tables) schedule(ctx context.Context, name string) (Schedule, error) {
	if name == "" {
		return Schedule{}, errors.New("the schedule's name is empty")
	}
	found, err := t.Schedules(ctx, name)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%q: %w", name, ErrNoSchedule)
	}
	if err != nil {
		return Schedule{}, err
	}
	return found[0], nil
}

// PauseSchedule pauses a schedule: it pushes nothing until it is resumed, also when the program that has set it starts again.
func (o *Operator) PauseSchedule(ctx context.Context, name string) error {
	return o.pauseSchedule(ctx, name, true)
}

// ResumeSchedule ends a pause. The schedule comes at its next time from now on; those within the pause are not made up for.
func (o *Operator) ResumeSchedule(ctx context.Context, name string) error {
	return o.pauseSchedule(ctx, name, false)
}

func (o *Operator) pauseSchedule(ctx context.Context, name string, pause bool) error {
	operation := "resume schedule"
	if pause {
		operation = "pause schedule"
	}
	t, err := o.open(ctx)
	if err != nil {
		return wrap(operation, err)
	}
	of, err := t.schedule(ctx, name)
	if err != nil || of.Paused == pause {
		return wrap(operation, err)
	}
	next := of.NextAt
	if !pause {
		if next, err = o.nextOf(ctx, of); err != nil {
			return wrap(operation, err)
		}
	}
	err = t.Tx(ctx, change{operation, of.Queue, map[string]any{"name": name}}, func(db sqldb.DB) (int, error) {
		s := t.statement("UPDATE %s SET ", t.Table("job_schedules"))
		if !pause {
			s.Add("next_at = %s, ", s.Time(next))
		}
		s.Add("paused = %s, ", s.Arg(pause))
		s.Add("updated_at = %s", s.Now())
		s.Add(" WHERE name = %s", s.Arg(of.Name))
		n, err := s.Exec(ctx, db)
		return int(n), err
	})
	return wrap(operation, err)
}

func (o *Operator) nextOf(ctx context.Context, of Schedule) (time.Time, error) {
	now, err := o.Now(ctx)
	if err != nil {
		return now, err
	}
	next, err := sqlqueue.ScheduleTimes(of.Cron, of.Every, of.Zone, of.CreatedAt, now, 1)
	if err == nil && len(next) == 0 {
		err = errors.New("it has no next time")
	}
	if err != nil {
		return now, err
	}
	return next[0], nil
}

// RunSchedule pushes a schedule's job now, and returns its id; when the schedule comes next stays. The error is a
// *sqlqueue.DuplicateError if the schedule does not overlap and its job is not done.
func (o *Operator) RunSchedule(ctx context.Context, name string) (int64, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap("run schedule", err)
	}
	of, err := t.schedule(ctx, name)
	if err != nil {
		return 0, wrap("run schedule", err)
	}
	id, err := o.recording(&change{"run schedule", of.Queue, map[string]any{"name": name}}).PushScheduled(ctx, of)
	return id, wrap("run schedule", err)
}

// RemoveSchedule deletes a schedule, or returns ErrNoSchedule. Its jobs stay.
func (o *Operator) RemoveSchedule(ctx context.Context, name string) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("remove schedule", err)
	}
	err = t.Tx(ctx, change{"remove schedule", "", map[string]any{"name": name}}, func(db sqldb.DB) (int, error) {
		s := t.statement("DELETE FROM %s", t.Table("job_schedules"))
		s.Add(" WHERE name = %s", s.Arg(name))
		n, err := s.Exec(ctx, db)
		if err == nil && n == 0 {
			err = fmt.Errorf("%q: %w", name, ErrNoSchedule)
		}
		return int(n), err
	})
	return wrap("remove schedule", err)
}

// PruneSchedules deletes the schedules of an origin that are not among those to keep, and returns their names.
func (o *Operator) PruneSchedules(ctx context.Context, origin string, keep []string) ([]string, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("prune schedules", err)
	}
	all, err := t.Schedules(ctx, "")
	if err != nil {
		return nil, wrap("prune schedules", err)
	}
	kept := map[string]bool{}
	for _, name := range keep {
		kept[name] = true
	}
	var gone []string
	for _, s := range all {
		if s.Origin != origin || kept[s.Name] {
			continue
		}
		if err := o.RemoveSchedule(ctx, s.Name); err != nil && !errors.Is(err, ErrNoSchedule) {
			return gone, wrap("prune schedules", err)
		}
		gone = append(gone, s.Name)
	}
	return gone, nil
}
