package worker

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	// A worker that cannot hear of pushes polls after an eighth of the time that there was nothing to do, up to Config.Sleep:
	// soon after there was something, and less and less often.
	pollShare = 8
	pollLeast = time.Millisecond
)

// wake decides when a worker that has found no job asks for jobs again: when it hears of a push (listener.go), when a delayed
// job is due, or else when it is time to poll.
//
// It is used only by the goroutine of Run, except for the listener.
type wake struct {
	config   *Config
	listener listener

	nextPoll   time.Time     // when to ask for jobs again; zero: at any time
	byChance   bool          // nextPoll is only the end of a poll's interval: nothing says that there will be a job
	early      time.Duration // how much earlier than nextPoll a poll may be
	lastActive time.Time     // when jobs were found, or a push was heard of, last
	lastDue    time.Time     // when the next delayed job is due, as told last
	emptyAt    time.Time     // since when there were no jobs; zero: there were
	quiet      bool          // nothing is held here, or to be written
	share      share
	foundNone  bool // the last poll has found no job
	idle       bool // the last poll has found that no job is due, and none was running here
	empty      emptyCheck
}

// pollNow has jobs asked for by the next exchange.
func (w *wake) pollNow() { w.nextPoll, w.byChance, w.early = time.Time{}, false, 0 }

// pollIsDue reports whether it is time to ask for jobs.
func (w *wake) pollIsDue(now time.Time) bool { return w.nextPoll.Sub(now) <= w.early }

// found notes that jobs were reserved.
func (w *wake) found(now time.Time) { w.lastActive, w.emptyAt, w.share.workers = now, time.Time{}, 0 }

// takePush notes a push that was heard of, before the exchange that it leads to is sent.
func (w *wake) takePush(now time.Time) {
	select {
	case <-w.listener.pushed:
		w.lastActive = now
		w.pollNow()
	default:
	}
}

// plan decides after an exchange when to ask for jobs again. Reopened: an operator has ended a pause. It returns whether jobs
// were found, and whether it is known that none is due.
func (w *wake) plan(x driver.Exchange, answer driver.Exchanged, reopened bool, now time.Time) (found, empty bool) {
	asked, again := x.Limit > 0, false
	found = len(answer.Reserved) > 0
	if asked {
		w.foundNone = !found
		answer.Everything = answer.Everything && len(x.Reserve) == len(w.config.Queues)
		empty, again = w.empty.asked(x, answer, w.emptyMatters())
	}
	switch {
	case found:
		w.found(now)
	case empty && w.emptyAt.IsZero():
		w.emptyAt = now
	}
	switch {
	case again, asked && len(answer.Reserved) == x.Limit, !asked && answer.Requeued > 0, reopened:
		w.pollNow()
	case asked:
		interval := w.pollInterval(now)
		w.nextPoll, w.byChance, w.early = now.Add(interval), true, min(interval/pollShare, early)
	}
	// A due time that has passed without giving a job is believed once: it may have come between two statements, or the job may be
	// one that this worker cannot have.
	due := answer.NextDue
	if !due.IsZero() && (due.After(answer.Now) || !due.Equal(w.lastDue)) && !w.config.Once {
		if at := now.Add(due.Sub(answer.Now)); at.Before(w.nextPoll) {
			w.nextPoll, w.byChance, w.early = at, false, 0
		}
	}
	w.lastDue = due
	return found, empty
}

// emptyMatters reports whether it matters to somebody that no job is due.
func (w *wake) emptyMatters() bool {
	return w.config.StopWhenEmpty || w.config.Once || w.config.Events.Idle != nil && !w.idle
}

// confirmEmpty has jobs asked for once more if there were none while some still ran here, whose end nobody has told since.
func (w *wake) confirmEmpty() {
	if w.foundNone && !w.idle && w.emptyMatters() {
		w.pollNow()
	}
}

// pollInterval is how long the worker waits, after there were no jobs, until it asks again.
func (w *wake) pollInterval(now time.Time) time.Duration {
	most := w.shared(w.config.Sleep, now)
	if w.config.Once || w.listener.hears.Load() {
		return most
	}
	return min(max(now.Sub(w.lastActive)/pollShare, pollLeast), most)
}

// mayShare reports whether the worker has nothing to do but to look for jobs.
func (w *wake) mayShare() bool { return w.quiet && w.foundNone && !w.config.Once }

// shared is how long a worker waits on average that would wait for d if there were no others.
func (w *wake) shared(d time.Duration, now time.Time) time.Duration {
	if !w.mayShare() {
		return d
	}
	return w.share.of(d, now.Sub(w.lastActive))
}

// sharedRest is how long a worker rests that has nothing to do but to look; 0: not longer than if it were alone. The poll that is due by
// time alone goes with the nearest look.
func (w *wake) sharedRest(now time.Time) time.Duration {
	rest := min(w.shared(controlEvery, now), w.shared(w.config.Sleep, now))
	if rest <= controlEvery {
		return 0
	}
	if w.byChance {
		w.early = rest / 2
	}
	return spread(rest)
}
