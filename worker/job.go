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

	shared *shared // nil: the application has made it; see with
}

// shared is what all copies of a JobInfo have together with what runs the job.
type shared struct {
	*origin
	keep      *driver.Keep // how the job is kept when it is done, without its result; nil: it is not
	completed atomic.Bool  // the handler has deleted the row itself
	result    atomic.Pointer[json.RawMessage]
	progress  atomic.Pointer[driver.Progress] // as far as it is not written; nil: nothing
	log       atomic.Pointer[logWith]
}

// origin is what all jobs of one answer of the database have in common.
type origin struct {
	by    string
	codec sqlqueue.Codec
	slots *slots        // of the worker that runs them; nil: no worker does
	at    time.Time     // when they were reserved, by our clock
	ahead time.Duration // by how much the database's clock is ahead of ours
}

// with is what the job has together with what runs it: of one that nothing runs, nobody reads it.
func (j JobInfo) with() *shared {
	if j.shared == nil {
		return &shared{origin: &origin{codec: sqlqueue.JSON}}
	}
	return j.shared
}

// Reservation names the job's reservation, for Queue.Hold and Queue.Delete.
func (j JobInfo) Reservation() sqlqueue.Reservation {
	return sqlqueue.Reservation{ID: j.ID, By: j.with().by}
}

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
func (j JobInfo) Completed() { j.with().completed.Store(true) }

func infoOf(job *sqlqueue.Job, with *shared) JobInfo {
	return JobInfo{
		ID: job.ID, Queue: job.Queue, Attempts: job.Attempts, Exceptions: job.Exceptions, Priority: job.Priority, Payload: job.Payload,
		AvailableAt: job.AvailableAt, CreatedAt: job.CreatedAt, shared: with,
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
