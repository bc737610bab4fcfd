package worker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	exchangeTimeout = 15 * time.Second // an answer that takes longer is not waited for
	requeueLimit    = 100              // expired reservations that one exchange releases

	// requeueEvery is how often a busy worker looks for expired reservations: in each exchange it would be a good part of a small one.
	requeueEvery = 500 * time.Millisecond
)

// compose says what the worker has to tell and to ask.
func (l *loop) compose(now time.Time) driver.Exchange {
	x := l.ask(now, l.beside.limit())
	x.Abandoned = l.outage.abandoned(now)
	x.Settle = settlements(l.refusal.next(l.unsettled))
	x.Touch = l.keeper.touches()
	expires := slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return r.Expire > 0 })
	if expires && l.registered && l.stopping == "" && l.outage.mayRequeue(now) && now.Sub(l.requeued) >= requeueEvery {
		x.Requeue, x.Expired = requeueLimit, l.outage.expired(now)
		x.Keep = l.keeper.lockedIDs()
	}
	return x
}

// ask says what the worker has to ask for, beside another exchange that reserves so many jobs.
func (l *loop) ask(now time.Time, beside int) driver.Exchange {
	l.count++
	x := driver.Exchange{
		Number: fmt.Sprintf("%s-%d", l.self.ID, l.count),
		Limit:  l.wanted(now, beside),
		Force:  l.config.Force,
	}
	x.Bytes, x.Everything = l.reach.bytes(l.memoryLeft()), l.emptiness.all && x.Limit > 0
	queues := l.order()
	if x.Limit > 0 {
		queues = l.reach.queues(queues, now)
		x.Limit = min(x.Limit, l.reach.most)
	}
	if len(queues) == 0 { // all stand aside
		x.Limit, queues = 0, l.order()
	}
	for _, queue := range queues {
		x.Reserve = append(x.Reserve, driver.Reserve{Queue: queue, Expire: l.control.expire(queue)})
	}
	if x.Limit > 0 {
		l.turns++
	}
	return x
}

// settlements are what is to be written of jobs that have come to their end.
func settlements(of []*run) []driver.Settlement {
	settle := make([]driver.Settlement, 0, len(of))
	for _, r := range of {
		if s, ok := r.verdict.settlement(r.info.Reservation()); ok {
			s.KeepStarted = (r.verdict.kind == unstarted || r.verdict.kind == neverBegan) && r.wasStarted
			settle = append(settle, s)
		}
	}
	return settle
}

// order is the order in which the queues are served now: in fair mode each is the first in turn.
func (l *loop) order() []string {
	queues := l.config.Queues
	if !l.config.Fair {
		return queues
	}
	first := l.turns % len(queues)
	return slices.Concat(queues[first:], queues[:first])
}

// wanted is how many jobs to ask for, beside another exchange that asks for so many.
func (l *loop) wanted(now time.Time, beside int) int {
	if !l.registered || l.stopping != "" || l.wasPaused || l.outage.on() {
		return 0
	}
	// What is sent anyway, to settle, may as well ask.
	if now.Before(l.nextLook) && len(l.unsettled) == 0 {
		return 0
	}
	n := l.keeper.free()
	if l.config.Rest == 0 {
		n += l.pace.ahead(l.control.slots)
	}
	if l.config.MaxJobs > 0 {
		n = min(n, l.config.MaxJobs-l.taken)
	}
	n = min(l.hopeful(n, now), l.reach.most)
	if l.tight() {
		n = min(n, 1-len(l.keeper.held))
	}
	return max(n-beside, 0)
}

// failedExchange keeps everything for the next exchange, and returns how long to wait for it.
func (l *loop) failedExchange(x driver.Exchange, err error) time.Duration {
	l.unanswered(x, l.unsettled[:l.refusal.sending], err)
	l.refusal.failed(l.unsettled, err)
	if queue := l.reach.failed(x, err, time.Now()); queue != "" {
		l.log.tooLarge(queue)
	}
	wait := l.outage.next(l.log, err)
	if faultOf(err) == refused {
		l.denied(l.denials.of(x), err)
		if l.refusal.searching() {
			wait = jitter(firstRetry)
		}
	}
	if closed(l.late) && len(l.keeper.held) == 0 {
		l.endConversation()
	}
	return wait
}

// unanswered notes what is not known about an exchange that was to settle these.
func (l *loop) unanswered(x driver.Exchange, runs []*run, err error) {
	if x.Limit > 0 {
		l.outage.abandon(x, time.Now())
	}
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		for _, r := range runs {
			r.uncertain = true
		}
	}
}

func (l *loop) succeededExchange(x driver.Exchange, answer driver.Exchanged, sent time.Time) {
	l.outage.over(l.log)
	l.denials.granted(x)
	l.reach.succeeded(x, time.Since(sent))
	if step := l.outage.answered(answer.Now, sent, time.Now()); step != 0 {
		l.log.clockWasSet(step)
		l.keeper.touchAll(time.Now())
		l.nextLook = time.Time{}
	}
	l.outage.told(x.Abandoned)
	l.registered = true
	if x.Requeue > 0 && answer.Requeued < x.Requeue { // otherwise there may be more
		l.requeued = sent
	}
}

// succeededSettle looks at what became of what was settled.
func (l *loop) succeededSettle(answer driver.Exchanged) {
	sent, rest := l.unsettled[:l.refusal.sending], l.unsettled[l.refusal.sending:]
	still := l.settled(sent, answer)
	l.unsettled, l.locked = append(slices.Clone(rest), still...), len(still)
	if refused := l.refusal.succeeded(); refused != nil {
		l.refuse(refused)
	}
}

// settled tells what became of jobs that were settled, and returns those that are still to be.
func (l *loop) settled(runs []*run, answer driver.Exchanged) (still []*run) {
	lost, locked := setOf(answer.Lost), setOf(answer.Locked)
	for _, r := range runs {
		switch of := r.info.Reservation(); {
		case locked[of]:
			still = append(still, r)
		case !lost[of]:
			l.reports.ended(r, l.outage.serverTime(time.Now()))
		case r.completed.Load():
			l.reports.completed(r, l.outage.serverTime(time.Now()))
		case r.uncertain:
			l.log.uncertain(r)
		default:
			l.reports.lost(r, &r.verdict)
		}
	}
	return still
}

// forget drops an outcome: its job runs again when the reservation expires.
func (l *loop) forget(r *run) {
	l.unsettled = slices.DeleteFunc(l.unsettled, func(other *run) bool { return other == r })
}

func setOf(reservations []sqlqueue.Reservation) map[sqlqueue.Reservation]bool {
	set := make(map[sqlqueue.Reservation]bool, len(reservations))
	for _, of := range reservations {
		set[of] = true
	}
	return set
}

// dispatch has started what was reserved, or gives it back if the worker stops.
func (l *loop) dispatch(x driver.Exchange, answer driver.Exchanged, sent time.Time) {
	if len(answer.Reserved) == 0 {
		return
	}
	start := make([]*run, 0, len(answer.Reserved))
	expires := map[string]time.Duration{}
	for _, r := range x.Reserve {
		expires[r.Queue] = r.Expire
	}
	for _, job := range answer.Reserved {
		r := l.executor.prepare(job, answer.Now)
		r.kept(expires[job.Queue], sent)
		l.emitter.job("Reserved", l.config.Events.Reserved, r)
		if l.stopping != "" || l.cooldown.on(time.Now()) {
			r.verdict = verdict{kind: unstarted}
			l.unsettled = append(l.unsettled, r)
			continue
		}
		l.taken++
		l.pace.weigh(len(job.Payload))
		l.largest = max(l.largest, int64(len(job.Payload)))
		l.keeper.add(r)
		if !r.startPending {
			start = append(start, r)
		}
	}
	l.slots.add(start...)
}
