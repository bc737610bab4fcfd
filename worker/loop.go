package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// loop is one Run of a Worker. It has the order of the steps; what each step needs is owned by the parts below. A table of them is in
// docs/design.md, under "How a worker is built".
//
// One goroutine, that of Run, owns the loop and its parts. Goroutines of handlers use only the slots and the executor, and
// those of stores only the listener.
//
// While an exchange is under way, handlers go on and end; the next exchange takes all that has gathered. So batches form by
// themselves, and an idle worker answers at once.
type loop struct {
	config   *Config
	log      *journal
	emitter  *emitter
	reports  *reporter
	executor *executor // prepares jobs and runs them
	slots    *slots    // the goroutines in which they run
	keeper   *keeper   // the jobs that are held
	talk     *talk     // the conversation with the database
	presence presence  // the worker's row in the database
	batches  *batches  // which batches have ended
	schedule *schedules
	upkeep   *upkeep
	rests    *throttles // queues that rest
	wake     *wake      // when to ask for jobs again
	limits   *limits    // the reasons to stop
	demand   demand     // how many jobs to ask for
	control  *control   // what operators have said
	pause    pause
	stopping stopping
}

func newLoop(q *sqlqueue.Queue, mux *Mux, config Config, ends lifetimes, paused func() bool) *loop {
	var number [8]byte
	_, _ = rand.Read(number[:]) // never fails
	id := hex.EncodeToString(number[:])
	l := &loop{
		config:   &config,
		log:      &journal{config.Logger.With("worker", id)},
		slots:    newSlots(config.Concurrency, config.Rest, ends.ended),
		control:  &control{config: &config, slots: config.Concurrency},
		pause:    pause{asked: paused},
		stopping: stopping{ended: ends.ended, quit: ends.quit},
	}
	l.emitter = &emitter{on: &config.Events, log: l.log}
	l.reports = &reporter{log: l.log, logDone: config.LogDone, meter: &config.Meter, slots: l.slots, emitter: l.emitter}
	l.executor = &executor{queue: q, mux: mux, config: &config, log: l.log, slots: l.slots}
	l.keeper = &keeper{
		slots: l.slots, executor: l.executor, reports: l.reports, control: l.control, stuck: map[*run]bool{}, locked: map[*run]time.Time{},
	}
	l.talk = &talk{
		queue: q, worker: id, log: l.log, meter: &config.Meter, reports: l.reports, slots: l.slots,
		deadline: l.deadline, late: ends.late, hangUp: ends.hangUp,
		settling: settleBisect{most: unlimited}, fetching: fetchBisect{most: unlimited},
	}
	l.batches = &batches{talk: l.talk, log: l.log}
	l.reports.batches = l.batches
	l.schedule = &schedules{talk: l.talk, log: l.log, none: true}
	l.upkeep = newUpkeep(l.talk, l.log)
	l.rests = &throttles{talk: l.talk, log: l.log}
	l.wake = &wake{
		config: &config, lastActive: time.Now(),
		listener: listener{queue: q, queues: config.Queues, log: l.log, pushed: make(chan struct{}, 1)},
	}
	l.limits = &limits{
		config: &config, slots: l.slots, keeper: l.keeper, control: l.control, wake: l.wake,
		started: time.Now(), memory: memoryUse{limit: config.MaxMemory},
	}
	l.demand = demand{config: &config, keeper: l.keeper, control: l.control, talk: l.talk, wake: l.wake, limits: l.limits}
	l.presence = presence{
		vitals: l.vitals, talk: l.talk, counts: &l.reports.counts,
		names: &l.reports.names, failures: &l.reports.failures, share: &l.wake.share,
		worker: driver.Worker{
			ID: id, Name: config.Name, Host: host(), PID: os.Getpid(), Queues: config.Queues, Concurrency: config.Concurrency,
		},
	}
	return l
}

// work is the loop. ctx is that of the conversation with the database; it and that of the handlers live longer than that of Run.
func (l *loop) work(ctx, handlers context.Context) error {
	l.slots.context = func() (context.Context, context.CancelCauseFunc) { return context.WithCancelCause(handlers) }
	l.slots.execute = func(handler context.Context, r *run) { l.executor.execute(handler, ctx, r) }
	l.log.starting(l.presence.worker)
	if f := l.config.Events.Starting; f != nil {
		l.emitter.call("Starting", func() { f(l.presence.worker) })
	}
	l.config.Meter.slots(l.control.slots)
	defer func() { l.config.Meter.slots(-l.control.slots) }()
	listening, stopListener := context.WithCancel(ctx)
	wait := l.wake.listener.start(listening)
	defer wait()
	defer stopListener()
	for {
		l.collect()
		if second := l.talk.second; second != nil && closed(second.done) {
			l.receiveSecond()
		}
		l.considerStopping()
		if l.done(ctx) {
			break
		}
		l.sleep(ctx, l.turn(ctx))
	}
	l.receiveSecond()
	l.beatFailed(l.presence.await())
	l.schedule.await()
	l.upkeep.stop()
	l.batches.last(ctx)
	l.presence.leave(ctx)
	return l.leftover()
}

// turn is one exchange with what comes before and after it. It returns how long to wait for the next, unless a handler ends earlier.
func (l *loop) turn(ctx context.Context) time.Duration {
	if err := l.presence.beat(ctx, time.Now()); err != nil {
		if !l.presence.written {
			return l.failed(driver.Exchange{}, err)
		}
		l.beatFailed(err)
	}
	if !l.talk.outage.on() {
		l.batches.turn(ctx, time.Now())
		if l.stopping.reason == "" {
			l.schedule.turn(ctx, time.Now())
			l.upkeep.turn(ctx, time.Now())
		}
	}
	l.giveBackWaiting(time.Now())
	l.keeper.heartbeat(ctx, time.Now())
	if l.rests.write(ctx) {
		l.wake.pollNow()
	}
	l.wake.takePush(time.Now())
	x := l.compose(time.Now())
	sent := time.Now()
	answer, err := l.talk.exchange(ctx, x, l)
	if !errors.Is(err, errStoreHangs) { // a new process may be able to reach the database
		l.config.Health.exchanged(time.Now(), err)
	}
	if err != nil {
		return l.failed(x, err)
	}
	if step := l.talk.succeeded(x, answer, sent); step != 0 {
		l.keeper.touchAll(time.Now())
		l.wake.pollNow()
	}
	l.keeper.touched(x.Touch, answer, sent)
	l.obey(x, answer)
	if x.IdleWorkers {
		l.wake.share.learn(answer)
	}
	if x.Chores {
		l.schedule.learn(answer, time.Now())
		l.batches.learn(answer.Chores)
	}
	l.considerStopping()
	l.dispatch(x, answer, sent)
	return l.rest(ctx, x, answer)
}

// compose returns the next exchange: what the worker has to report, and what it asks for.
func (l *loop) compose(now time.Time) driver.Exchange {
	x := l.ask(now, l.talk.second.limit())
	l.talk.addSettlements(&x, now)
	x.Touch = l.keeper.touches()
	if l.stopping.reason == "" {
		l.talk.addRequeue(&x, l.keeper.lockedIDs, now)
		l.talk.addChores(&x, now)
		if l.wake.mayShare() {
			l.wake.share.ask(&x, now)
		}
	}
	return x
}

// ask returns an exchange that asks for jobs, while another exchange asks for that many others.
func (l *loop) ask(now time.Time, others int) driver.Exchange {
	return l.demand.ask(now, others, l.stopping.reason == "" && !l.pause.on)
}

// failed deals with an exchange that has failed, and returns how long to wait for the next.
func (l *loop) failed(x driver.Exchange, err error) time.Duration {
	wait, fatal := l.talk.failed(x, err)
	l.fail(fatal)
	if closed(l.talk.late) && len(l.keeper.held) == 0 {
		l.talk.hangUp()
	}
	return wait
}

// beatFailed deals with a beat that has failed, or does nothing if err is nil. The next repeats it.
func (l *loop) beatFailed(err error) {
	if err != nil && faultOf(err) == refused {
		l.fail(l.talk.denied([]*denial{&l.talk.denials.beat}, err))
	}
}

// receiveSecond waits for the answer of the second exchange, if there is one under way, and takes it in.
func (l *loop) receiveSecond() {
	second, fatal := l.talk.finishSecond()
	l.fail(fatal)
	if second == nil {
		return
	}
	if len(second.answer.Reserved) > 0 {
		l.wake.found(time.Now())
	}
	l.dispatch(second.x, second.answer, second.sentAt)
}

// collect takes back the jobs that have ended.
func (l *loop) collect() {
	ended, late := l.slots.take()
	now := time.Now()
	l.demand.prefetch.ended(ended, now)
	for _, r := range ended {
		of := r.info.Reservation()
		l.keeper.remove(r)
		if r.hangs {
			l.keeper.stuck[r] = true
		}
		if r.verdict.kind == 0 {
			l.log.undecided(r)
			r.verdict = r.rules.fallback(errUndecided, "", r.info, l.talk.serverTime())
		}
		if r.interrupted {
			l.stopping.interrupted = append(l.stopping.interrupted, of.ID)
		}
		l.limits.ended++
		if r.verdict.kind == neverBegan && !l.config.Once { // it has not run: it is not one of Config.MaxJobs
			l.limits.taken--
		}
		if pause := l.demand.cooldown.ended(r, l.slots.startOf(r), now); pause > 0 {
			l.log.cannotStart(r, pause)
			l.giveBack(all)
		}
		if queue := r.info.Queue; r.verdict.kind == throttled && r.verdict.delay > 0 && l.rests.note(queue, r.verdict.delay, now) {
			l.giveBack(func(other *run) bool { return other.info.Queue == queue })
		}
		_, write := r.verdict.settlement(of)
		switch {
		case r.gone && r.shared.completed.Load():
			l.reports.completed(r, l.talk.serverTime())
		case r.gone, r.verdict.kind == dropped:
			if !l.keeper.stuck[r] {
				l.log.dropped(r)
			}
		case !write:
			l.reports.ended(r, l.talk.serverTime())
		default:
			l.talk.settle(r)
		}
	}
	for _, r := range late { // after ended: it may be among both
		delete(l.keeper.stuck, r)
		l.log.late(r)
	}
}

// dispatch starts the reserved jobs, or gives them back if the worker stops.
func (l *loop) dispatch(x driver.Exchange, answer driver.Exchanged, sent time.Time) {
	if len(answer.Reserved) == 0 {
		return
	}
	if answer.Keep != nil {
		l.executor.keep = answer.Keep
	}
	now := time.Now()
	from := l.executor.originOf(answer, now)
	start := make([]*run, 0, len(answer.Reserved))
	expires := map[string]time.Duration{}
	for _, r := range x.Reserve {
		expires[r.Queue] = r.Expire
	}
	for i := range answer.Reserved {
		job := &answer.Reserved[i]
		if _, ok := expires[job.Queue]; ok {
			continue
		}
		for _, r := range x.Reserve {
			if driver.InPattern(r.Queue, job.Queue) {
				expires[job.Queue] = r.Expire
				break
			}
		}
	}
	for i := range answer.Reserved {
		job := &answer.Reserved[i]
		r := l.executor.prepare(job, from, answer.Now)
		r.kept(expires[job.Queue], sent)
		l.emitter.job("Reserved", l.config.Events.Reserved, r)
		delay, rests := l.rests.covers(job.Queue, sent)
		if rests || l.stopping.reason != "" || l.demand.cooldown.on(now) {
			r.verdict = verdict{kind: unstarted, delay: delay}
			l.talk.settle(r)
			continue
		}
		l.limits.taken++
		l.demand.prefetch.payload(len(job.Payload))
		l.limits.memory.largest = max(l.limits.memory.largest, int64(len(job.Payload)))
		l.keeper.add(r)
		if !r.startPending {
			start = append(start, r)
		}
	}
	l.slots.add(start...)
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
		l.config.Meter.slots(changed.concurrency - before)
		l.slots.resize(changed.concurrency)
	}
}

// giveBackWaiting gives back jobs that have not started: all while Worker.Pause holds, and otherwise those that have waited for
// too long.
func (l *loop) giveBackWaiting(now time.Time) {
	if l.pause.changed() {
		l.wake.pollNow()
		l.log.paused(l.pause.on)
	}
	switch {
	case l.pause.on:
		l.giveBack(all)
	case !now.Before(l.keeper.dueAt):
		l.giveBack(waitedTooLong(now))
	}
}

// giveBack gives back jobs that have not started and that match. Their attempts are not spent.
func (l *loop) giveBack(match func(*run) bool) {
	back := l.keeper.withdraw(match)
	l.talk.settle(back...)
	l.limits.taken -= len(back)
}
