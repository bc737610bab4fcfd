package worker

import "time"

// eventPatience is how long the loop waits for an event function to return. After that the function runs on without the loop, and no
// other event function is called until it has returned.
const eventPatience = 5 * time.Second

// emitter calls the functions of Config.Events, one at a time. A function that panics or hangs does not harm the worker: the
// emitter logs it.
//
// It is used only by the goroutine of Run. Events.Processing is not called here, but by the executor.
type emitter struct {
	on  *Events
	log *journal

	hanging *call[struct{}] // the function that has not returned within eventPatience; nil: none
	since   time.Time       // when it was called
	event   string          // which event it is for
	missed  int             // how many events were skipped since then
}

// job tells an event about one job. f may be nil.
func (e *emitter) job(name string, f func(JobInfo), r *run) {
	if f != nil {
		e.call(name, func() { f(r.info) })
	}
}

// result tells an event about a job that has ended. f may be nil.
func (e *emitter) result(name string, f func(JobInfo, Result), r *run, result Result) {
	if f != nil {
		e.call(name, func() { f(r.info, result) })
	}
}

// call calls an event function and waits for it, at most eventPatience.
func (e *emitter) call(name string, f func()) {
	if e.hanging != nil {
		if !e.hanging.over() {
			e.missed++
			return
		}
		e.log.eventReturned(e.event, time.Since(e.since), e.missed)
		if e.hanging.err != nil {
			e.log.eventFailed(e.event, e.hanging.err)
		}
		e.hanging, e.missed = nil, 0
	}
	called := begin(func() (struct{}, error) { f(); return struct{}{}, nil })
	switch {
	case !called.within(eventPatience):
		e.hanging, e.since, e.event = called, time.Now().Add(-eventPatience), name
		e.log.eventHangs(name)
	case called.err != nil:
		e.log.eventFailed(name, called.err)
	}
}
