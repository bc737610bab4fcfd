package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	schedulesUnused = 5 * time.Second       // how often the worker looks for schedules that others have set
	schedulesWithin = 10 * time.Second      // how long a look may take
	schedulesSpread = 50 * time.Millisecond // within what time workers look for the same schedule, so that they do not all come at once
)

// schedules pushes the jobs of the schedules that are due. A look goes beside the exchanges, and only one at a time. All workers look: for
// each time of a schedule, the first one pushes.
//
// It is used only by the goroutine of Run.
type schedules struct {
	talk *talk
	log  *journal

	dueAt    time.Time
	saidAt   time.Time // when an error was logged last
	underway *call[time.Duration]
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

// turn takes in a look that has ended, and begins one if it is time to.
func (s *schedules) turn(ctx context.Context, now time.Time) {
	if s.underway != nil && s.underway.over() {
		s.await()
	}
	if s.underway != nil || now.Before(s.dueAt) {
		return
	}
	s.underway = begin(func() (time.Duration, error) {
		return bounded(ctx, &s.talk.calls, schedulesWithin, func(ctx context.Context) (time.Duration, error) {
			_, next, err := s.talk.queue.RunSchedules(ctx)
			return next, err
		})
	})
}

// await waits for the look that is under way, if there is one, and takes it in.
func (s *schedules) await() {
	if s.underway == nil {
		return
	}
	<-s.underway.done
	next, err, now := s.underway.value, s.underway.err, time.Now()
	s.underway = nil
	s.dueAt = now.Add(schedulesUnused)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.dueAt = now.Add(time.Hour)
	case err != nil:
		if now.Sub(s.saidAt) >= time.Minute {
			s.saidAt = now
			s.log.schedulesFailed(err)
		}
	case next >= 0:
		s.dueAt = earlier(s.dueAt, now.Add(next+rand.N(schedulesSpread)))
	}
}

// restUntil is when the worker is to wake up for a schedule.
func (s *schedules) restUntil(other time.Time) time.Time {
	if s.underway != nil {
		return other
	}
	return earlier(other, s.dueAt)
}
