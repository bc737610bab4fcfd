package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// How often Wait looks: first after firstLook, then half as long again each time, up to lastLook.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = time.Second
)

// ErrNotKept means that nothing is known of the job. It was done and not kept, its time of keeping has passed, it was cancelled, or it
// never existed. From Wait.
var ErrNotKept = errors.New("nothing is known of the job: it is not kept, or there was none")

// FinishedJob is a job that is done and kept.
type FinishedJob struct {
	driver.Finished
	codec Codec
}

// ReadResult reads the result that the job's handler gave to SetResult into the value that v points to. It is an error if there is none.
func (f *FinishedJob) ReadResult(v any) error {
	if f.Result == nil {
		return wrap("result", fmt.Errorf("job %d has no result", f.ID))
	}
	return wrap("result", f.codec.Unmarshal(f.Result, v))
}

// JobFailedError says that a job has failed for good. From Wait.
type JobFailedError struct {
	ID       int64  // of the job
	FailedID int64  // of the failed job, for operators' Retry; 0: it is not known, or the job was retried or forgotten
	Reason   string // the error of its last run
}

func (e *JobFailedError) Error() string { return fmt.Sprintf("job %d has failed: %s", e.ID, e.Reason) }

// Wait waits until a job has ended. It returns the job with its result if it is done and kept: see Keep. A job that its handler discarded
// has the Outcome driver.Discarded. The error is a *JobFailedError if the job has failed for good, and ErrNotKept if nothing is known of
// it, also at once. While a job is tried again, Wait goes on; a failed job that an operator retries is a new job, with a new id. Wait has
// no limit but ctx, whose error it then returns.
//
// It asks the database for the job by its id: first after 10 ms, then less and less often, at last once a second. A Queue that is bound to
// a transaction cannot wait: wait after the commit.
func (q *Queue) Wait(ctx context.Context, id int64) (*FinishedJob, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("wait", err)
	}
	keeper, ok := driver.As[interface {
		driver.Store
		driver.Keeper
	}](store)
	switch {
	case !ok:
		return nil, wrap("wait", errors.ErrUnsupported)
	case id < 1:
		return nil, wrap("wait", fmt.Errorf("the id of the job is %d: it must be at least 1", id))
	}
	for pause := firstLook; ; pause = min(pause*3/2, lastLook) {
		ended, err := keeper.Ended(ctx, id)
		switch {
		case err != nil:
			return nil, wrap("wait", err)
		case ended.Finished != nil:
			return q.finished(*ended.Finished)
		case ended.Failed != 0 || ended.Error != "":
			return nil, wrap("wait", &JobFailedError{ID: id, FailedID: ended.Failed, Reason: ended.Error})
		case !ended.Waits:
			return nil, wrap("wait", fmt.Errorf("job %d: %w", id, ErrNotKept))
		}
		select {
		case <-time.After(pause - rand.N(pause/4)):
		case <-ctx.Done():
			return nil, wrap("wait", fmt.Errorf("job %d has not ended: %w", id, context.Cause(ctx)))
		}
	}
}

// finished is a job with its result in plain.
func (q *Queue) finished(f driver.Finished) (*FinishedJob, error) {
	if f.Result != nil {
		result, err := q.decrypt("", f.Result)
		if err != nil {
			return nil, wrap("wait", fmt.Errorf("the result of job %d: %w", f.ID, err))
		}
		f.Result = result
	}
	return &FinishedJob{f, q.config.Codec}, nil
}
