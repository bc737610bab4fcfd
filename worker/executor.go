package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	unknownDelay    = time.Minute // how long a job without a handler or a key waits
	callbackTimeout = time.Minute // how long a FailedFunc may take
)

// executor prepares reserved jobs, runs their handlers and decides what becomes of them. Its methods may be called by several
// goroutines at once: those of the slots run jobs, that of Run prepares them.
type executor struct {
	queue  *sqlqueue.Queue
	mux    *Mux
	config *Config
	log    *journal
	slots  *slots
	keep   map[string]time.Duration // Exchanged.Keep; used by prepare
}

// originOf returns what the jobs that an answer has reserved have in common.
func (e *executor) originOf(answer driver.Exchanged, now time.Time) *origin {
	return &origin{
		by: answer.Reserved[0].ReservedBy, codec: e.queue.Config().Codec, slots: e.slots, at: now, ahead: answer.Now.Sub(now),
	}
}

// prepare makes a reserved job ready to run, at now by the database's clock: it finds the handler, or the reason why the job must not run.
func (e *executor) prepare(job *sqlqueue.Job, from *origin, now time.Time) *run {
	r := &run{shared: shared{origin: from}, wasStarted: job.Started}
	r.info = infoOf(job, &r.shared)
	payload, err := sqlqueue.ParsePayload(job.Payload)
	var locked error
	if err == nil && payload.IsEncrypted() {
		payload, locked = e.decrypt(r, payload)
	}
	r.info.Name, r.info.Trace = payload.Job, payload.Trace
	r.data = payload.Data
	if err == nil && (payload.Then != nil || payload.Catch != nil) {
		next := payload // a copy, so that only such a payload is kept
		r.next = &next
	}
	r.shared.keep = e.keepOf(payload.Keep, payload.Job, job.Queue)
	found := e.mux.find(payload.Job)
	r.failed = found.failed
	r.rules = rulesOf(payload, found.settings, e.config)
	switch {
	case err != nil:
		r.refuse(Fail(err))
	case found.handle == nil:
		r.refuse(&outcome{kind: unknown, delay: unknownDelay, err: ErrNoHandler})
	case errors.Is(locked, sqlqueue.ErrNoKey):
		r.refuse(&outcome{kind: noKey, delay: unknownDelay, err: locked})
	case locked != nil:
		r.refuse(Fail(locked))
	default:
		if err := r.rules.refuse(job, now); err != nil {
			r.refuse(err)
		} else {
			r.handle, r.starts, r.startPending = found.handle, true, r.rules.spent(job.Attempts)
		}
	}
	return r
}

// decrypt gives the run the payload with its data in plain. The jobs that follow it stay encrypted: they are written as they are.
func (e *executor) decrypt(r *run, encrypted sqlqueue.Payload) (sqlqueue.Payload, error) {
	text, err := e.queue.DecryptPayload(r.info.Payload, false)
	if err != nil {
		return encrypted, err
	}
	r.info.Payload = text
	return sqlqueue.ParsePayload(text)
}

// execute does all that is done for a job in its slot. It runs the handler under ctx, decides what becomes of the job, where
// FailedFuncs run under a context that lasts longer, and hands the job back to the loop. It returns when all code of the
// application has returned.
func (e *executor) execute(ctx, callbacks context.Context, r *run) {
	if r.starts {
		e.config.Meter.started(r)
		defer e.config.Meter.returned(r)
		e.log.processing(r)
		e.processing(r)
	}
	cancel, started := func() {}, time.Now()
	switch {
	case !r.starts:
	case r.rules.timeout > 0:
		ctx, cancel = context.WithDeadlineCause(ctx, started.Add(r.rules.timeout), timeoutError(r.rules.timeout))
	default:
		ctx, cancel = context.WithCancel(ctx)
	}
	var err error
	returned := false
	defer func() {
		if !returned {
			err = &PanicError{Stack: string(debug.Stack())} // still has the frames of runtime.Goexit's caller
		}
		cause := context.Cause(ctx)
		cancel()
		if !r.claim() {
			e.slots.end(r, true)
			return
		}
		if r.starts {
			r.took = time.Since(started)
		}
		hanging := e.conclude(callbacks, r, err, cause)
		r.hangs = len(hanging) > 0
		e.slots.end(r, false)
		for _, done := range hanging {
			<-done
		}
		if len(hanging) > 0 {
			e.slots.end(r, true)
		}
	}()
	if r.claimed.Load() { // found stuck while the event function was running
		returned = true
		return
	}
	if r.shared.keep != nil {
		r.shared.keep.Started = started.Add(r.shared.ahead)
	}
	err = protect(func() error { return r.handle(ctx, &Job[json.RawMessage]{Data: r.data, JobInfo: r.info}) })
	returned = true
}

// processing calls Events.Processing, in the job's slot.
func (e *executor) processing(r *run) {
	if e.config.Events.Processing == nil {
		return
	}
	if err := apart(func() error { e.config.Events.Processing(r.info); return nil }); err != nil {
		e.log.eventFailed("Processing", err)
	}
}

// conclude decides what becomes of a job whose handler has returned err. Cause is why the handler's context ended. What the
// application's code has to say in this must come within callbackTimeout and Config.StuckAfter. Otherwise the job is settled
// without it, and conclude returns a channel that is closed when that code has returned.
func (e *executor) conclude(ctx context.Context, r *run, err, cause error) (hanging []<-chan struct{}) {
	if errors.Is(cause, sqlqueue.ErrReservationLost) {
		r.verdict = verdict{kind: dropped, err: err}
		if err != nil {
			r.verdict.text, hanging = showable(err)
		}
		return hanging
	}
	r.timedOut, r.interrupted = errors.Is(cause, ErrTimedOut), errors.Is(cause, ErrStopped)
	if err == nil {
		r.verdict = verdict{kind: processed}
		return nil
	}
	now := time.Now().Add(r.shared.ahead)
	decided := begin(func() (verdict, error) {
		v := r.rules.judge(withCause(err, cause), r.info, now)
		v.write()
		return v, nil
	})
	const code = "Backoff, or a method of the job's error"
	switch {
	case !decided.within(callbackTimeout):
		e.log.callbackHangs(r, code)
		hanging = append(hanging, decided.done)
		r.verdict = r.rules.fallback(fmt.Errorf("%s has not returned after %v", code, callbackTimeout), "", r.info, now)
	case decided.err != nil:
		text, more := showable(err)
		wrong, evenMore := showable(decided.err)
		hanging = slices.Concat(hanging, more, evenMore)
		var p *PanicError
		_ = errors.As(decided.err, &p) // it is one
		r.verdict = r.rules.fallback(fmt.Errorf("%s (and %s went wrong: %s)", text, code, wrong), p.Stack, r.info, now)
	default:
		r.verdict = decided.value
	}
	if r.verdict.kind == failed {
		var more []<-chan struct{}
		r.verdict.instead, more = e.askCallbacks(ctx, r)
		hanging = append(hanging, more...)
	}
	return hanging
}

// showable is textOf, but it does not wait for an Error method that does not return. Hanging is closed when that has returned.
func showable(err error) (text string, hanging []<-chan struct{}) {
	shown := begin(func() (string, error) { return textOf(err), nil })
	if !shown.within(callbackTimeout) {
		return "an error that cannot be shown: its method Error does not return", []<-chan struct{}{shown.done}
	}
	return shown.value, nil
}

// withCause adds to a handler's error that the worker has ended the handler's context, if it does not say so itself.
func withCause(err, cause error) error {
	for _, why := range []error{ErrTimedOut, ErrStopped} {
		if errors.Is(cause, why) && !errors.Is(err, why) {
			return fmt.Errorf("%w: %w", cause, err)
		}
	}
	return err
}

// askCallbacks asks the callbacks what is to become of a failed job: discarded, kept, or 0 for a failed job.
func (e *executor) askCallbacks(ctx context.Context, r *run) (instead kind, hanging []<-chan struct{}) {
	for _, callback := range []FailedFunc{r.failed, e.config.OnFailed} {
		if callback == nil {
			continue
		}
		said, done := e.askCallback(ctx, r, callback)
		if done != nil {
			hanging = append(hanging, done)
		}
		if said != nil && (said.kind == discarded || said.kind == kept) {
			return said.kind, hanging
		}
	}
	return 0, hanging
}

// askCallback returns what a callback says, or nil. If it does not return in time, the channel is closed when it has.
func (e *executor) askCallback(ctx context.Context, r *run, callback FailedFunc) (*outcome, <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, callbackTimeout)
	defer cancel()
	asked := begin(func() (*outcome, error) {
		err := callback(ctx, &Job[json.RawMessage]{Data: r.data, JobInfo: r.info}, r.verdict.err)
		if said := outcomeOf(err); said != nil {
			return said, nil
		}
		return nil, err
	})
	select {
	case <-asked.done:
	case <-ctx.Done():
		if !asked.within(e.config.StuckAfter) {
			e.log.callbackHangs(r, "a callback of a failed job")
			return nil, asked.done
		}
	}
	switch said := asked.value; {
	case asked.err != nil:
		text, hanging := showable(asked.err)
		e.log.callbackFailed(r, text)
		if hanging != nil {
			return nil, hanging[0]
		}
	case said != nil && said.kind != discarded && said.kind != kept:
		e.log.callbackFailed(r, said.kind.String()+" is nothing that a callback can say")
	}
	return asked.value, nil
}
