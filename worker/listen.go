package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// A worker that cannot hear of pushes looks after an eighth of the time that there was nothing to do, up to Config.Sleep: soon after
	// there was something, and less and less often.
	lookShare = 8
	lookLeast = time.Millisecond

	firstListen = time.Second // until it tries to listen again, and twice as long each time
	mostListen  = time.Minute
)

// ear hears of pushes.
type ear struct {
	pushed chan struct{} // has one place: jobs may be there
	hears  atomic.Bool   // pushes of other processes, too
}

func (e *ear) heard() {
	select {
	case e.pushed <- struct{}{}:
	default:
	}
}

// listen hears of pushes to the worker's queues until ctx ends. It returns a function that waits for its end.
func (l *loop) listen(ctx context.Context) (wait func()) {
	stop := l.queue.OnPush(l.config.Queues, l.ear.heard)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		for pause := firstListen; ; pause = min(2*pause, mostListen) {
			err := l.queue.Listen(ctx, l.config.Queues, func() {
				l.ear.hears.Store(true)
				l.ear.heard()
			})
			if l.ear.hears.Swap(false) {
				pause = firstListen
			}
			if errors.Is(err, errors.ErrUnsupported) {
				<-ctx.Done()
			}
			if ctx.Err() == nil {
				l.log.deaf(err, pause)
			}
			timer := time.NewTimer(jitter(pause))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
	return func() {
		timer := time.NewTimer(promptly)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C: // a store that does not heed its context
		}
	}
}

// wakeUp looks at what was heard, before the exchange that it leads to is sent.
func (l *loop) wakeUp(now time.Time) {
	select {
	case <-l.ear.pushed:
		l.active, l.nextLook = now, time.Time{}
	default:
	}
}

// nap is how long the worker waits until it asks for jobs again, after there were none.
func (l *loop) nap(now time.Time) time.Duration {
	if l.config.Once || l.ear.hears.Load() {
		return l.config.Sleep
	}
	return min(max(now.Sub(l.active)/lookShare, lookLeast), l.config.Sleep)
}
