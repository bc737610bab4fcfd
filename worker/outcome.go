package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Causes of the end of a handler's context, and parts of the errors of its job. A third is sqlqueue.ErrReservationLost: the job is not
// this worker's any more, and what its handler returns changes nothing.
var (
	// ErrTimedOut: the handler ran longer than its timeout.
	ErrTimedOut = errors.New("timed out")

	// ErrStopped: the worker is stopping, and Config.Grace is over.
	ErrStopped = errors.New("worker stopped")
)

// timeoutError is the ErrTimedOut of one run. It is made for each, and hardly ever read.
type timeoutError time.Duration

func (e timeoutError) Error() string {
	return fmt.Sprintf("%v after %v", ErrTimedOut, time.Duration(e))
}

func (e timeoutError) Is(target error) bool { return target == ErrTimedOut }

// ErrMemory says that the worker ended because its process uses more memory than Config.MaxMemory. From Worker.Run.
var ErrMemory = errors.New("memory limit reached")

// ErrNoHandler says that no handler has the job's name. It is from sync mode, and in Result.Err of a job that was put back for
// that reason.
var ErrNoHandler = errors.New("no handler has this name")

// outcome is what a handler has said becomes of its job, as an error.
type outcome struct {
	kind  kind
	delay time.Duration
	err   error
}

// outcomeOf returns what an error says becomes of its job, or nil: then it is an ordinary error. It calls the error's methods
// As and Unwrap.
func outcomeOf(err error) *outcome {
	var said *outcome
	if errors.As(err, &said) && said.valid() {
		return said
	}
	return nil
}

// valid reports whether a handler or a callback can have said so: a method As may answer with nothing, and another process with
// nonsense.
func (o *outcome) valid() bool {
	if o == nil {
		return false
	}
	switch o.kind {
	case discarded, released, snoozed, throttled, failed, kept, unknown, noKey, neverBegan:
		return true
	default:
		return false
	}
}

// kind is how a run of a job ended. Its zero value is no end at all.
type kind int8

const (
	processed kind = iota + 1 // the handler has returned nil
	discarded
	released // by the handler, or after an error
	snoozed
	throttled // snoozed, and its queue rests
	failed
	kept       // by a callback: nothing is written
	unknown    // there is no handler of its name
	noKey      // the worker does not have the key of its data
	dropped    // the reservation was lost before the handler returned: nothing is written
	unstarted  // the worker stopped before the handler could start
	neverBegan // the handler could not begin the work, for want of something that is the machine's
	kinds      // how many there are, and one
)

func (k kind) String() string {
	if k < processed || k >= kinds {
		return "no outcome"
	}
	return [...]string{
		"processed", "discarded", "released", "snoozed", "throttled", "failed", "kept", "no handler", "no key",
		"dropped", "given back", "cannot start",
	}[k-1]
}

// Release puts the job back: it is available again after delay (zero or negative: now). The attempt counts, but not as an error. On the
// last try there is no other run, and the job fails.
func Release(delay time.Duration) error { return &outcome{kind: released, delay: delay} }

// Snooze is Release without spending the attempt.
func Snooze(delay time.Duration) error { return &outcome{kind: snoozed, delay: delay} }

// Throttle is Snooze, and the job's queue rests for as long: no worker reserves a job from it before. It is for a handler that is told to
// come later, as by HTTP status 429. Jobs of the queue that run go on. A delay of zero or less is Snooze: the queue does not rest. The rest
// is a pause, which an operator can end; one that an operator has set for longer stays as it is.
func Throttle(delay time.Duration) error { return &outcome{kind: throttled, delay: delay} }

// CannotStart says that the work could not be begun for a reason that is the machine's and not the job's: no memory, no
// processes, a program that is missing; err says which. The job is put back for a minute. It has not run: the attempt is not
// spent, not even the last, and there is no error to count. The worker logs the reason as an error and reserves nothing for a
// second, and for twice as long each time until a job has begun, at most a minute; after each pause it tries with one job.
func CannotStart(err error) error { return &outcome{kind: neverBegan, delay: unknownDelay, err: err} }

// Fail moves the job to the failed jobs, with err as the reason, however many tries it has left.
func Fail(err error) error { return &outcome{kind: failed, err: err} }

// Discard deletes the job without its work being done.
func Discard() error { return &outcome{kind: discarded} }

// Keep is for a FailedFunc that has dealt with the job itself: nothing is written. If the job's row is still there, it runs again when
// the reservation expires. From a handler it is an ordinary error.
func Keep() error { return &outcome{kind: kept} }

// Error is what is shown where an outcome is taken for an ordinary error.
func (o *outcome) Error() string {
	switch o.kind {
	case released:
		return fmt.Sprintf("released for %v", o.delay)
	case snoozed:
		return fmt.Sprintf("snoozed for %v", o.delay)
	case throttled:
		return fmt.Sprintf("throttled for %v", o.delay)
	case failed:
		if o.err == nil {
			return "failed without a reason"
		}
		return o.err.Error()
	case noKey:
		if o.err == nil { // another process has said so
			return o.kind.String()
		}
		return o.err.Error()
	case neverBegan:
		if o.err == nil {
			return "cannot start, without a reason"
		}
		return fmt.Sprintf("cannot start: %v", o.err)
	default:
		return o.kind.String()
	}
}

func (o *outcome) Unwrap() error { return o.err }

// PanicError is the error of a handler that panicked, or ended its goroutine by runtime.Goexit.
type PanicError struct {
	Value any    // what was given to panic; nil for Goexit
	Stack string // of the handler's goroutine
}

func (e *PanicError) Error() string {
	if e == nil || e.Value == nil {
		return "the handler called runtime.Goexit"
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// Unwrap returns the error that was given to panic, if it was one.
func (e *PanicError) Unwrap() error {
	if e == nil {
		return nil
	}
	err, _ := e.Value.(error)
	return err
}

// protect calls f and makes a panic an error.
func protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return f()
}
