package driver

import (
	"context"
	"encoding/json"
	"time"
)

// Schedule is a row of the table of schedules: a job that is pushed again and again. Either Cron or Every is given.
type Schedule struct {
	Name      string          `json:"name"`
	Cron      string          `json:"cron,omitempty"`
	Every     string          `json:"every,omitempty"`
	Zone      string          `json:"zone"`
	Queue     string          `json:"queue"`
	Priority  int16           `json:"priority"`
	Payload   json.RawMessage `json:"payload"`
	Missed    string          `json:"missed"` // skip, one or all
	CatchUp   time.Duration   `json:"-"`
	Overlap   string          `json:"overlap"` // allow or skip
	Paused    bool            `json:"paused"`
	Origin    string          `json:"origin"`
	NextAt    time.Time       `json:"next_at,omitzero"` // zero: not known yet
	LastAt    time.Time       `json:"last_at,omitzero"` // zero: it has not come yet
	LastJobID int64           `json:"last_job_id,omitzero"`
	Runs      int64           `json:"runs"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"`
}

// Tick is one or several times of a schedule.
type Tick struct {
	Name string
	At   time.Time // its NextAt, as it was read; zero: it has none
	Next time.Time // its NextAt from now on
	Last time.Time // its LastAt from now on; zero: the same as before
	Jobs []NewJob  // to push; a job whose unique key is held is left out

	// Pause pauses the schedule, because its row is wrong.
	Pause bool
}

// Scheduler is a Store that keeps schedules.
type Scheduler interface {
	// SetSchedule inserts a schedule, or changes the fields from Cron to Overlap, and Origin. It writes NextAt if the schedule is new or
	// moved is true. The other fields stay.
	SetSchedule(ctx context.Context, s Schedule, moved bool) error

	// Schedules returns all schedules, by name, or the one that has the name.
	Schedules(ctx context.Context, name string) ([]Schedule, error)

	// DueSchedules returns at most 100 schedules that are due by the database's clock, or have no NextAt, in the order of NextAt; the time
	// of the next one that is not due, or zero; and the clock.
	DueSchedules(ctx context.Context) (due []Schedule, next, now time.Time, err error)

	// Tick changes the schedule and pushes the jobs in one transaction, if the schedule's NextAt is still At and it is not paused. It
	// reports whether it did. It skips a schedule that another transaction has locked.
	Tick(ctx context.Context, t Tick) (bool, error)
}
