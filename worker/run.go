package worker

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"
)

// run is one reserved job on its way. The loop reads and writes it until it is started in a slot, and after the slot has handed it back;
// between, each only its own part.
type run struct {
	info   JobInfo // also of job, which the handler may change
	data   json.RawMessage
	rules  rules
	handle Handler
	failed []FailedFunc
	starts bool          // a handler runs; otherwise the job was refused
	ahead  time.Duration // by how much the database's clock is ahead of ours

	// The slots' part.
	slot    *slot        // where it runs, or has run
	started atomic.Int64 // when it was started: see slots.startOf
	claimed atomic.Bool  // its end was decided, in its slot or because it was given up

	// The loop's part.
	place     int           // among what the loop holds
	since     time.Time     // when it was reserved
	begun     bool          // when it was reserved, the start of its last try had been told: by a worker that has died
	untold    bool          // it is the last try: not to be started before that was told
	tellAt    time.Time     // when to tell
	expire    time.Duration // as last written; 0: never
	touchAt   time.Time     // when the reservation is to be touched
	gone      bool          // the reservation is known to be gone: nothing is to be written
	lostAt    time.Time     // when it was found lost to others; zero: it was not
	uncertain bool          // its settlement was sent and the answer never came
	refused   int           // how often its settlement failed alone

	// Its slot's part.
	completed   atomic.Bool // the handler has deleted the row itself
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
