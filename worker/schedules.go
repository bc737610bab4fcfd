package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	schedulesUnused = 5 * time.Second       // how often the worker looks for schedules if exchanges do not tell when the next comes
	schedulesWithin = 10 * time.Second      // how long a look may take
	schedulesSpread = 50 * time.Millisecond // within what time workers look for the same schedule, so that they do not all come at once
)

// schedules pushes the jobs of the schedules that are due. Exchanges tell when the next one comes (driver.Chores), so there is no look
// before that. A look goes beside the exchanges, and only one at a time. All workers look: for each time of a schedule, the first one
// pushes.
//
// It is used only by the goroutine of Run.
type schedules struct {
	talk *talk
	log  *journal

	unable   bool      // the store keeps no schedules
	told     bool      // exchanges tell when the next schedule comes
	none     bool      // there is none, as far as is known
	dueAt    time.Time // otherwise: when to look
	retryAt  time.Time // after a look that has failed: not before this time
	saidAt   time.Time // when an error was logged last
	underway *call[looked]
}

// looked is what a look has found.
type looked struct {
	pushed int
	next   time.Duration // until the next schedule; negative: there is none
}

// set sets the schedules of the worker's Config.
func (s *schedules) set(ctx context.Context, config *Config) error {
	for _, schedule := range config.Schedules {
		if _, err := bounded(ctx, &s.talk.calls, schedulesWithin, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.talk.queue.Schedule(ctx, schedule)
		}); err != nil {
			return err
		}
	}
	return nil
}

// learn takes in the answer to an exchange that asked for the chores.
func (s *schedules) learn(answer driver.Exchanged, now time.Time) {
	s.told = answer.Chores != nil
	s.none = s.unable || s.told && answer.Chores.NextSchedule.IsZero()
	if s.told && !s.none {
		s.next(answer.Chores.NextSchedule.Sub(answer.Now), now)
	}
}

// next notes how long it is until the next schedule comes.
func (s *schedules) next(in time.Duration, now time.Time) {
	s.dueAt = later(now.Add(max(in, 0)+rand.N(schedulesSpread)), s.retryAt)
}

// turn takes in a look that has ended, and begins one if it is time to.
func (s *schedules) turn(ctx context.Context, now time.Time) {
	if s.underway != nil && s.underway.over() {
		s.await()
	}
	if s.underway == nil && !s.none && !now.Before(s.dueAt) {
		s.begin(ctx)
	}
}

func (s *schedules) begin(ctx context.Context) {
	s.underway = begin(func() (looked, error) {
		return bounded(ctx, &s.talk.calls, schedulesWithin, func(ctx context.Context) (looked, error) {
			pushed, next, err := s.talk.queue.RunSchedules(ctx)
			return looked{pushed, next}, err
		})
	})
}

// await waits for the look that is under way, if there is one, and takes it in. It reports whether jobs were pushed.
func (s *schedules) await() (pushed bool) {
	if s.underway == nil {
		return false
	}
	<-s.underway.done
	found, err, now := s.underway.value, s.underway.err, time.Now()
	s.underway = nil
	again := now.Add(schedulesUnused)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.unable, s.none = true, true
	case err != nil:
		s.dueAt, s.retryAt = again, again
		if now.Sub(s.saidAt) >= time.Minute {
			s.saidAt = now
			s.log.schedulesFailed(err)
		}
	case found.next >= 0:
		s.next(found.next, now)
	case s.told:
		s.none = true
	default:
		s.dueAt = again
	}
	if !s.told {
		s.dueAt = earlier(s.dueAt, again)
	}
	return found.pushed > 0
}

// last pushes the jobs of the schedules that are due, before the worker ends because it has found no job. It reports whether there were
// any.
func (s *schedules) last(ctx context.Context, now time.Time) bool {
	if pushed := s.await(); pushed || s.none || now.Add(schedulesSpread).Before(s.dueAt) {
		return pushed
	}
	s.begin(ctx)
	return s.await()
}

// restUntil is when the worker is to wake up for a schedule.
func (s *schedules) restUntil(other time.Time) time.Time {
	if s.underway != nil || s.none {
		return other
	}
	return earlier(other, s.dueAt)
}
