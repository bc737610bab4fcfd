package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// FailedJob is a row of the table of failed jobs.
type FailedJob struct {
	ID        int64           `json:"id"`
	JobID     int64           `json:"job_id"` // the id that it had as a job
	Queue     string          `json:"queue"`
	Priority  int16           `json:"priority"`
	Payload   json.RawMessage `json:"payload"`
	Attempts  int             `json:"attempts"`
	UniqueKey string          `json:"unique_key,omitempty"`
	Error     string          `json:"error"`
	Stack     string          `json:"stack"`
	CreatedAt time.Time       `json:"created_at"`
	FailedAt  time.Time       `json:"failed_at"`
}

// FailedFilter selects failed jobs. Conditions left at their zero value do not restrict.
type FailedFilter struct {
	IDs       []int64 // ids of failed jobs, not the ids that they had as jobs; at most 1,000
	Queue     string
	Name      string        // the handler's name in the payload
	Error     string        // a part of the error; each * in it stands for any text
	OlderThan time.Duration // failed at least so long ago
	Before    int64         // only ids smaller than this: the last id of the page before
	Limit     int           // default 100, at most 1,000

	// TextMax cuts the payload, the error and the stack of what FailedJobs returns to so many characters each: what is left of a
	// longer payload is no JSON. 0: they are whole.
	TextMax int
}

// failedChange is what ChangeFailed does.
type failedChange int

// The changes.
const (
	retryFailed  failedChange = iota + 1 // back to the jobs: with a new id, no attempts, available now
	forgetFailed                         // deleted
)

// FailedGroup is failed jobs of one queue and one name with like errors.
type FailedGroup struct {
	Queue string    `json:"queue"`
	Name  string    `json:"name"`
	Error string    `json:"error"` // its beginning, with a * for what differs: FailedFilter.Error takes it
	Count int64     `json:"count"`
	First time.Time `json:"first_failed_at"`
	Last  time.Time `json:"last_failed_at"`
	ID    int64     `json:"id"` // of the newest
}

// FailedJobs returns failed jobs, the newest first, a page at a time: FailedFilter.Before takes the last id of the page before.
func (o *Operator) FailedJobs(ctx context.Context, f FailedFilter) ([]FailedJob, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("failed jobs", err)
	}
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return nil, wrap("failed jobs", err)
	}
	if f.TextMax < 0 {
		return nil, wrap("failed jobs", fmt.Errorf("texts of %d characters: it must be at least 1, or 0 for no limit", f.TextMax))
	}
	jobs, err := t.failedJobs(ctx, f)
	return jobs, wrap("failed jobs", err)
}

// FailedJob returns one failed job by its own id, or ErrNotFound.
func (o *Operator) FailedJob(ctx context.Context, id int64) (FailedJob, error) {
	jobs, err := o.FailedJobs(ctx, FailedFilter{IDs: []int64{id}})
	if err != nil {
		return FailedJob{}, err
	}
	if len(jobs) == 0 {
		return FailedJob{}, wrap("failed job", fmt.Errorf("%d: %w", id, ErrNotFound))
	}
	return jobs[0], nil
}

// FailedGroups groups the newest failed jobs that pass the filter, at most most of them, by queue, name and like errors: their words with
// digits are taken for the same, unless they are a status such as HTTP 404 or exit status 1. The largest group comes first. The filter's
// Limit is not used.
func (o *Operator) FailedGroups(ctx context.Context, f FailedFilter, most int) ([]FailedGroup, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("failed groups", err)
	}
	if most < 1 {
		return nil, wrap("failed groups", fmt.Errorf("groups of %d failed jobs: it must be at least 1", most))
	}
	f.Limit = 0
	if err := checkFilter(&f.Limit, f.IDs); err != nil {
		return nil, wrap("failed groups", err)
	}
	f.Limit = most
	groups, err := t.failedGroups(ctx, f)
	return likeErrors(groups), wrap("failed groups", err)
}

// Retry moves all failed jobs that pass the filter back to their queues, with new ids, no attempts and available now, a thousand in a
// transaction, and returns how many it moved. Jobs whose unique key another job has by now stay failed, and are named by a
// *sqlqueue.DuplicateError; ids that are not there by ErrNotFound. The filter's Limit is not used. Progress: see CancelAll.
func (o *Operator) Retry(ctx context.Context, f FailedFilter, progress ...func(retried int)) (int, error) {
	return o.changeFailed(ctx, "retry", f, retryFailed, progress)
}

// Forget deletes all failed jobs that pass the filter, a thousand in a transaction, and returns how many it deleted. Ids that are not
// there cause ErrNotFound. The filter's Limit is not used. Progress: see CancelAll.
func (o *Operator) Forget(ctx context.Context, f FailedFilter, progress ...func(forgotten int)) (int, error) {
	return o.changeFailed(ctx, "forget", f, forgetFailed, progress)
}

// changeFailed goes through all failed jobs that pass the filter, from the newest to the oldest.
func (o *Operator) changeFailed(ctx context.Context, operation string, f FailedFilter, c failedChange, progress []func(int)) (int, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap(operation, err)
	}
	var total int
	var duplicates []sqlqueue.Duplicate
	var errs []error
	page := func() (seen int, err error) {
		f.Limit = batch
		ids, left, err := t.changeFailed(ctx, f, c)
		total += len(ids)
		tell(progress, total)
		duplicates = append(duplicates, left...)
		for _, d := range left {
			ids = append(ids, d.Failed)
		}
		if f.IDs != nil && err == nil {
			for _, id := range missing(f.IDs, ids) {
				errs = append(errs, fmt.Errorf("failed job %d: %w", id, ErrNotFound))
			}
		}
		if len(ids) > 0 {
			f.Before = slices.Min(ids)
		}
		return len(ids), err
	}
	if f.IDs != nil {
		for ids := range slices.Chunk(f.IDs, batch) {
			f.IDs, f.Before = ids, 0
			if _, err := page(); err != nil {
				return total, wrap(operation, err)
			}
		}
	} else {
		for more := true; more; {
			seen, err := page()
			if err != nil {
				return total, wrap(operation, err)
			}
			more = seen == batch
		}
	}
	if duplicates != nil {
		errs = append(errs, &sqlqueue.DuplicateError{Duplicates: duplicates})
	}
	return total, wrap(operation, errors.Join(errs...))
}
