package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// SetResult gives a value to the jobs that are pushed when this one is done (sqlqueue.Then): they read it with ParentResult. If the job is
// kept, it is kept with it, for Queue.Wait and operators. The last value counts. It may have 64 KiB as the Queue's Codec writes it; more is
// an error, and so is a value that the Codec does not take.
func (j JobInfo) SetResult(v any) error {
	text, err := j.with().codec.Marshal(v)
	if err == nil {
		err = sqlqueue.CheckResult(text)
	}
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	j.with().result.Store(&text)
	return nil
}

// SetResult is JobInfo.SetResult for a method Handle of the data itself, by its context.
func SetResult(ctx context.Context, v any) error {
	info, ok := InfoFrom(ctx)
	if !ok {
		return errors.New("worker: SetResult needs the context of a handler of HandleSelf: use SetResult of the *worker.Job")
	}
	return info.SetResult(v)
}

// Parent tells how the job ended that has pushed this one by its Then or Catch, or the batch; nil: nothing of the kind has.
func (j JobInfo) Parent() *sqlqueue.Parent {
	payload, err := sqlqueue.ParsePayload(j.Payload)
	if err != nil {
		return nil
	}
	return payload.Parent
}

// ParentResult reads the result of the job before into the value that v points to. It is an error if there is none.
func (j JobInfo) ParentResult(v any) error {
	parent := j.Parent()
	if parent == nil || parent.Result == nil {
		return errors.New("worker: the job has no result of a job before it")
	}
	if err := j.with().codec.Unmarshal(parent.Result, v); err != nil {
		return fmt.Errorf("worker: the result of job %d: %w", parent.ID, err)
	}
	return nil
}

// NextJobs are the jobs that Queue.Delete pushes when it deletes this job: those of its Then.
func (j JobInfo) NextJobs() ([]driver.NewJob, error) {
	payload, err := sqlqueue.ParsePayload(j.Payload)
	if err != nil || payload.Then == nil {
		return nil, err
	}
	return payload.NextJobs(j.Queue, j.asParent(""))
}

// asParent is what the jobs after this one are told of it. Failure is why it failed, or empty.
func (j JobInfo) asParent(failure string) sqlqueue.Parent {
	parent := sqlqueue.Parent{ID: j.ID, Error: failure}
	if failure == "" {
		if text := j.with().result.Load(); text != nil {
			parent.Result = *text
		}
	}
	return parent
}

// nextJobs are the jobs to push when the run's end is written.
func (r *run) nextJobs() []driver.NewJob {
	failure := ""
	switch r.verdict.kind {
	case processed:
	case failed:
		if failure = r.verdict.text; failure == "" {
			failure = "failed without a reason"
		}
	default:
		return nil
	}
	jobs, err := r.next.NextJobs(r.info.Queue, r.info.asParent(failure))
	if err != nil { // it was checked when it was read
		return nil
	}
	return jobs
}
