package worker

import (
	"context"
	"slices"
	"sync"
	"time"
)

// slots run jobs, at most so many at once. Each slot is a goroutine, which goes from one job to the next while there are any.
// It does not wait for the loop, which may be waiting for the database, and a stack that has grown once serves all its jobs.
//
// It is safe for concurrent use: the goroutine of Run adds jobs and takes them back, those of the slots end them.
type slots struct {
	context func() (context.Context, context.CancelCauseFunc) // of one slot
	execute func(ctx context.Context, r *run)
	rest    time.Duration   // for which a slot stays empty after a job
	wake    chan struct{}   // has one place; tells the loop that there is something to take
	over    <-chan struct{} // when it is closed, nothing is started any more
	closed  chan struct{}   // the worker stops: there is nothing to rest for any more
	epoch   time.Time       // from which starts are measured

	mu    sync.Mutex
	most  int    // how many handlers may run at once
	busy  int    // how many slots are taken
	ready []*run // reserved and to be started, in this order
	ended []*run // what becomes of them is decided
	late  []*run // their handlers have returned after the jobs were settled without them
	least int    // how many of the last two it takes to wake the loop
}

// slot is one goroutine with what it runs. Its context is the parent of those of its jobs; when it was ended because of one of
// them, the next gets another.
type slot struct {
	ctx    context.Context //nolint:containedctx // outlives each job
	cancel context.CancelCauseFunc
	run    *run // nil: none; written by the goroutine, with mu locked
}

func newSlots(most int, rest time.Duration, over <-chan struct{}) *slots {
	return &slots{
		most: most, rest: rest, over: over, epoch: time.Now(), wake: make(chan struct{}, 1), closed: make(chan struct{}), least: 1,
	}
}

// add starts jobs, in order, as soon as slots are free.
func (s *slots) add(runs ...*run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, runs...)
	s.fill()
}

// fill starts one job in a new slot, which then calls fill in turn. So the next job of a handler that returns at once goes to a
// slot that is already there, and a handler that waits holds up nobody. It is called with mu locked.
//
//nolint:contextcheck // theirs comes from the loop
func (s *slots) fill() {
	if s.busy < s.most && s.more() {
		s.busy++
		in := &slot{}
		s.begin(in)
		go s.serve(in)
	}
}

// more reports whether there is a job to start. It is called with mu locked.
func (s *slots) more() bool {
	select {
	case <-s.over:
		return false
	default:
		return len(s.ready) > 0
	}
}

// begin gives a slot the first job that is ready. It is called with mu locked.
//
//nolint:contextcheck // the slot's comes from the loop
func (s *slots) begin(in *slot) {
	in.run = s.ready[0]
	s.ready[0], s.ready = nil, s.ready[1:]
	if in.ctx == nil || in.ctx.Err() != nil {
		in.ctx, in.cancel = s.context()
	}
	in.run.slot = in
	in.run.started.Store(int64(time.Since(s.epoch)) + 1)
}

// startOf returns when a job was started, or zero if it was not. It holds also when the wall clock is set.
func (s *slots) startOf(r *run) time.Time {
	since := r.started.Load()
	if since == 0 {
		return time.Time{}
	}
	return s.epoch.Add(time.Duration(since))
}

// interrupt ends the context of a job that runs.
func (s *slots) interrupt(r *run, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.slot != nil && r.slot.run == r {
		r.slot.cancel(cause)
	}
}

//nolint:contextcheck // each slot has its own
func (s *slots) serve(in *slot) {
	defer s.leave(in) // also when a handler ends the goroutine
	s.mu.Lock()
	s.fill()
	s.mu.Unlock()
	for in.run != nil {
		s.execute(in.ctx, in.run)
		s.next(in)
	}
}

// next gives a slot its next job, or none.
func (s *slots) next(in *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.run = nil
	if s.rest == 0 && s.busy <= s.most && s.more() {
		s.begin(in)
	}
}

// leave is the end of a slot's goroutine.
func (s *slots) leave(in *slot) {
	in.cancel(nil)
	if s.rest > 0 {
		timer := time.NewTimer(s.rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.closed:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.fill()
	if s.rest > 0 || len(s.ended)+len(s.late) == 0 { // the loop has taken the job, and thinks that its slot is not free
		s.tell()
	}
}

// end hands a job to the loop. Late: its handler has returned after the job was settled without it.
func (s *slots) end(r *run, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if late {
		s.late = append(s.late, r)
	} else {
		s.ended = append(s.ended, r)
	}
	if len(s.ended)+len(s.late) >= s.least {
		s.tell()
	}
}

// wakeFrom sets how many jobs must have ended to wake the loop. It takes back a wake-up for fewer.
func (s *slots) wakeFrom(least int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.least = least
	if len(s.ended)+len(s.late) >= least {
		s.tell()
		return
	}
	select {
	case <-s.wake:
	default:
	}
}

func (s *slots) tell() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the jobs that have ended since it was called last.
func (s *slots) take() (ended, late []*run) {
	select {
	case <-s.wake:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ended, late = s.ended, s.late
	s.ended, s.late = make([]*run, 0, len(ended)), nil // as many may end until the next time
	return ended, late
}

// load returns how many slots are taken, and how many jobs wait for one.
func (s *slots) load() (busy, ready int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy, len(s.ready)
}

// size is how many handlers may run at once; for nil, in sync mode, it is one.
func (s *slots) size() int {
	if s == nil {
		return 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// stopping is closed when the worker stops; in sync mode there is no such channel.
func (s *slots) stopping() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.closed
}

// resize sets how many handlers may run at once. Those that do go on.
func (s *slots) resize(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
	s.fill()
}

// withdraw takes back the jobs that have not started and that match.
func (s *slots) withdraw(match func(*run) bool) []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var back []*run
	s.ready = slices.DeleteFunc(s.ready, func(r *run) bool {
		if !match(r) {
			return false
		}
		back = append(back, r)
		return true
	})
	return back
}
