package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

var _ sqlqueue.Runner = (*Mux)(nil)

// RunJob runs a job's handler in this goroutine, for sync mode, and returns its error. There is no row, and no second try:
// Discard is no error, Fail(err) is err, Release, Snooze and Throttle are errors. A panic is a *PanicError. Settings for tries and
// timeouts do not count, and no FailedFunc is called. Applications do not call it: see sqlqueue.Config.Sync.
func (m *Mux) RunJob(ctx context.Context, q *sqlqueue.Queue, job sqlqueue.Job) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	payload, err := sqlqueue.ParsePayload(job.Payload)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	handle := m.find(payload.Job).handle
	if handle == nil {
		return fmt.Errorf("worker: job %q: %w", payload.Job, ErrNoHandler)
	}
	info := infoOf(&job, &shared{origin: &origin{by: job.ReservedBy, codec: q.Config().Codec}})
	info.Name, info.Trace = payload.Job, payload.Trace
	err = protect(func() error { return handle(ctx, &Job[json.RawMessage]{Data: payload.Data, JobInfo: info}) })

	if err == nil {
		return m.runNext(ctx, q, payload, info)
	}
	said := outcomeOf(err)
	if said == nil || said.kind == kept {
		return err
	}
	switch said.kind {
	case discarded:
		return nil
	case failed:
		if said.err != nil {
			return said.err
		}
		return errors.New(said.Error())
	default:
		return fmt.Errorf("worker: job %q was %w: a job in sync mode cannot be put back", payload.Job, errors.New(said.Error()))
	}
}

// runNext runs the jobs after one that is done, at once and one after the other. What they return is the error of the push.
func (m *Mux) runNext(ctx context.Context, q *sqlqueue.Queue, done sqlqueue.Payload, info JobInfo) error {
	jobs, err := done.NextJobs(info.Queue, info.asParent(""))
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	for _, job := range jobs {
		next := sqlqueue.Job{Queue: job.Queue, Priority: job.Priority, Payload: job.Payload, Attempts: 1}
		if err := m.RunJob(ctx, q, next); err != nil {
			return err
		}
	}
	return nil
}
