package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	firstListen = time.Second // until it tries to listen again, and twice as long each time
	mostListen  = time.Minute

	stopListening = time.Second // how long it is waited for at the end
)

// listener hears of pushes to the worker's queues: of those of this process always, and of others where the database tells of
// them. It only wakes the worker: one that hears nothing polls. Its methods may be called by several goroutines at once.
type listener struct {
	queue  *sqlqueue.Queue
	queues []string
	log    *journal

	pushed chan struct{} // has one place: jobs may be there
	hears  atomic.Bool   // also pushes of other processes
}

// heard notes that there may be jobs.
func (l *listener) heard() {
	select {
	case l.pushed <- struct{}{}:
	default:
	}
}

// start listens until ctx ends. It returns a function that waits for the end of that.
func (l *listener) start(ctx context.Context) (wait func()) {
	stop := l.queue.OnPush(l.queues, l.heard)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		for pause := firstListen; ; pause = min(2*pause, mostListen) {
			err := l.queue.Listen(ctx, l.queues, func() {
				l.hears.Store(true)
				l.heard()
			})
			if l.hears.Swap(false) {
				pause = firstListen
			}
			if errors.Is(err, errors.ErrUnsupported) {
				<-ctx.Done()
			}
			if ctx.Err() == nil {
				l.log.cannotListen(err, pause)
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
		timer := time.NewTimer(stopListening)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C: // the store does not return when its context ends
		}
	}
}
