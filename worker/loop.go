package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	controlEvery = time.Second            // however long it sleeps, a worker looks so often for expired jobs and at what operators say
	seenEvery    = 5 * time.Second        // how often it writes its row
	lockedEvery  = 250 * time.Millisecond // how often it tries again what another transaction has locked
	promptly     = time.Second            // how long handlers have to return when their grace is over
)

// loop is one Run of a Worker. One goroutine, that of Run, owns it and has all conversations with the database; of what follows, others
// use queue, mux, config, log and finished, which do not change.
//
// Two contexts live on when Run's has ended: that of the handlers until the grace is over, and that of the conversation with the
// database, which is ctx here, a little longer.
//
// While an exchange is under way, handlers go on and end; the next exchange takes all that has gathered. So batches form by
// themselves, and an idle worker answers at once.
type loop struct {
	queue  *sqlqueue.Queue
	mux    *Mux
	config Config
	log    journal

	ended    <-chan struct{} // closed when Run's context has ended
	finished finished

	self       sqlqueue.Worker
	registered bool      // its row is written
	seen       time.Time // when its row was written last
	count      int       // of exchanges

	running   map[sqlqueue.Reservation]*run
	unsettled []*run // handlers have returned; to be written
	locked    int    // how many of them were tried, and are locked by other transactions
	refusal   refusal
	taken     int // jobs that were reserved
	unhandled int // how often a job was put back because no handler has its name

	control  control
	outage   outage
	nextLook time.Time // when to ask for jobs again, after there were none; zero: at any time
	lastDue  time.Time // the time of the next delayed job, as told last
	looked   bool      // has asked for jobs
	idle     bool      // the last look found nothing and nothing runs

	started     time.Time
	stopping    string  // why it stops; empty: it does not
	interrupted []int64 // jobs that the end of the grace interrupted
}

func newLoop(q *sqlqueue.Queue, mux *Mux, config Config, ended <-chan struct{}) *loop {
	var number [8]byte
	_, _ = rand.Read(number[:]) // never fails
	id := hex.EncodeToString(number[:])
	return &loop{
		queue: q, mux: mux, config: config, log: journal{config.Logger.With("worker", id)},
		ended:    ended,
		finished: finished{wake: make(chan struct{}, 1)},
		running:  map[sqlqueue.Reservation]*run{},
		refusal:  refusal{most: unlimited},
		control:  control{slots: config.Concurrency},
		started:  time.Now(),
		self: sqlqueue.Worker{
			ID: id, Name: config.Name, Host: host(), PID: os.Getpid(),
			Queues: config.Queues, Concurrency: config.Concurrency,
		},
	}
}

// outlive returns a context that ends d after ctx has ended, d < 0 never, with the cause ErrStopped, or when the function is called.
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

// work is the loop.
func (l *loop) work(ctx, handlers context.Context) error {
	l.log.starting(l.self)
	l.emit(l.config.Events.Starting != nil, func() { l.config.Events.Starting(l.self) })
	for {
		l.collect()
		l.considerStopping()
		if l.done(ctx) {
			break
		}
		l.sleep(ctx, l.turn(ctx, handlers))
	}
	return l.leftover()
}

// turn is one exchange with what comes before and after it. It returns how long to wait for the next, unless a handler ends earlier.
func (l *loop) turn(ctx, handlers context.Context) time.Duration {
	x := l.compose(time.Now())
	sent := time.Now()
	answer, err := l.exchange(ctx, x)
	if err != nil {
		return l.failedExchange(x, err)
	}
	l.succeededExchange(x, sent)
	l.settled(answer)
	l.touched(x, answer, sent)
	l.obey(answer)
	l.considerStopping()
	l.dispatch(ctx, handlers, x, answer, sent)
	return l.rest(ctx, x, answer)
}

// collect takes back the jobs whose handlers have returned.
func (l *loop) collect() {
	for _, r := range l.finished.take() {
		of := r.info.Reservation()
		delete(l.running, of)
		if r.interrupted {
			l.interrupted = append(l.interrupted, of.ID)
		}
		_, write := r.verdict.settlement(of)
		switch {
		case r.gone && r.info.completed.Load():
			l.completed(r)
		case r.gone, r.verdict.kind == dropped:
			l.log.dropped(r)
		case !write:
			l.report(r)
		default:
			l.unsettled = append(l.unsettled, r)
		}
	}
}

// considerStopping finds reasons to stop that are not an operator's.
func (l *loop) considerStopping() {
	select {
	case <-l.ended:
		l.stop("context ended")
	default:
	}
	switch {
	case l.config.MaxJobs > 0 && l.taken >= l.config.MaxJobs:
		l.stop("jobs done")
	case l.config.MaxTime > 0 && time.Since(l.started) >= l.config.MaxTime:
		l.stop("time is up")
	case l.config.Once && l.looked && !time.Now().Before(l.nextLook):
		l.stop("no job")
	}
}

// stop makes the worker reserve no more, and end when its handlers have.
func (l *loop) stop(reason string) {
	if l.stopping != "" {
		return
	}
	l.stopping = reason
	l.log.stopping(reason, len(l.running))
	l.emit(l.config.Events.Stopping != nil, func() { l.config.Events.Stopping(reason) })
}

// done reports whether there is nothing left to do, or no time left to do it.
func (l *loop) done(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	return l.stopping != "" && len(l.running)+len(l.unsettled) == 0 && !l.outage.owes()
}

// leftover says what is unfinished at the end.
func (l *loop) leftover() error {
	left := &UnfinishedError{Interrupted: l.interrupted}
	for of := range maps.Keys(l.running) {
		left.Running = append(left.Running, of.ID)
	}
	slices.Sort(left.Running)
	for _, r := range l.unsettled {
		left.Unsettled = append(left.Unsettled, r.info.ID)
	}
	if len(left.Interrupted)+len(left.Running)+len(left.Unsettled) == 0 {
		l.log.stopped(l.stopping, time.Since(l.started))
		return nil
	}
	l.log.unfinished(l.stopping, left)
	return left
}

// rest returns how long the worker has nothing to do, unless a handler ends.
func (l *loop) rest(ctx context.Context, x sqlqueue.Exchange, answer sqlqueue.Exchanged) time.Duration {
	now := time.Now()
	l.plan(x, answer, now)
	if l.done(ctx) {
		return 0
	}
	next := now.Add(controlEvery)
	for _, r := range l.running {
		if r.expire > 0 && !r.gone && r.touchAt.Before(next) {
			next = r.touchAt
		}
	}
	switch {
	case len(l.unsettled) == 0:
	case len(l.unsettled) > l.locked: // not tried yet
		next = now
	default:
		next = earlier(next, now.Add(lockedEvery))
	}
	if l.config.MaxTime > 0 && l.stopping == "" {
		next = earlier(next, l.started.Add(l.config.MaxTime))
	}
	if l.stopping == "" && l.free() > 0 && (x.Limit == 0 || len(answer.Reserved) == 0 || len(answer.Reserved) == x.Limit) {
		next = earlier(next, l.nextLook)
	}
	return next.Sub(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// plan decides when to ask for jobs again.
func (l *loop) plan(x sqlqueue.Exchange, answer sqlqueue.Exchanged, now time.Time) {
	asked, found := x.Limit > 0, len(answer.Reserved) > 0
	switch {
	case found, !asked && answer.Requeued > 0:
		l.nextLook, l.looked = time.Time{}, false
	case asked:
		l.nextLook, l.looked = now.Add(l.config.Sleep), true
	}
	// A time that has passed without giving a job is believed once: it may have come between two statements, or the job may be out
	// of reach.
	due := answer.NextDue
	if !found && !due.IsZero() && (due.After(answer.Now) || !due.Equal(l.lastDue)) && !l.config.Once {
		l.nextLook = earlier(l.nextLook, now.Add(due.Sub(answer.Now)))
	}
	l.lastDue = due

	if asked {
		l.noteIdle(!found && len(l.running)+len(l.unsettled) == 0)
	}
}

// noteIdle notes whether no job is due and none is running here.
func (l *loop) noteIdle(idle bool) {
	if idle && !l.idle {
		l.emit(l.config.Events.Idle != nil, l.config.Events.Idle)
	}
	l.idle = idle
	if idle && l.config.StopWhenEmpty {
		l.stop("empty")
	}
}

// sleep waits for d, for a handler's end, and for the end of Run's context. While the database is away it waits the whole time: there is
// nobody to tell.
func (l *loop) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended, wake := l.ended, l.finished.wake
	if l.stopping != "" {
		ended = nil
	}
	if l.outage.on() {
		wake = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-ended:
	case <-ctx.Done():
	}
}

// awaitDatabase returns when the database can be worked with, or will not be.
func (l *loop) awaitDatabase(ctx context.Context) error {
	for {
		err := l.check(ctx)
		var version *sqlqueue.SchemaError
		switch {
		case err == nil:
			l.outage.over(&l.log)
			return nil
		case errors.Is(err, sqlqueue.ErrNotMigrated), errors.As(err, &version), errors.Is(err, sqlqueue.ErrUnsupportedServer), ctx.Err() != nil:
			return err
		}
		l.sleep(ctx, l.outage.next(&l.log, err))
	}
}

func (l *loop) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	return l.queue.Check(ctx)
}

// emit tells an event, if somebody wants to know.
func (l *loop) emit(wanted bool, event func()) {
	if !wanted {
		return
	}
	if err := protect(func() error { event(); return nil }); err != nil {
		l.log.eventFailed(err)
	}
}
