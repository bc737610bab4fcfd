package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	unknownDelay    = time.Minute // how long a job without a handler waits
	callbackTimeout = time.Minute // how long a FailedFunc may take
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
	uncertain bool          // its settlement was sent and the answer never came
	refused   int           // how often its settlement failed alone

	// Its slot's part.
	completed   atomic.Bool // the handler has deleted the row itself
	verdict     verdict
	took        time.Duration
	timedOut    bool
	interrupted bool // the end of the worker's grace ended its context
}

// admit prepares a reserved job for its run: it finds the handler, or the reason why there is nothing to run.
func (l *loop) admit(job sqlqueue.Job, now time.Time) *run {
	r := &run{info: infoOf(job, l.queue.Config().Codec), since: time.Now(), begun: job.Started}
	r.ahead = now.Sub(r.since)
	r.info.completed = &r.completed
	payload, err := sqlqueue.ParsePayload(job.Payload)
	r.info.Name = payload.Job
	r.data = payload.Data
	e := l.mux.find(payload.Job)
	r.rules = rulesOf(payload, e.settings, &l.config)
	switch {
	case err != nil:
		r.refuse(Fail(err))
	case e.handle == nil:
		r.refuse(&outcome{kind: unknown, delay: unknownDelay, err: ErrNoHandler})
	default:
		if err := r.rules.refuse(job, now); err != nil {
			r.refuse(err)
		} else {
			r.handle, r.starts, r.untold = e.handle, true, r.rules.spent(job.Attempts)
		}
	}
	for _, f := range []FailedFunc{e.failed, l.config.OnFailed} {
		if f != nil {
			r.failed = append(r.failed, f)
		}
	}
	return r
}

// refuse gives the job an end without a run.
func (r *run) refuse(err error) {
	r.handle = func(context.Context, *Job[json.RawMessage]) error { return err }
}

// claim is true for the first who asks: who decides what becomes of the job.
func (r *run) claim() bool { return r.claimed.CompareAndSwap(false, true) }

// execute is the whole of a job in its slot: it runs the handler under ctx, decides what becomes of the job, with callbacks under a context
// that lasts longer, and hands the job back to the loop.
func (l *loop) execute(ctx, callbacks context.Context, r *run) {
	if r.starts {
		l.log.processing(r)
		l.emit(l.config.Events.Processing != nil, func() { l.config.Events.Processing(r.info) })
	}
	cancel := func() {}
	switch {
	case !r.starts:
	case r.rules.timeout > 0:
		ctx, cancel = context.WithTimeoutCause(ctx, r.rules.timeout, timeoutError(r.rules.timeout))
	default:
		ctx, cancel = context.WithCancel(ctx)
	}
	var err error
	returned := false
	started := time.Now()
	defer func() {
		if !returned {
			err = &PanicError{Stack: string(debug.Stack())} // still has the frames of runtime.Goexit's caller
		}
		cause := context.Cause(ctx)
		cancel()
		late := !r.claim()
		defer l.slots.end(r, late) // also when a callback ends the goroutine
		if late {
			return
		}
		if r.starts {
			r.took = time.Since(started)
		}
		l.conclude(callbacks, r, err, cause)
	}()
	err = protect(func() error { return r.handle(ctx, &Job[json.RawMessage]{Data: r.data, JobInfo: r.info}) })
	returned = true
}

// conclude decides what becomes of a job whose handler has returned err, the cause of its context's end being cause.
func (l *loop) conclude(ctx context.Context, r *run, err, cause error) {
	if errors.Is(cause, sqlqueue.ErrReservationLost) {
		r.verdict = verdict{kind: dropped, err: err}
		r.verdict.write()
		return
	}
	r.timedOut, r.interrupted = errors.Is(cause, ErrTimedOut), errors.Is(cause, ErrStopped)
	for _, why := range []error{ErrTimedOut, ErrStopped} {
		if err != nil && errors.Is(cause, why) && !errors.Is(err, why) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}

	now := time.Now().Add(r.ahead)
	broken := protect(func() error {
		r.verdict = r.rules.judge(err, r.info, now)
		return nil
	})
	if broken != nil { // by the application's Backoff, or a method of its error
		safe := r.rules
		safe.backoff = ExponentialBackoff(defaultBackoffFirst, defaultBackoffMost)
		r.verdict = safe.judge(broken, r.info, now)
	}
	r.verdict.write()
	if r.verdict.kind == failed {
		r.verdict.instead = l.tellFailed(ctx, r)
	}
}

// tellFailed asks the callbacks what is to become of a failed job: discarded, kept, or 0 for a failed job.
func (l *loop) tellFailed(ctx context.Context, r *run) kind {
	ctx, cancel := context.WithTimeout(ctx, callbackTimeout)
	defer cancel()
	for _, callback := range r.failed {
		err := protect(func() error {
			return callback(ctx, &Job[json.RawMessage]{Data: r.data, JobInfo: r.info}, r.verdict.err)
		})
		var said *outcome
		switch {
		case err == nil:
		case errors.As(err, &said) && (said.kind == discarded || said.kind == kept):
			return said.kind
		default:
			l.log.callbackFailed(r, err)
		}
	}
	return 0
}
