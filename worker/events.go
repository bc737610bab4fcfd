package worker

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Events are functions that a worker calls when something happens. Each may be nil. They are called one at a time, by the goroutine
// that also keeps the reservations alive, so they must return soon; only Processing is called by the goroutine of its job, several at
// once. A panic in one is logged. What happens around each job, in the goroutine of the job, is middleware's: see Mux.Use.
type Events struct {
	Starting func(worker driver.Worker)
	Idle     func()              // no job is due and none is running; not called again until one was found
	Stopping func(reason string) // no more jobs are reserved; those that run are waited for

	Reserved   func(job JobInfo) // also of a job that will not run; its Name is empty if the payload has none
	Processing func(job JobInfo) // its handler starts

	// These are called when the end of a run has been written to the database.
	Processed func(job JobInfo, result Result) // done or discarded: the row is gone
	Released  func(job JobInfo, result Result) // put back: after an error, by Release, Snooze or Throttle, or for want of a handler
	Failed    func(job JobInfo, result Result) // moved to the failed jobs, or what a FailedFunc made of it

	TimedOut func(job JobInfo) // comes before Processed, Released or Failed
	Lost     func(job JobInfo) // the reservation was lost
	Stuck    func(job JobInfo) // the handler has not returned Config.StuckAfter after its timeout or after Lost: it keeps its slot
}

// Result is how a run of a job ended.
type Result struct {
	Outcome  Outcome
	TimedOut bool

	Waited time.Duration // from when the job was due until its handler started; 0 if it did not run

	Took  time.Duration // by the handler; 0 if it did not run
	Delay time.Duration // Released: until the job is available again
	Err   error         // nil if the handler returned none; otherwise what is wrong, or who asked for it
}
