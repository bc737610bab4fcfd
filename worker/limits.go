package worker

import "time"

const timeIsUp = "time is up"

// limits are the reasons to stop that Config sets: a number of jobs, a time, the memory, no job to be found, and stuck handlers.
//
// It is used only by the goroutine of Run.
type limits struct {
	config  *Config
	slots   *slots
	keeper  *keeper
	control *control
	wake    *wake

	started time.Time
	taken   int // jobs that were reserved and not given back
	ended   int // jobs whose handlers have ended
	memory  memoryUse
}

// reached returns why the worker is to stop; empty: it is not.
func (l *limits) reached(now time.Time) (reason string) {
	stuck := len(l.keeper.stuck)
	switch c := l.config; {
	case c.MaxJobs > 0 && l.taken >= c.MaxJobs && l.keeper.waiting() == 0:
		return "jobs done"
	case c.MaxTime > 0 && now.Sub(l.started) >= c.MaxTime:
		return timeIsUp
	case c.Once && !l.wake.emptyAt.IsZero() && now.Sub(l.wake.emptyAt) >= c.Sleep:
		return "no job"
	case stuck > c.MaxStuck, stuck > 0 && stuck >= l.control.slots:
		return "handlers are stuck"
	}
	return ""
}

// memoryReached returns ErrMemory if the process uses too much memory. It looks now and then, and not before the worker has had
// a chance to do a job: one that did none would be started again in vain.
func (l *limits) memoryReached(now time.Time) error {
	if !l.memory.due(now) {
		return nil
	}
	err := l.memory.read(now)
	if running, _ := l.slots.load(); running > 0 || l.ended > 0 || l.wake.foundNone && len(l.keeper.held) == 0 {
		return err
	}
	return nil
}

// deadline is when Config.MaxTime is over; zero: never.
func (l *limits) deadline() (at time.Time) {
	if l.config.MaxTime > 0 {
		at = l.started.Add(l.config.MaxTime)
	}
	return at
}
