package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// hold takes in a job that was reserved.
func (l *loop) hold(r *run) {
	r.place = len(l.held)
	l.held = append(l.held, r)
	if r.expire > 0 {
		l.watch = earlier(l.watch, r.touchAt)
	}
}

// letGo is the opposite of hold.
func (l *loop) letGo(r *run) {
	delete(l.locks, r)
	last := len(l.held) - 1
	l.held[r.place] = l.held[last]
	l.held[r.place].place = r.place
	l.held[last] = nil
	l.held = l.held[:last]
}

// lookAfter touches what is about to expire, gives up handlers that do not return, and puts back what was reserved ahead in vain. It goes
// through all that is held only when something may be due.
func (l *loop) lookAfter(ctx context.Context, now time.Time) {
	if paused := l.paused(); paused != l.wasPaused {
		l.wasPaused, l.nextLook = paused, time.Time{}
		l.log.paused(paused)
	}
	if l.wasPaused {
		l.putBack(every)
	}
	due := !now.Before(l.watch)
	if due {
		l.putBack(func(r *run) bool { return now.Sub(r.since) >= aheadAtMost })
	}
	l.touching = append(l.touching[:0], l.tellable(now)...)
	if !due {
		return
	}
	l.watch = now.Add(controlEvery)
	for _, r := range l.held {
		if end := l.stuckAt(r); !end.IsZero() {
			if now.Before(end) {
				l.watch = earlier(l.watch, end)
			} else if r.claim() {
				l.giveUp(ctx, r)
			}
		}
		if r.gone {
			continue
		}
		if expire := l.expire(r.info.Queue); r.expire > 0 && !now.Before(r.touchAt) || expire != r.expire {
			if !r.untold {
				l.touching = append(l.touching, r)
			}
		} else if r.expire > 0 {
			l.watch = earlier(l.watch, r.touchAt)
		}
	}
}

// touchAll has all that is held touched by the next exchange.
func (l *loop) touchAll(now time.Time) {
	for _, r := range l.held {
		if r.expire > 0 {
			r.touchAt, l.watch = now, earlier(l.watch, now)
		}
	}
}

// tellable are the last tries whose start is to be told now: those that will begin as soon as it is told. Who is told of and waits for a slot
// would have used up the try if the worker died.
func (l *loop) tellable(now time.Time) []*run {
	places := l.free() + len(l.untold)
	var tell []*run
	for _, r := range l.untold {
		if len(tell) < places && !now.Before(r.tellAt) {
			tell = append(tell, r)
		}
	}
	return tell
}

// putBack gives back jobs that have not been started, unspent.
func (l *loop) putBack(which func(*run) bool) {
	back := l.slots.withdraw(which)
	if len(l.untold) > 0 {
		var still []*run
		for _, r := range l.untold {
			if which(r) {
				back = append(back, r)
			} else {
				still = append(still, r)
			}
		}
		l.untold = still
	}
	for _, r := range back {
		l.letGo(r)
		if r.gone {
			continue
		}
		r.untold, r.verdict = false, verdict{kind: unstarted}
		l.unsettled = append(l.unsettled, r)
		l.taken--
	}
}

// stuckAt is when the handler of a job must have returned not to be stuck: Config.StuckAfter after its timeout, or after its reservation was
// lost. Zero: there is no such time.
func (l *loop) stuckAt(r *run) (at time.Time) {
	started := l.slots.startOf(r)
	if started.IsZero() || !r.starts {
		return at
	}
	if r.rules.timeout > 0 {
		at = started.Add(r.rules.timeout + l.config.StuckAfter)
	}
	if lost := r.lostAt.Add(l.config.StuckAfter); !r.lostAt.IsZero() && (at.IsZero() || lost.Before(at)) {
		at = lost
	}
	return at
}

// giveUp settles a job whose handler does not return, long after its context has ended. The handler keeps its slot.
func (l *loop) giveUp(ctx context.Context, r *run) {
	l.stuck[r] = true
	l.log.stuck(r)
	l.emitter.job("Stuck", l.config.Events.Stuck, r)
	go func() {
		why := fmt.Errorf("%w after %v, and its handler has not returned", ErrTimedOut, r.rules.timeout)
		r.took = time.Since(l.slots.startOf(r))
		if r.lostAt.IsZero() {
			l.executor.conclude(ctx, r, why, ErrTimedOut)
		} else {
			l.executor.conclude(ctx, r, nil, sqlqueue.ErrReservationLost)
		}
		l.slots.end(r, false)
	}()
}

// touched looks at what became of what was touched.
func (l *loop) touched(x driver.Exchange, answer driver.Exchanged, sent time.Time) {
	if len(x.Touch) == 0 {
		return
	}
	lost, locked := setOf(answer.Lost), setOf(answer.Locked)
	var told []*run
	for i, r := range l.touching {
		of := x.Touch[i].Reservation
		delete(l.locks, r)
		switch {
		case locked[of]:
			l.locks[r] = true
			r.touchAt, r.tellAt = sent.Add(min(lockedEvery, r.expire/6)), sent.Add(lockedEvery)
		case !lost[of]:
			r.kept(x.Touch[i].Expire, sent)
			if r.untold {
				r.untold = false
				told = append(told, r)
			}
		case r.completed.Load():
			r.gone = true // its handler has committed, and has not returned yet
		default:
			l.reports.lost(r, nil)
			r.gone, r.lostAt = true, time.Now()
			l.putBack(func(other *run) bool { return other == r })
			l.slots.interrupt(r, sqlqueue.ErrReservationLost)
		}
		if r.expire > 0 {
			l.watch = earlier(l.watch, r.touchAt)
		}
	}
	if told == nil {
		return
	}
	var untold []*run
	for _, r := range l.untold {
		if r.untold {
			untold = append(untold, r)
		}
	}
	l.untold = untold
	l.slots.add(told...)
}

// kept notes that the reservation was made or touched.
func (r *run) kept(expire time.Duration, sent time.Time) {
	r.expire, r.touchAt = expire, sent.Add(expire/3)
}
