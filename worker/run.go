package worker

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// run is one reserved job on its way from the reservation to its settlement. The goroutine of Run reads and writes it until it
// is started in a slot, and again after the slot has handed it back. In between, each of the two uses only its own part.
type run struct {
	info   JobInfo // also of job, which the handler may change
	shared shared  // of all copies of info
	data   json.RawMessage
	rules  rules
	handle Handler
	failed FailedFunc        // the data's own, or nil
	next   *sqlqueue.Payload // has the jobs to push when this one has ended; nil: there are none
	starts bool              // a handler runs; otherwise the job was refused

	// The slots' part.
	claimed atomic.Bool  // its end was decided, by its slot or by the keeper
	slot    *slot        // where it runs, or has run
	started atomic.Int64 // when it was started: see slots.startOf

	// The keeper's part.
	index        int           // in keeper.held
	expire       time.Duration // how long the reservation lasts, as last written; 0: for ever
	touchAt      time.Time     // when the reservation is to be touched
	progressAt   time.Time     // before when no progress is written
	lostAt       time.Time     // when it was found that the reservation is not ours any more; zero: it is ours
	wasStarted   bool          // when it was reserved, the start of its last try was written: by a worker that has died
	startPending bool          // it is the last try: not to be started before its start is written
	gone         bool          // the reservation is known to be gone: nothing is to be written

	// The part of the talk with the database.
	uncertain bool // its settlement was sent, and the answer never came
	refused   int8 // how often its settlement failed alone

	// Its slot's part.
	verdict     verdict
	took        time.Duration
	timedOut    bool
	hangs       bool // code of the application has not returned, and the job is settled without it
	interrupted bool // the end of the worker's grace ended its context
}

// refuse gives the job an end without a run.
func (r *run) refuse(err error) {
	r.handle = func(context.Context, *Job[json.RawMessage]) error { return err }
}

// claim is true for the first who asks: who decides what becomes of the job.
func (r *run) claim() bool { return r.claimed.CompareAndSwap(false, true) }
