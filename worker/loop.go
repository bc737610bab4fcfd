package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	controlEvery = time.Second            // however long it sleeps, a worker looks so often for expired jobs and at what operators say
	promptly     = time.Second            // how long the last exchange may take
	leaveWithin  = 3 * time.Second        // how long the removal of its row at the end may take
	lastTries    = 3 * time.Second        // how long a worker that the database refuses still tries to write how its jobs ended
	weighEvery   = 100 * time.Millisecond // how often it looks at the memory that the process uses
)

const timeIsUp = "time is up"

// loop is one Run of a Worker. One goroutine, that of Run, owns it and has all conversations with the database; of what follows, others
// use queue, mux, config, log and slots, which do not change.
//
// Two contexts live on when Run's has ended: that of the handlers until the grace is over, and that of the conversation with the
// database, which is ctx here, a little longer.
//
// While an exchange is under way, handlers go on and end; the next exchange takes all that has gathered. So batches form by
// themselves, and an idle worker answers at once.
type loop struct {
	queue    *sqlqueue.Queue
	config   Config
	log      *journal
	emitter  *emitter
	reports  *reporter
	executor *executor

	ended <-chan struct{} // closed when Run's context has ended, or by quit
	quit  func()          // ends the worker as the end of Run's context does
	late  <-chan struct{} // closed when the grace is over, and the time for a last exchange

	endConversation func()

	calls  storeCalls
	paused func() bool // whether to reserve nothing for now
	slots  *slots
	ear    ear

	self       driver.Worker
	presence   presence
	registered bool      // an exchange has told it what operators want
	requeued   time.Time // when all that had expired was released
	count      int       // of exchanges

	keeper    *keeper
	unsettled []*run // has come to its end, which is to be written
	locked    int    // how many of them were tried, and are locked by other transactions
	emptiness emptiness
	reach     reach
	used      int64 // memory of the process, when it was looked at last
	largest   int64 // payload that this worker has had
	finished  int   // jobs whose handlers have ended
	vain      bool  // the last look has found no job
	cooldown  cooldown
	refusal   refusal
	denials   denials
	beside    *beside // nil: there is no second exchange under way
	pace      pace
	taken     int // jobs that were reserved
	turns     int // exchanges that have asked for jobs

	control   *control
	outage    outage
	nextLook  time.Time // when to ask for jobs again, after there were none; zero: at any time
	active    time.Time // when jobs were found or heard of last
	lastDue   time.Time // the time of the next delayed job, as told last
	emptyAt   time.Time // since when it has asked for jobs in vain; zero: it has not
	idle      bool      // the last look found nothing and nothing runs
	wasPaused bool
	weighed   time.Time // when the memory was looked at

	started     time.Time
	stopping    string    // why it stops; empty: it does not
	overweight  error     // the memory limit was reached
	fatal       error     // the database refuses what the worker needs
	emptyHanded time.Time // since when it stops and no handler runs
	interrupted []int64   // jobs that the end of the grace interrupted
}

func newLoop(q *sqlqueue.Queue, mux *Mux, config Config, ended <-chan struct{}, paused func() bool) *loop {
	var number [8]byte
	_, _ = rand.Read(number[:]) // never fails
	id := hex.EncodeToString(number[:])
	log, slots := &journal{config.Logger.With("worker", id)}, newSlots(config.Concurrency, config.Rest, ended)
	events := &emitter{on: &config.Events, log: log}
	reports := &reporter{log: log, emitter: events}
	executor := &executor{queue: q, mux: mux, config: &config, log: log, slots: slots}
	control := &control{config: &config, slots: config.Concurrency}
	return &loop{
		queue: q, config: config, log: log, emitter: events,
		reports: reports, executor: executor,
		ended: ended, paused: paused,
		slots:   slots,
		ear:     ear{pushed: make(chan struct{}, 1)},
		keeper:  &keeper{slots: slots, executor: executor, reports: reports, control: control, stuck: map[*run]bool{}, locked: map[*run]bool{}},
		refusal: refusal{most: unlimited},
		reach:   reach{most: unlimited},
		control: control,
		started: time.Now(), active: time.Now(),
		self: driver.Worker{
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
	l.slots.context = func() (context.Context, context.CancelCauseFunc) { return context.WithCancelCause(handlers) }
	l.slots.execute = func(handler context.Context, r *run) { l.executor.execute(handler, ctx, r) }
	l.log.starting(l.self)
	if f := l.config.Events.Starting; f != nil {
		l.emitter.call("Starting", func() { f(l.self) })
	}
	listening, deafen := context.WithCancel(ctx)
	wait := l.listen(listening)
	defer wait()
	defer deafen()
	for {
		l.collect()
		select {
		case <-l.beside.answered():
			l.heedBeside()
		default:
		}
		l.considerStopping()
		if l.done(ctx) {
			break
		}
		l.sleep(ctx, l.turn(ctx))
	}
	l.heedBeside()
	l.presence.await(l)
	l.leave(ctx)
	return l.leftover()
}

// turn is one exchange with what comes before and after it. It returns how long to wait for the next, unless a handler ends earlier.
func (l *loop) turn(ctx context.Context) time.Duration {
	if err := l.beat(ctx, time.Now()); err != nil {
		return l.failedExchange(driver.Exchange{}, err)
	}
	l.giveBackWaiting(time.Now())
	l.keeper.heartbeat(ctx, time.Now())
	l.wakeUp(time.Now())
	x := l.compose(time.Now())
	sent := time.Now()
	answer, err := l.exchange(ctx, x)
	if !errors.Is(err, errStoreHangs) { // a new process may be able to reach the database
		l.config.Health.exchanged(time.Now(), err)
	}
	if err != nil {
		return l.failedExchange(x, err)
	}
	l.succeededExchange(x, answer, sent)
	l.succeededSettle(answer)
	l.keeper.touched(x.Touch, answer, sent)
	l.obey(x, answer)
	l.considerStopping()
	l.dispatch(x, answer, sent)
	return l.rest(ctx, x, answer)
}

// collect takes back the jobs that have come to their end.
func (l *loop) collect() {
	ended, late := l.slots.take()
	l.pace.note(ended, time.Now())
	for _, r := range ended {
		of := r.info.Reservation()
		l.keeper.remove(r)
		if r.hangs {
			l.keeper.stuck[r] = true
		}
		if r.verdict.kind == 0 {
			l.log.undecided(r)
			r.verdict = r.rules.fallback(errUndecided, "", r.info, l.outage.serverTime(time.Now()))
		}
		if r.interrupted {
			l.interrupted = append(l.interrupted, of.ID)
		}
		l.noteBegin(r, time.Now())
		l.finished++
		_, write := r.verdict.settlement(of)
		switch {
		case r.gone && r.completed.Load():
			l.reports.completed(r, l.outage.serverTime(time.Now()))
		case r.gone, r.verdict.kind == dropped:
			if !l.keeper.stuck[r] {
				l.log.dropped(r)
			}
		case !write:
			l.reports.ended(r, l.outage.serverTime(time.Now()))
		default:
			l.unsettled = append(l.unsettled, r)
		}
	}
	for _, r := range late { // after ended: it may be among both
		delete(l.keeper.stuck, r)
		l.log.late(r)
	}
}

// obey does what operators say.
func (l *loop) obey(x driver.Exchange, answer driver.Exchanged) {
	before := l.control.slots
	changed := l.control.apply(x, answer)
	if changed.expire {
		l.keeper.dueAt = time.Time{}
	}
	if changed.restart {
		l.stop("restart")
	}
	if changed.concurrency > 0 {
		l.log.concurrency(before, changed.concurrency)
		l.slots.resize(changed.concurrency)
	}
}

// giveBackWaiting gives back jobs that have not started: all while Worker.Pause holds, and otherwise those that have waited for too long.
func (l *loop) giveBackWaiting(now time.Time) {
	if paused := l.paused(); paused != l.wasPaused {
		l.wasPaused, l.nextLook = paused, time.Time{}
		l.log.paused(paused)
	}
	switch {
	case l.wasPaused:
		l.giveBack(all)
	case !now.Before(l.keeper.dueAt):
		l.giveBack(waitedTooLong(now))
	}
}

// giveBack gives back jobs that have not started and that match. Their attempts are not spent.
func (l *loop) giveBack(match func(*run) bool) {
	back := l.keeper.withdraw(match)
	l.unsettled = append(l.unsettled, back...)
	l.taken -= len(back)
}

// considerStopping finds reasons to stop that are not an operator's.
func (l *loop) considerStopping() {
	select {
	case <-l.ended:
		l.stop("context ended")
	default:
	}
	switch {
	case l.config.MaxJobs > 0 && l.taken >= l.config.MaxJobs && l.keeper.waiting() == 0:
		l.stop("jobs done")
	case l.config.MaxTime > 0 && time.Since(l.started) >= l.config.MaxTime:
		l.stop(timeIsUp)
	case l.config.Once && !l.emptyAt.IsZero() && time.Since(l.emptyAt) >= l.config.Sleep:
		l.stop("no job")
	case len(l.keeper.stuck) > l.config.MaxStuck, len(l.keeper.stuck) > 0 && len(l.keeper.stuck) >= l.control.slots:
		l.stop("handlers are stuck")
	}
	l.weigh(time.Now())
	if l.stopping == "" || len(l.keeper.held) > 0 {
		return
	}
	if l.emptyHanded.IsZero() {
		l.emptyHanded = time.Now()
	}
	if l.outage.on() { // handlers have no time limit but their own, the wait for the database has
		l.quit()
	}
}

// weigh looks at the memory that the process uses.
func (l *loop) weigh(now time.Time) {
	if l.config.MaxMemory <= 0 || now.Sub(l.weighed) < weighEvery {
		return
	}
	l.weighed, l.used = now, memory()
	running, _ := l.slots.load()
	useful := running > 0 || l.finished > 0 || l.vain && len(l.keeper.held) == 0 // one that did not even one job would be started again in vain
	if l.used > l.config.MaxMemory && l.overweight == nil && useful {
		l.overweight = fmt.Errorf("%w: %d MB are in use, the limit is %d MB", ErrMemory, l.used>>20, l.config.MaxMemory>>20)
		l.stop(l.overweight.Error())
	}
}

// mustWait reports whether the worker asks for no job though it has room: one that is here has to show first whether there is memory for more,
// or that the machine can start jobs; or all queues stand aside.
func (l *loop) mustWait(now time.Time) bool {
	return l.tight() && len(l.keeper.held) > 0 || !l.cooldown.on(now) && l.hopeful(1, now) == 0 ||
		len(l.reach.probe) == 0 && len(l.reach.aside) >= len(l.config.Queues)
}

// tight reports whether another job beside those that are here may take more memory than is left: then there is one at a time. A worker that
// could not run even one would be started again and again, and get nothing done.
func (l *loop) tight() bool {
	left := l.memoryLeft()
	return left >= 0 && left/reachShare < l.largest
}

// stop makes the worker reserve no more, and end when its handlers have.
func (l *loop) stop(reason string) {
	if l.stopping != "" {
		return
	}
	l.stopping = reason
	l.giveBack(all)
	close(l.slots.closed)
	l.log.stopping(reason, len(l.keeper.held))
	l.config.Health.stopping()
	if f := l.config.Events.Stopping; f != nil {
		l.emitter.call("Stopping", func() { f(reason) })
	}
}

// done reports whether there is nothing left to do, or no time left to do it.
func (l *loop) done(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	if l.fatal != nil && !l.emptyHanded.IsZero() && (!l.registered || time.Since(l.emptyHanded) >= lastTries) {
		return true
	}
	return l.stopping != "" && len(l.keeper.held)+len(l.unsettled) == 0 && l.beside == nil && !l.outage.owes()
}

// leave removes the worker's row. If that fails, others do it later.
func (l *loop) leave(ctx context.Context) {
	if !l.presence.written || l.outage.on() || ctx.Err() != nil {
		return
	}
	b := driver.Beat{Worker: l.self, Leave: true}
	l.reports.counts.tell(&b, time.Now())
	_ = l.sendBeat(ctx, b, leaveWithin)
}

// leftover says what is unfinished at the end.
func (l *loop) leftover() error {
	left := &UnfinishedError{Interrupted: l.interrupted, Running: l.keeper.running()}
	for _, r := range l.unsettled {
		left.Unsettled = append(left.Unsettled, r.info.ID)
	}
	if !l.config.Once { // whose process ends anyway, and whose outcome is nobody's error
		left.Stuck = l.keeper.stuckIDs()
	}
	if len(left.Interrupted)+len(left.Running)+len(left.Unsettled)+len(left.Stuck) == 0 {
		l.log.stopped(l.stopping, time.Since(l.started))
		return errors.Join(l.fatal, l.overweight)
	}
	l.log.unfinished(l.stopping, left)
	return errors.Join(l.fatal, left, l.overweight)
}

// rest returns how long the worker has nothing to do, unless a handler ends.
func (l *loop) rest(ctx context.Context, x driver.Exchange, answer driver.Exchanged) time.Duration {
	now := time.Now()
	l.plan(x, answer, now)
	if l.done(ctx) {
		return 0
	}
	next := now.Add(controlEvery)
	if l.beside != nil && len(l.unsettled) < besideFrom {
		return earlier(next, l.keeper.dueAt).Sub(now)
	}
	next = l.keeper.nextStart(next)
	if len(l.keeper.held) > 0 {
		next = earlier(next, l.keeper.dueAt)
	}
	switch {
	case len(l.unsettled) == 0:
	case len(l.unsettled) > l.locked: // not tried yet
		next = now
	default:
		next = earlier(next, now.Add(lockedRetry))
	}
	if l.config.Once && !l.emptyAt.IsZero() {
		next = earlier(next, l.emptyAt.Add(l.config.Sleep))
	}
	if l.config.MaxTime > 0 && l.stopping == "" {
		next = earlier(next, l.started.Add(l.config.MaxTime))
	}
	if l.stopping == "" && !l.paused() && l.keeper.free() > 0 && !l.mustWait(now) {
		next = earlier(next, later(l.nextLook, l.cooldown.until))
	}
	return next.Sub(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// plan decides when to ask for jobs again.
func (l *loop) plan(x driver.Exchange, answer driver.Exchanged, now time.Time) {
	asked, found := x.Limit > 0, len(answer.Reserved) > 0
	var empty, again bool
	if asked {
		l.vain = !found
		answer.Everything = answer.Everything && len(x.Reserve) == len(l.config.Queues)
		matters := l.config.StopWhenEmpty || l.config.Once || l.config.Events.Idle != nil && !l.idle
		empty, again = l.emptiness.asked(x, answer, matters)
	}
	switch {
	case found:
		l.active, l.emptyAt = now, time.Time{}
	case empty && l.emptyAt.IsZero():
		l.emptyAt = now
	}
	switch {
	case again:
		l.nextLook = time.Time{}
	case asked && len(answer.Reserved) == x.Limit, !asked && answer.Requeued > 0, l.control.reopened:
		l.nextLook = time.Time{}
	case asked:
		l.nextLook = now.Add(l.nap(now))
	}
	// A time that has passed without giving a job is believed once: it may have come between two statements, or the job may be out
	// of reach.
	due := answer.NextDue
	if !due.IsZero() && (due.After(answer.Now) || !due.Equal(l.lastDue)) && !l.config.Once {
		l.nextLook = earlier(l.nextLook, now.Add(due.Sub(answer.Now)))
	}
	l.lastDue = due

	if found || empty {
		l.noteIdle(empty && len(l.keeper.held)+len(l.unsettled) == 0 && l.beside == nil)
	}
}

// noteIdle notes whether no job is due and none is running here.
func (l *loop) noteIdle(idle bool) {
	if f := l.config.Events.Idle; f != nil && idle && !l.idle {
		l.emitter.call("Idle", f)
	}
	l.idle = idle
	if idle && l.config.StopWhenEmpty {
		l.stop("empty")
	}
}

// sleep waits for d, for a handler's end, and for the end of Run's context. While the database is away it waits the whole time: there is
// nobody to tell.
func (l *loop) sleep(ctx context.Context, d time.Duration) {
	if l.config.MaxTime > 0 && l.stopping == "" {
		d = min(d, time.Until(l.started.Add(l.config.MaxTime)))
	}
	if d <= 0 {
		return
	}
	late := l.late
	if closed(late) || len(l.keeper.held) > 0 {
		late = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended, wake, pushed := l.ended, l.slots.wake, l.ear.pushed
	if l.beside != nil {
		l.collect()
		l.slots.alert(besideFrom)
		defer l.slots.alert(1)
		pushed = nil
	}
	if l.stopping != "" {
		ended = nil
	}
	if l.outage.on() {
		wake = nil
	}
	if l.outage.on() || l.stopping != "" || l.paused() || l.keeper.free() <= 0 || l.cooldown.on(time.Now()) {
		pushed = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-l.beside.answered():
	case <-pushed:
		l.ear.heard() // for wakeUp
	case <-ended:
	case <-late:
	case <-ctx.Done():
	}
}

// closed reports whether a channel is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// awaitDatabase returns when the database can be worked with, or will not be.
func (l *loop) awaitDatabase(ctx context.Context) error {
	for {
		err := l.check(ctx)
		switch {
		case err == nil:
			l.outage.over(l.log)
			return nil
		case faultOf(err) == refused, ctx.Err() != nil:
			return err
		}
		if !errors.Is(err, errStoreHangs) {
			l.config.Health.exchanged(time.Now(), err)
		}
		l.sleep(ctx, l.outage.next(l.log, err))
	}
}

func (l *loop) check(ctx context.Context) error {
	_, err := bounded(ctx, &l.calls, exchangeTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, l.queue.Check(ctx) })
	return err
}
