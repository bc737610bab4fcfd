package worker

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Job is what a handler gets: a job that its worker has reserved, with its data as a T.
type Job[T any] struct {
	// Data is the job's data, as the Queue's Codec reads it into a T.
	Data T

	JobInfo
}

// JobInfo is what is known of a job besides its data. Copies stand for the same job.
type JobInfo struct {
	ID          int64 // 0 in sync mode
	Queue       string
	Name        string // found its handler
	Attempts    int    // 1 on the first run
	Exceptions  int    // how many runs before this one have ended with an error
	Priority    int16
	Payload     json.RawMessage // as it is in the table, but decrypted; do not change it
	AvailableAt time.Time       // zero in sync mode, like CreatedAt
	CreatedAt   time.Time
	Trace       sqlqueue.Trace // the trace context in which it was pushed, or empty

	by        string
	codec     sqlqueue.Codec
	completed *atomic.Bool // the handler has deleted the row itself; nil in sync mode
	result    *result      // nil: nobody asks for it
	keep      *driver.Keep // how the job is kept when it is done, without its result; nil: it is not
	progress  *progress    // nil: nobody asks for it
	log       *atomic.Pointer[logWith]
	slots     *slots // of the worker that runs it; nil: no worker does
}

// Reservation names the job's reservation, for Queue.Hold and Queue.Delete.
func (j JobInfo) Reservation() sqlqueue.Reservation { return sqlqueue.Reservation{ID: j.ID, By: j.by} }

// Tick is the time for which a schedule has pushed the job, in the schedule's zone; zero: it was not pushed by a schedule.
func (j JobInfo) Tick() time.Time {
	payload, err := sqlqueue.ParsePayload(j.Payload)
	if err != nil {
		return time.Time{}
	}
	return payload.Tick
}

// Completed is called by Queue.Delete when it has removed the job's row: the worker then does not take the missing row for a lost
// reservation. If the transaction of Delete rolls back, the worker settles the job as always.
func (j JobInfo) Completed() {
	if j.completed != nil {
		j.completed.Store(true)
	}
}

func infoOf(job sqlqueue.Job, codec sqlqueue.Codec) JobInfo {
	return JobInfo{
		ID: job.ID, Queue: job.Queue, Attempts: job.Attempts, Exceptions: job.Exceptions, Priority: job.Priority, Payload: job.Payload,
		AvailableAt: job.AvailableAt, CreatedAt: job.CreatedAt, by: job.ReservedBy, codec: codec,
	}
}

// InfoFrom returns the job that a method Handle or Failed of the data itself is called for: see HandleSelf.
func InfoFrom(ctx context.Context) (JobInfo, bool) {
	info, ok := ctx.Value(infoKey{}).(JobInfo)
	return info, ok
}

type infoKey struct{}

func withInfo(ctx context.Context, info JobInfo) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}
