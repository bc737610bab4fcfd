package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// ErrorGroup is runs of one queue and one name that went wrong with like errors.
type ErrorGroup struct {
	Queue string    `json:"queue"`
	Name  string    `json:"name"`
	Error string    `json:"error"` // its beginning, with a * for what differs
	Runs  int64     `json:"runs"`
	Jobs  int64     `json:"jobs"`  // of how many jobs
	Ended int64     `json:"ended"` // runs after which the job did not run again: it has failed for good, or was discarded
	First time.Time `json:"first_at"`
	Last  time.Time `json:"last_at"`
	ID    int64     `json:"id"`     // of the newest run: see Operator.RunError
	JobID int64     `json:"job_id"` // of its job
	Trend []int64   `json:"trend"`  // runs in each of 60 equal parts of the time, the newest at the end
}

// trendParts is how many parts of the time a trend has.
const trendParts = 60

// ErrorGroups groups the runs of the last since that went wrong, also those whose jobs run again, by queue, name and like errors, as
// FailedGroups does. It looks at the newest most runs. The largest group comes first.
func (o *Operator) ErrorGroups(ctx context.Context, since time.Duration, most int) ([]ErrorGroup, error) {
	t, err := o.open(ctx)
	if err == nil && (since <= 0 || most < 1) {
		err = fmt.Errorf("the newest %d errors of %v: both must be more than 0", most, since)
	}
	if err != nil {
		return nil, wrap("error groups", err)
	}
	groups, err := t.errorGroups(ctx, since, most)
	return groups, wrap("error groups", err)
}

// RunError returns one run that went wrong, or ErrNotFound: it was deleted, or there never was one.
func (o *Operator) RunError(ctx context.Context, id int64) (RunError, error) {
	if id < 1 || id == math.MaxInt64 {
		return RunError{}, wrap("error", ErrNotFound)
	}
	found, err := o.Errors(ctx, ErrorFilter{Before: id + 1, Limit: 1})
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = wrap("error", ErrNotFound)
	}
	if err != nil {
		return RunError{}, err
	}
	return found[0], nil
}

func (t *tables) errorGroups(ctx context.Context, since time.Duration, most int) ([]ErrorGroup, error) {
	now, err := t.Clock(ctx)
	if err != nil {
		return nil, err
	}
	begin := now.Add(-since)
	type key struct{ queue, name, error string }
	at := map[key]*ErrorGroup{}
	jobs := map[key]map[int64]bool{}
	before := int64(math.MaxInt64)
	for left, old := most, false; left > 0 && !old; {
		n, read := min(left, 10*batch), 0
		s := t.statement("SELECT id, job_id, queue, name, outcome, substr(error, 1, 200), %s FROM %s",
			fmt.Sprintf(t.Dialect.Micros, "at"), t.Table("job_errors"))
		s.Add(" WHERE id < %s ORDER BY id DESC LIMIT %d", s.Arg(before), n)
		if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
			var e RunError
			err := scan(sqldb.Reading(&e.ID, &e.JobID, &e.Queue, &e.Name, &e.Outcome, &e.Error, &e.At)...)
			read, before = read+1, e.ID
			if e.At.Before(begin) {
				old = old || begin.Sub(e.At) > time.Minute // ids of several workers are not quite in the order of time
				return err
			}
			k := key{e.Queue, e.Name, like(e.Error)}
			if at[k] == nil {
				at[k] = &ErrorGroup{
					Queue: e.Queue, Name: e.Name, Error: k.error, First: e.At,
					Last: e.At, ID: e.ID, JobID: e.JobID, Trend: make([]int64, trendParts),
				}
				jobs[k] = map[int64]bool{}
			}
			at[k].count(e, begin, since)
			jobs[k][e.JobID] = true
			return err
		}); err != nil {
			return nil, err
		}
		if left -= read; read < n {
			break
		}
	}
	var groups []ErrorGroup
	for k, g := range at {
		g.Jobs = int64(len(jobs[k]))
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b ErrorGroup) int { return cmp.Or(cmp.Compare(b.Runs, a.Runs), cmp.Compare(b.ID, a.ID)) })
	return groups, nil
}

func (g *ErrorGroup) count(e RunError, begin time.Time, since time.Duration) {
	g.Runs++
	if e.Outcome == "failed" || e.Outcome == "discarded" {
		g.Ended++
	}
	if e.At.Before(g.First) {
		g.First = e.At
	}
	if e.At.After(g.Last) {
		g.Last = e.At
	}
	part := int(float64(e.At.Sub(begin)) / float64(since) * trendParts)
	g.Trend[max(0, min(part, trendParts-1))]++
}
