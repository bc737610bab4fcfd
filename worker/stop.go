package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lastRetries is how long a worker that the database refuses still tries to write how its jobs ended.
const lastRetries = 3 * time.Second

// stopping says whether the worker stops, and why. One that stops reserves no more jobs. It ends when its handlers have ended,
// and when it is written how.
//
// It is used only by the goroutine of Run.
type stopping struct {
	ended <-chan struct{} // closed when Run's context has ended, or by quit
	quit  func()          // ends the worker as the end of Run's context does

	reason      string    // why it stops; empty: it does not
	drainedAt   time.Time // since when it stops and no handler runs
	memory      error     // the memory limit was reached
	fatal       error     // the database refuses what the worker needs
	interrupted []int64   // jobs that the end of the grace interrupted
}

// considerStopping stops the worker if there is a reason. Three reasons are found elsewhere, and also end in stop: an
// operator's restart, an empty queue, and a database that refuses.
func (l *loop) considerStopping() {
	now := time.Now()
	if closed(l.stopping.ended) {
		l.stop("context ended")
	}
	if reason := l.limits.reached(now); reason != "" {
		l.stop(reason)
	}
	if err := l.limits.memoryReached(now); err != nil && l.stopping.memory == nil {
		l.stopping.memory = err
		l.stop(err.Error())
	}
	if l.stopping.reason == "" || len(l.keeper.held) > 0 {
		return
	}
	if l.stopping.drainedAt.IsZero() {
		l.stopping.drainedAt = now
	}
	if l.talk.outage.on() { // there is no time limit for handlers, but one for the wait for the database
		l.stopping.quit()
	}
}

// stop makes the worker reserve no more, and end when its handlers have.
func (l *loop) stop(reason string) {
	if l.stopping.reason != "" {
		return
	}
	l.stopping.reason = reason
	l.giveBack(all)
	close(l.slots.closed)
	l.log.stopping(reason, len(l.keeper.held))
	l.config.Health.stopping()
	if f := l.config.Events.Stopping; f != nil {
		l.emitter.call("Stopping", func() { f(reason) })
	}
}

// fail stops the worker because of an error that waiting does not mend, or does nothing if err is nil. Handlers have Config.Grace.
func (l *loop) fail(err error) {
	if err == nil || l.stopping.fatal != nil {
		return
	}
	l.stopping.fatal = fmt.Errorf("the database refuses what the worker needs: %w", err)
	l.log.ending(l.stopping.fatal)
	l.stop("the database refuses")
	l.stopping.quit()
}

// deadline is when Config.MaxTime stops the worker; zero: it does not, or the worker stops already.
func (l *loop) deadline() (at time.Time) {
	if l.stopping.reason == "" {
		at = l.limits.deadline()
	}
	return at
}

// done reports whether there is nothing left to do, or no time left to do it.
func (l *loop) done(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	s := &l.stopping
	if s.fatal != nil && !s.drainedAt.IsZero() && (!l.talk.registered || time.Since(s.drainedAt) >= lastRetries) {
		return true
	}
	return s.reason != "" && len(l.keeper.held) == 0 && l.talk.finished()
}

// leftover says what is unfinished at the end.
func (l *loop) leftover() error {
	s := &l.stopping
	left := &UnfinishedError{Interrupted: s.interrupted, Running: l.keeper.running()}
	for _, r := range l.talk.unsettled {
		left.Unsettled = append(left.Unsettled, r.info.ID)
	}
	if !l.config.Once { // whose process ends anyway, and whose outcome is nobody's error
		left.Stuck = l.keeper.stuckIDs()
	}
	if len(left.Interrupted)+len(left.Running)+len(left.Unsettled)+len(left.Stuck) == 0 {
		l.log.stopped(s.reason, time.Since(l.limits.started))
		return errors.Join(s.fatal, s.memory)
	}
	l.log.unfinished(s.reason, left)
	return errors.Join(s.fatal, left, s.memory)
}
