package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// RunError is a run of a job that went wrong, whatever became of the job.
type RunError struct {
	ID      int64
	JobID   int64 // the id that it has, or had, as a job
	Queue   string
	Name    string // the beginning of the handler's: at most 191 characters
	Attempt int    // which try it was, from 1
	Outcome string // released, failed, discarded, kept (by a callback), or lost for a reservation that was lost
	Error   string // at most 1,000 characters
	Stack   string // at most 8,000 characters; empty: not known
	Worker  string // its name
	Took    time.Duration
	At      time.Time // when it ended
}

// MarshalJSON writes Took in milliseconds.
func (e RunError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID      int64     `json:"id"`
		JobID   int64     `json:"job_id"`
		Queue   string    `json:"queue"`
		Name    string    `json:"name"`
		Attempt int       `json:"attempt"`
		Outcome string    `json:"outcome"`
		Error   string    `json:"error"`
		Stack   string    `json:"stack"`
		Worker  string    `json:"worker"`
		TookMS  int64     `json:"took_ms"`
		At      time.Time `json:"at"`
	}{e.ID, e.JobID, e.Queue, e.Name, e.Attempt, e.Outcome, e.Error, e.Stack, e.Worker, e.Took.Milliseconds(), e.At})
}

// ErrorFilter selects runs that went wrong. Conditions left at their zero value do not restrict.
type ErrorFilter struct {
	JobID  int64 // of the job, as it was in the table of jobs
	Before int64 // only ids smaller than this: the last id of the page before
	Limit  int   // default 100, at most 1,000
}

// Errors returns the runs that went wrong, also those whose jobs run again, the newest first, a page at a time. Workers write them within
// about a second, at most 100 a second each, and keep those of 7 days, at most the newest 200,000. The texts are as the handlers said
// them.
func (o *Operator) Errors(ctx context.Context, f ErrorFilter) ([]RunError, error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkFilter(&f.Limit, nil)
	}
	if err != nil {
		return nil, wrap("errors", err)
	}
	found, err := t.runErrors(ctx, f)
	return found, wrap("errors", err)
}

func (t *tables) runErrors(ctx context.Context, f ErrorFilter) ([]RunError, error) {
	s := t.statement("SELECT id, job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, %s FROM %s",
		fmt.Sprintf(t.Dialect.Micros, "at"), t.Table("job_errors"))
	if f.JobID != 0 {
		s.Add("%s", t.Force("job_errors_job"))
	}
	s.Add(" WHERE id < %s", s.Arg(cmp.Or(f.Before, math.MaxInt64)))
	if f.JobID != 0 {
		s.Add(" AND job_id = %s", s.Arg(f.JobID))
	}
	s.Add(" ORDER BY id DESC LIMIT %d", f.Limit)
	var found []RunError
	err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var e RunError
		var took int64
		err := scan(
			sqldb.Reading(&e.ID, &e.JobID, &e.Queue, &e.Name, &e.Attempt, &e.Outcome, &e.Error, &e.Stack, &e.Worker, &took, &e.At)...,
		)
		e.Took = sqldb.Milliseconds(took)
		found = append(found, e)
		return err
	})
	return found, err
}

// How long workers keep the errors of runs, and how many of the newest.
const (
	ErrorsKept = driver.ErrorsKept
	ErrorsMost = driver.ErrorsMost
)
