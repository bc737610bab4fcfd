package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// HandleMany registers a handler that gets up to most jobs that are pushed as a T in one call, for example to insert 500 rows with one
// statement. A job that a worker has reserved waits for others of its name, until there are as many as most, or until wait has passed
// since the first; a worker that stops does not wait. Most is at least 1; wait is zero or more, and must be shorter than the timeout.
//
// The handler returns an error for each job, in the order of the jobs, which decides what becomes of that job as with Handle: nil, an
// ordinary error, or Release, Fail, Snooze and so on. Returning nil instead of a slice means that all jobs are done. To return the same
// error for all, use slices.Repeat([]error{err}, len(jobs)). If the handler panics, calls runtime.Goexit or returns another number of
// errors, then each of its jobs has ended with that error. Data that does not fit a T moves only its own job to the failed jobs.
//
// Each job holds one of Config.Concurrency from when it begins to wait, so a call gets at most Concurrency jobs. The jobs of a call are of
// one worker, of any of its queues. Middleware, events, metrics and the timeout are those of each job, and include its wait. In sync
// mode, and in a process that runs jobs for another (Mux.RunPacked, listen), each call gets one job.
//
// The handler's context has the values of the first job's, as middleware has made it. It ends when one of its jobs times out, and when the
// contexts of all have ended: the worker's grace is over, or all reservations are lost. A job that times out, or loses its reservation,
// while it waits for others is not handed to the handler; one that loses its reservation later stays in the call, and its error changes
// nothing.
//
// Several calls may run at once. The slice is the handler's to keep and change.
func HandleMany[T any, P named[T]](
	m *Mux, most int, wait time.Duration, handler func(ctx context.Context, jobs []*Job[T]) []error, settings ...Settings,
) {
	e := &entry{failed: failedOf[T](), settings: merge(settings), most: most, wait: wait}
	name := P(new(T)).JobName()
	if handler != nil {
		calls := &manyCalls[T]{most: most, wait: wait, handler: handler, open: map[*slots]*manyCall[T]{}}
		e.plain = calls.handle
	}
	switch {
	case most < 1:
		m.refuse(fmt.Errorf("the handler of %q: most is %d: it must be at least 1", name, most))
	case wait < 0:
		m.refuse(fmt.Errorf("the handler of %q: wait is %v: it must be zero or more", name, wait))
	default:
		m.add(name, e)
	}
}

// manyCalls are the calls of one handler of many jobs that still gather jobs, one for each worker.
type manyCalls[T any] struct {
	most    int
	wait    time.Duration
	handler func(ctx context.Context, jobs []*Job[T]) []error

	mu   sync.Mutex
	open map[*slots]*manyCall[T]
}

// manyCall is one call of the handler. Its jobs change only while it is open.
type manyCall[T any] struct {
	jobs []*manyJob[T]
	full chan struct{} // closed when it need not wait for more jobs
	done chan struct{} // closed when each of its jobs has its error
}

type manyJob[T any] struct {
	*Job[T]
	ctx context.Context //nolint:containedctx // of the job, which lasts longer than this
	err error
}

// handle is the Handler of each job.
func (m *manyCalls[T]) handle(ctx context.Context, job *Job[json.RawMessage]) error {
	typed, err := decode[T](job)
	if err != nil {
		return Fail(err)
	}
	j := &manyJob[T]{Job: typed, ctx: ctx}
	call := m.join(j)
	select {
	case <-call.done:
		return j.err
	case <-ctx.Done():
	}
	if m.leave(call, j) {
		return context.Cause(ctx)
	}
	<-call.done // its work is under way, with that of others
	return j.err
}

// join adds a job to the open call of its worker.
func (m *manyCalls[T]) join(j *manyJob[T]) *manyCall[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	worker := j.with().slots
	call := m.open[worker]
	if call == nil {
		call = &manyCall[T]{full: make(chan struct{}), done: make(chan struct{})}
		m.open[worker] = call
		go m.run(call, worker)
	}
	call.jobs = append(call.jobs, j)
	if len(call.jobs) >= min(m.most, worker.size()) {
		m.close(call, worker)
	}
	return call
}

// close ends the wait of an open call. It is called with mu locked.
func (m *manyCalls[T]) close(call *manyCall[T], worker *slots) {
	delete(m.open, worker)
	close(call.full)
}

// leave takes a job out of a call, and reports whether it still could.
func (m *manyCalls[T]) leave(call *manyCall[T], j *manyJob[T]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	worker := j.with().slots
	if m.open[worker] != call {
		return false
	}
	if call.jobs = slices.DeleteFunc(call.jobs, func(other *manyJob[T]) bool { return other == j }); len(call.jobs) == 0 {
		m.close(call, worker)
	}
	return true
}

// run makes a call when its jobs have gathered.
func (m *manyCalls[T]) run(call *manyCall[T], worker *slots) {
	defer close(call.done)
	timer := time.NewTimer(m.wait)
	defer timer.Stop()
	select {
	case <-call.full:
	case <-timer.C:
	case <-worker.stopping():
	}
	m.mu.Lock()
	if m.open[worker] == call {
		delete(m.open, worker)
	}
	m.mu.Unlock()
	if len(call.jobs) == 0 { // all have left
		return
	}
	ctx, end := call.context()
	defer end()
	jobs := make([]*Job[T], len(call.jobs))
	for i, j := range call.jobs {
		jobs[i] = j.Job
	}
	made := begin(func() ([]error, error) { return m.handler(ctx, jobs), nil })
	<-made.done
	errs, wrong := made.value, made.err
	if wrong == nil && errs != nil && len(errs) != len(call.jobs) {
		wrong = fmt.Errorf("the handler returned %d errors for %d jobs: it must return one for each job, or nil if all are done",
			len(errs), len(call.jobs))
	}
	for i, j := range call.jobs {
		switch {
		case wrong != nil:
			j.err = wrong
		case errs != nil:
			j.err = errs[i]
		}
	}
}

// context returns the handler's context. It ends when one job times out, or when the contexts of all jobs have ended: each job then knows
// why its own has.
func (c *manyCall[T]) context() (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.jobs[0].ctx))
	var ended atomic.Int64
	stops := make([]func() bool, len(c.jobs))
	for i, j := range c.jobs {
		stops[i] = context.AfterFunc(j.ctx, func() {
			cause := context.Cause(j.ctx)
			if ended.Add(1) == int64(len(c.jobs)) || errors.Is(cause, ErrTimedOut) {
				cancel(cause)
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}

// checkMany says which handlers of many jobs do not fit the worker, and logs which get fewer jobs than they could.
func (m *Mux) checkMany(c *Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(m.named)) {
		e := m.named[name]
		switch timeout := max(cmp.Or(e.settings.Timeout, c.Timeout), 0); {
		case e.most == 0:
		case timeout > 0 && e.wait >= timeout:
			wrong = append(wrong,
				fmt.Errorf("the handler of %q: wait is %v: it must be shorter than the timeout, %v", name, e.wait, timeout))
		case e.most > c.Concurrency && !c.Once:
			(&journal{c.Logger}).fewSlots(name, e.most, c.Concurrency)
		}
	}
	return errors.Join(wrong...)
}
