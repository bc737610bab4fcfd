package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// FinishedJob is a row of the table of finished jobs: a job that is done and kept.
type FinishedJob = driver.Finished

// FinishedFilter selects finished jobs. Conditions left at their zero value do not restrict.
type FinishedFilter struct {
	IDs    []int64 // that they had as jobs; at most 1,000
	Queue  string
	Name   string // of the handler, at most driver.NameMost characters of it
	Before int64  // only FinishedJob.Number smaller than this: that of the last job of the page before
	Limit  int    // default 100, at most 1,000

	// TextMax cuts the payload and the result of what FinishedJobs returns to so many characters each: what is left of longer ones is no
	// JSON. 0: they are whole.
	TextMax int
}

// FinishedJobs returns jobs that are done and kept, those that finished last first, a page at a time. Payloads and results may be
// encrypted.
func (o *Operator) FinishedJobs(ctx context.Context, f FinishedFilter) ([]FinishedJob, error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkFilter(&f.Limit, f.IDs)
	}
	if err == nil && f.TextMax < 0 {
		err = fmt.Errorf("texts of %d characters: it must be at least 1, or 0 for no limit", f.TextMax)
	}
	if err != nil {
		return nil, wrap("finished jobs", err)
	}
	s := t.SelectFinished(func(column string) string { return t.start(column, f.TextMax) })
	switch { // MySQL would go through all from the newest on
	case f.IDs != nil:
		s.Add("%s", t.Force("job_finished_job"))
	case f.Queue != "":
		s.Add("%s", t.Force("job_finished_queue"))
	case f.Name != "":
		s.Add("%s", t.Force("job_finished_name"))
	}
	s.Add(" WHERE id < %s", s.Arg(cmp.Or(f.Before, math.MaxInt64)))
	if f.IDs != nil {
		s.Add(" AND %s", s.In("job_id", f.IDs))
	}
	if f.Queue != "" {
		s.Add(" AND queue = %s", s.Arg(f.Queue))
	}
	if f.Name != "" {
		s.Add(" AND name = %s", s.Arg(textOf(f.Name, driver.NameMost)))
	}
	s.Add(" ORDER BY id DESC LIMIT %d", f.Limit)
	var jobs []FinishedJob
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		j, err := sqldb.ScanFinished(scan)
		jobs = append(jobs, j)
		return err
	})
	return jobs, wrap("finished jobs", err)
}

// FinishedJob returns one job that is done and kept, by the id that it had as a job, or ErrNotFound.
func (o *Operator) FinishedJob(ctx context.Context, id int64) (FinishedJob, error) {
	jobs, err := o.FinishedJobs(ctx, FinishedFilter{IDs: []int64{id}, Limit: 1})
	if err != nil {
		return FinishedJob{}, err
	}
	if len(jobs) == 0 {
		return FinishedJob{}, wrap("finished job", fmt.Errorf("%d: %w", id, ErrNotFound))
	}
	return jobs[0], nil
}

// Progress returns how far running jobs are, by their ids, as far as their handlers have said.
func (o *Operator) Progress(ctx context.Context, ids ...int64) (map[int64]driver.Progress, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("progress", err)
	}
	progress, err := t.Progress(ctx, t.DB, ids)
	return progress, wrap("progress", err)
}

// Keep is how long finished jobs are kept: those of a queue, of each queue of a pattern, or under * of every queue of which nothing nearer
// says so. For is 0 if they are not kept.
type Keep struct {
	Queue string
	For   time.Duration
}

// Keeps returns what was said about keeping finished jobs, by name.
func (o *Operator) Keeps(ctx context.Context) ([]Keep, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("keeps", err)
	}
	_, said, err := t.Rules(ctx)
	var keeps []Keep
	for queue, d := range said {
		keeps = append(keeps, Keep{cmp.Or(queue, "*"), d})
	}
	slices.SortFunc(keeps, func(a, b Keep) int { return strings.Compare(a.Queue, b.Queue) })
	return keeps, wrap("keeps", err)
}

// KeepOf returns how long finished jobs of a queue are kept by what Keeps has returned; 0: not at all. A job can say otherwise for itself.
func KeepOf(all []Keep, queue string) time.Duration {
	said := map[string]time.Duration{}
	for _, k := range all {
		said[strings.TrimPrefix(k.Queue, "*")] = k.For
	}
	return driver.KeepOf(said, queue)
}

// SetKeep says how long jobs of a queue or a pattern are kept that finish from now on, to the millisecond; 0: not at all, also if a pattern
// says otherwise. Workers obey for jobs that they reserve a second later. What is kept already stays as long as was said then.
func (o *Operator) SetKeep(ctx context.Context, k Keep) error {
	switch {
	case k.For < 0 || k.For > rule.MaxDelay:
		return wrap("keep", fmt.Errorf("keep for %v: it must be between 0 (not at all) and a hundred years", k.For))
	case k.For > 0 && k.For < time.Millisecond:
		return wrap("keep", fmt.Errorf("keep for %v: it must be at least 1 ms", k.For))
	}
	ms := k.For.Milliseconds()
	return o.setKeep(ctx, k.Queue, &ms)
}

// ResetKeep takes back what SetKeep has said about a queue or a pattern.
func (o *Operator) ResetKeep(ctx context.Context, queue string) error {
	return o.setKeep(ctx, queue, nil)
}

func (o *Operator) setKeep(ctx context.Context, queue string, ms *int64) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("keep", err)
	}
	if err := sqlqueue.CheckQueueName(queue); err != nil {
		return wrap("keep", err)
	}
	if stars := strings.Count(queue, "*"); stars > 1 || stars == 1 && !driver.IsPattern(queue) {
		return wrap("keep", fmt.Errorf("the queue %q: a pattern ends in /*, such as mail/*, or is *", queue))
	}
	said := map[string]any{"off": true}
	if ms != nil {
		said = map[string]any{"for": sqldb.Milliseconds(*ms).String()}
	}
	row := strings.TrimPrefix(queue, "*")
	return wrap("keep", t.Tx(ctx, change{"keep", queue, said}, func(db sqldb.DB) (int, error) {
		value := "NULL"
		if ms != nil {
			s := t.statement("INSERT INTO %s (queue) VALUES ", t.Table("job_queues"))
			s.Add("(%s)%s", s.Arg(row), t.Dialect.OnConflict)
			if _, err := s.Exec(ctx, db); err != nil {
				return 0, err
			}
			value = fmt.Sprint(*ms)
		}
		s := t.statement("UPDATE %s SET keep_ms = %s", t.Table("job_queues"), value)
		s.Add(" WHERE queue = %s", s.Arg(row))
		n, err := s.Exec(ctx, db)
		return int(n), err
	}))
}
