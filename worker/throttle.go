package worker

import (
	"context"
	"errors"
	"time"
)

const throttleWithin = 5 * time.Second // how long the pause of a queue may take to be written

// throttles has queues rest whose handlers have returned Throttle. The pause is written before the next exchange, so that no worker
// reserves from the queue. What this worker has reserved before is given back.
//
// It is used only by the goroutine of Run.
type throttles struct {
	talk *talk
	log  *journal

	rests  map[string]*rest // by queue
	saidAt time.Time        // when an error was logged last
}

// rest is that of one queue.
type rest struct {
	until   time.Time
	written time.Time // when the database had answered; zero: it is still to be written
}

// note notes that a job of the queue has said Throttle, and reports whether the queue rests anew.
func (t *throttles) note(queue string, d time.Duration, now time.Time) (anew bool) {
	if t.rests == nil {
		t.rests = map[string]*rest{}
	}
	until, of := now.Add(d), t.rests[queue]
	if of != nil && !until.After(of.until) {
		return false
	}
	t.rests[queue] = &rest{until: until}
	return of == nil
}

// write writes the rests that are still to be, and reports whether a queue has opened again. One that cannot be written is tried again
// before each exchange.
func (t *throttles) write(ctx context.Context) (opened bool) {
	for queue, of := range t.rests {
		now := time.Now()
		if !now.Before(of.until) {
			delete(t.rests, queue)
			opened = true
			continue
		}
		if !of.written.IsZero() || t.talk.outage.on() {
			continue
		}
		_, err := bounded(ctx, &t.talk.calls, throttleWithin, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, t.talk.queue.Throttle(ctx, queue, of.until.Sub(now))
		})
		switch {
		case err == nil:
			of.written = time.Now()
			of.until = of.written.Add(of.until.Sub(now)) // not before it is over for the database
		case !errors.Is(err, errors.ErrUnsupported) && now.Sub(t.saidAt) >= time.Minute:
			t.saidAt = now
			t.log.throttleFailed(queue, err)
		}
	}
	return opened
}

// covers reports whether a job of the queue must not start, that was reserved by an exchange which was sent before the pause was written;
// and for how long it is to be put back. That is not 0 where others may still reserve it, for want of a written pause.
func (t *throttles) covers(queue string, sent time.Time) (delay time.Duration, covers bool) {
	of, now := t.rests[queue], time.Now()
	switch {
	case of == nil || !now.Before(of.until):
		return 0, false
	case of.written.IsZero():
		return of.until.Sub(now), true
	default:
		return 0, sent.Before(of.written)
	}
}

// restUntil is when the first queue opens again.
func (t *throttles) restUntil(other time.Time) time.Time {
	for _, of := range t.rests {
		other = earlier(other, of.until)
	}
	return other
}
