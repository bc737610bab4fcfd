package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Worker runs the jobs of some queues. It is safe for concurrent use. Between two calls of Run it only remembers whether it is paused.
type Worker struct {
	queue  *sqlqueue.Queue
	mux    *Mux
	config Config
	paused atomic.Bool
}

// New returns a Worker that reserves jobs from q and finds their handlers in mux. Run reports mistakes in them and in the config.
func New(q *sqlqueue.Queue, mux *Mux, config Config) *Worker {
	return &Worker{queue: q, mux: mux, config: config}
}

// Pause makes the worker reserve no more jobs until Resume. Running handlers go on; jobs that were reserved and not started are given back.
func (w *Worker) Pause() { w.paused.Store(true) }

// Resume ends a Pause, within a second.
func (w *Worker) Resume() { w.paused.Store(false) }

// Run runs jobs until ctx ends, a limit of Config is reached, or an operator stops the worker. Then it reserves no more jobs, waits
// for the running handlers, and writes how each job ended. It waits without limit, unless ctx has ended: then for Config.Grace, and a
// few seconds more: Config.StuckAfter and 2 s if handlers are still running, 3 s if none is, whether the database answers, is down or
// hangs. It returns nil if every handler has returned, and an *UnfinishedError otherwise; ErrMemory if it ended because of
// Config.MaxMemory.
//
// Run first checks the database, the handlers and the settings. It returns an error at once if tables are missing or of another
// version, if the server is not supported or refuses for good (a *sqlqueue.RefusedError), or if handlers or settings are wrong. If the
// server is down, Run waits for it, at the start and later, and keeps the outcomes of jobs until they can be written. If the database
// keeps refusing an operation for 5 s while the worker runs, Run ends with that error, in the same way as when ctx ends. Two calls of
// Run at the same time make two workers.
func (w *Worker) Run(ctx context.Context) error {
	if w.queue == nil || w.mux == nil {
		return errors.New("worker: New needs a queue and a mux")
	}
	config, err := w.config.complete(w.queue)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := errors.Join(w.mux.check(), w.mux.checkMany(&config)); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	handlers, endHandlers := outlive(ctx, config.Grace)
	defer endHandlers()
	conversation, endConversation := outlive(handlers, config.StuckAfter)
	defer endConversation()
	late, endLate := outlive(handlers, lastExchange)
	defer endLate()

	ends := lifetimes{ended: ctx.Done(), quit: quit, late: late.Done(), hangUp: endConversation}
	l := newLoop(w.queue, w.mux, config, ends, w.paused.Load)
	config.Health.started()
	defer config.Health.stopping()
	waiting, endWaiting := ctx, func() {}
	if config.MaxTime > 0 {
		waiting, endWaiting = context.WithTimeout(ctx, config.MaxTime)
	}
	defer endWaiting()
	if err := l.awaitDatabase(waiting); err != nil {
		switch {
		case ctx.Err() != nil:
			return nil // nothing had begun
		case waiting.Err() != nil:
			l.log.stopped(timeIsUp, time.Since(l.limits.started))
			return nil
		}
		l.log.cannotBegin(err)
		return fmt.Errorf("worker: %w", err)
	}
	if err := l.work(conversation, handlers); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// lifetimes say when one Run and its contexts end.
type lifetimes struct {
	ended  <-chan struct{} // closed when Run's context has ended, or by quit
	quit   func()          // ends the worker as the end of Run's context does
	late   <-chan struct{} // closed when the grace is over, and the time for a last exchange
	hangUp func()          // ends the context of the conversation with the database
}

// outlive returns a context that ends d after ctx has ended, or when the returned function is called; the cause is ErrStopped. If d < 0,
// only the function ends it.
func outlive(ctx context.Context, d time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if d < 0 {
		return longer, func() { cancel(ErrStopped) }
	}
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(ErrStopped)
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel(ErrStopped) }
}

// awaitDatabase waits until the database is usable, and returns an error if waiting does not help.
func (l *loop) awaitDatabase(ctx context.Context) error {
	for {
		err := l.talk.check(ctx)
		if err == nil {
			err = l.schedule.set(ctx, l.config)
		}
		var wrong *sqlqueue.ScheduleError
		switch {
		case err == nil:
			l.talk.outage.end(l.log)
			return nil
		case faultOf(err) == refused, errors.As(err, &wrong), ctx.Err() != nil:
			return err
		}
		if !errors.Is(err, errStoreHangs) {
			l.config.Health.exchanged(time.Now(), err)
		}
		l.sleep(ctx, l.talk.outage.failed(l.log, err))
	}
}

// UnfinishedError tells what a worker left behind when its grace was over. Nothing is lost: the jobs run again when their reservations
// expire.
type UnfinishedError struct {
	Interrupted []int64 // jobs whose handlers returned only when their contexts had ended; how they ended was written
	Running     []int64 // jobs whose handlers still run
	Unsettled   []int64 // jobs whose handlers had returned, but how they ended could not be written

	// Stuck are jobs whose handlers have not returned Config.StuckAfter after their timeout. They are settled.
	Stuck []int64
}

func (e *UnfinishedError) Error() string {
	var left []string
	for _, part := range []struct {
		ids  []int64
		what string
	}{
		{e.Interrupted, "interrupted"},
		{e.Running, "still running"},
		{e.Unsettled, "ended but not written"},
		{e.Stuck, "stuck"},
	} {
		if len(part.ids) > 0 {
			left = append(left, fmt.Sprintf("%d %s (%s)", len(part.ids), part.what, some(part.ids)))
		}
	}
	return "not all handlers came to their end: " + strings.Join(left, ", ")
}

// some lists the first of the ids.
func some(ids []int64) string {
	const most = 10
	list := strings.Trim(fmt.Sprint(ids[:min(most, len(ids))]), "[]")
	if len(ids) > most {
		list += " …"
	}
	return list
}
