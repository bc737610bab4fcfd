package worker

import (
	"cmp"
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// controlEvery is the longest rest, except of one of many idle workers (share.go): so often a worker looks for expired jobs and at what
// operators say, however long its Config.Sleep is. It is less than a second, because pgxpool pings a connection that it has not used for a
// second, which would double an idle worker's statements.
const controlEvery = 990 * time.Millisecond

// early is how much too early an idle worker may do something, so that it does not wake up twice.
const early = 200 * time.Millisecond

// rest returns how long the worker has nothing to do after an exchange, unless a handler ends.
func (l *loop) rest(ctx context.Context, x driver.Exchange, answer driver.Exchanged) time.Duration {
	now := time.Now()
	quiet := len(l.keeper.held)+len(l.talk.unsettled) == 0 && l.talk.second == nil
	l.wake.quiet = quiet
	if found, empty := l.wake.plan(x, answer, l.control.reopened, now); found || empty {
		l.noteIdle(ctx, empty && quiet)
	}
	if quiet && x.Limit == 0 {
		l.wake.confirmEmpty()
	}
	if l.done(ctx) {
		return 0
	}
	shared := time.Duration(0)
	if l.stopping.reason == "" && !l.pause.asked() && l.keeper.free() > 0 {
		shared = l.wake.sharedRest(now)
	}
	next := now.Add(cmp.Or(shared, controlEvery))
	next = l.rests.restUntil(l.batches.restUntil(next))
	if l.stopping.reason == "" && !l.talk.outage.on() {
		next = l.schedule.restUntil(next)
	}
	if l.talk.second != nil && len(l.talk.unsettled) < pipelineFrom {
		return earlier(next, l.keeper.dueAt).Sub(now)
	}
	next = l.keeper.nextStart(next)
	if len(l.keeper.held) > 0 {
		next = earlier(next, l.keeper.dueAt)
	}
	switch unsettled := len(l.talk.unsettled); {
	case unsettled == 0:
	case unsettled > l.talk.locked: // not tried yet
		next = now
	default:
		next = earlier(next, now.Add(lockedRetry))
	}
	if l.config.Once && !l.wake.emptyAt.IsZero() {
		next = earlier(next, l.wake.emptyAt.Add(l.config.Sleep))
	}
	if deadline := l.deadline(); !deadline.IsZero() {
		next = earlier(next, deadline)
	}
	byLook := shared > 0 && l.wake.byChance
	if !byLook && l.stopping.reason == "" && !l.pause.asked() && l.keeper.free() > 0 && !l.demand.mustWait(now) {
		next = earlier(next, later(l.wake.nextPoll, l.demand.cooldown.until))
	}
	return next.Sub(now)
}

// noteIdle notes whether no job is due and none is running here.
func (l *loop) noteIdle(ctx context.Context, idle bool) {
	if f := l.config.Events.Idle; f != nil && idle && !l.wake.idle {
		l.emitter.call("Idle", f)
	}
	l.wake.idle = idle
	switch {
	case !idle || !l.config.StopWhenEmpty:
	case l.batches.last(ctx), l.schedule.last(ctx, time.Now()): // there may be jobs again
		l.wake.pollNow()
	default:
		l.stop("empty")
	}
}

// sleep waits for d, or until there is something to do: a handler has ended, the second exchange was answered, a push was heard
// of, or Run's context has ended. While the database is away, neither handlers nor pushes end the wait: there is nobody
// to tell.
func (l *loop) sleep(ctx context.Context, d time.Duration) {
	if deadline := l.deadline(); !deadline.IsZero() {
		d = min(d, time.Until(deadline))
	}
	if d <= 0 {
		return
	}
	late := l.talk.late
	if closed(late) || len(l.keeper.held) > 0 {
		late = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended, wake, pushed := l.stopping.ended, l.slots.wake, l.wake.listener.pushed
	if l.talk.second != nil {
		l.collect()
		l.slots.wakeFrom(pipelineFrom)
		defer l.slots.wakeFrom(1)
		pushed = nil
	}
	if l.stopping.reason != "" {
		ended = nil
	}
	if l.talk.outage.on() {
		wake = nil
	}
	if l.talk.outage.on() || l.stopping.reason != "" || l.pause.asked() || l.keeper.free() <= 0 || l.demand.cooldown.on(time.Now()) {
		pushed = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-l.talk.second.answered():
	case <-pushed:
		l.wake.listener.heard() // for wake.takePush
	case <-ended:
	case <-late:
	case <-ctx.Done():
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
