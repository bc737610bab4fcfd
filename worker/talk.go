package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	exchangeTimeout = 15 * time.Second // an answer that takes longer is not waited for
	lastExchange    = time.Second      // how long the last exchange may take
	requeueLimit    = 100              // expired reservations that one exchange releases

	// requeueEvery is how often a busy worker looks for expired reservations: in each exchange it would be a good part of a small one.
	requeueEvery = 500 * time.Millisecond

	choresEvery = 900 * time.Millisecond // how often a worker asks for the chores; an idle one with each exchange
)

// talk owns the worker's conversation with the database. It sends exchanges: one at a time, or a second one beside the first
// (pipeline.go). It keeps how jobs ended until that is written, also through an outage (outage.go), and narrows down what the
// database refuses to write or the network cannot carry (bisect.go). It remembers which exchanges were not answered
// (abandoned.go), and what is refused for good (denial.go).
//
// It is used only by the goroutine of Run, except for beat, which only calls the store. The store's methods run in goroutines of
// their own, for a limited time (bounded.go).
type talk struct {
	queue    *sqlqueue.Queue
	worker   string // the worker's id
	log      *journal
	meter    *Meter
	reports  *reporter
	slots    *slots
	deadline func() time.Time // after which the worker does not wait for an answer; zero: there is no such time

	late   <-chan struct{} // closed when the grace, and the time for a last exchange, are over
	hangUp func()          // ends the context of all exchanges

	calls      storeCalls
	numbered   int       // how many exchanges have a number
	registered bool      // an exchange was answered: the worker knows what operators want
	requeuedAt time.Time // when all expired reservations were released last
	choresAt   time.Time // when the chores were asked for last
	second     *exchange // under way beside the first; nil: none

	unsettled []*run // jobs that have ended, which is to be written; the exchange that is under way writes the first of them
	locked    int    // how many of them were tried, and are locked by other transactions

	outage    outage
	clock     serverClock
	abandoned abandonedNumbers
	denials   denials
	settling  settleBisect
	fetching  fetchBisect
}

// exchange is an exchange that was sent.
type exchange struct {
	x      driver.Exchange
	runs   []*run // which it settles, if it is a second one
	sentAt time.Time
	answer driver.Exchanged
	err    error
	done   chan struct{} // closed when answer and err are there
}

// send sends an exchange, and does not wait for the answer.
func (t *talk) send(ctx context.Context, x driver.Exchange, runs []*run) *exchange {
	e := &exchange{x: x, runs: runs, sentAt: time.Now(), done: make(chan struct{})}
	most := t.answerTimeout()
	go func() {
		defer close(e.done)
		e.answer, e.err = bounded(ctx, &t.calls, most, func(ctx context.Context) (driver.Exchanged, error) {
			return t.queue.Exchange(ctx, x)
		})
		t.meter.exchanged(time.Since(e.sentAt), e.answer, e.err)
	}()
	return e
}

// answerTimeout is how long to wait for the answer to an exchange that is sent now: not much longer than until the deadline.
func (t *talk) answerTimeout() time.Duration {
	most := exchangeTimeout
	if deadline := t.deadline(); !deadline.IsZero() {
		most = min(most, max(time.Until(deadline), 0)+lastExchange)
	}
	if closed(t.late) {
		most = lastExchange
	}
	return most
}

// check asks the database whether it can be worked with.
func (t *talk) check(ctx context.Context) error {
	_, err := bounded(ctx, &t.calls, exchangeTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.queue.Check(ctx) })
	return err
}

// beat writes the worker's row.
func (t *talk) beat(ctx context.Context, b driver.Beat, within time.Duration) error {
	_, err := bounded(ctx, &t.calls, within, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.queue.Beat(ctx, b) })
	return err
}

// number returns the number of a new exchange.
func (t *talk) number() string {
	t.numbered++
	return fmt.Sprintf("%s-%d", t.worker, t.numbered)
}

// settle takes over jobs that have ended. The next exchange writes how they ended.
func (t *talk) settle(runs ...*run) { t.unsettled = append(t.unsettled, runs...) }

// addSettlements adds to an exchange how jobs ended, and what exchanges without an answer may have reserved.
func (t *talk) addSettlements(x *driver.Exchange, now time.Time) {
	x.Abandoned = t.abandoned.numbers(now)
	x.Settle = settlements(t.settling.next(t.unsettled))
}

// addRequeue adds to an exchange the release of expired reservations, if that is due, except for the jobs that keep returns. A worker
// whose own reservations never expire releases none.
func (t *talk) addRequeue(x *driver.Exchange, keep func() []int64, now time.Time) {
	expire := slices.ContainsFunc(x.Reserve, func(r driver.Reserve) bool { return r.Expire > 0 })
	if expire && t.registered && t.outage.mayRequeue(now) && now.Sub(t.requeuedAt) >= requeueEvery {
		x.Requeue, x.Expired, x.Keep = requeueLimit, t.clock.expiredBy(now), keep()
	}
}

// addChores asks for the chores, if it is time for that.
func (t *talk) addChores(x *driver.Exchange, now time.Time) {
	if x.Chores = now.Sub(t.choresAt) >= choresEvery; x.Chores {
		t.choresAt = now
	}
}

// settlements are what is to be written of jobs that have ended.
func settlements(of []*run) []driver.Settlement {
	settle := make([]driver.Settlement, 0, len(of))
	for _, r := range of {
		if s, ok := r.verdict.settlement(r.info.Reservation()); ok {
			s.KeepStarted = (r.verdict.kind == unstarted || r.verdict.kind == neverBegan) && r.wasStarted
			if r.next != nil {
				s.Push = r.nextJobs()
			}
			if s.Outcome == driver.Delete {
				s.Keep = r.keep()
			}
			settle = append(settle, s)
		}
	}
	return settle
}

// succeeded takes the answer to an exchange into account. It returns by how much the database's clock was set, or 0: see
// serverClock.answered.
func (t *talk) succeeded(x driver.Exchange, answer driver.Exchanged, sentAt time.Time) (step time.Duration) {
	now := time.Now()
	t.outage.end(t.log)
	t.denials.granted(x)
	t.fetching.succeeded(x, now.Sub(sentAt))
	if step = t.clock.answered(answer.Now, sentAt, now); step != 0 {
		t.log.clockWasSet(step)
		t.outage.delayRequeue(now)
	}
	t.abandoned.acknowledge(x.Abandoned)
	t.registered = true
	if x.Requeue > 0 && answer.Requeued < x.Requeue { // otherwise there may be more
		t.requeuedAt = sentAt
	}
	sent := t.unsettled[:t.settling.sending]
	still := t.settled(sent, answer)
	t.unsettled, t.locked = append(slices.Delete(t.unsettled, 0, len(sent)), still...), len(still)
	if refused := t.settling.succeeded(); refused != nil {
		t.refuse(refused)
	}
	return step
}

// settled reports what became of jobs that were settled, and returns those that are still to be.
func (t *talk) settled(runs []*run, answer driver.Exchanged) (still []*run) {
	lost, locked, now := setOf(answer.Lost), setOf(answer.Locked), t.serverTime()
	for _, r := range runs {
		switch of := r.info.Reservation(); {
		case locked[of]:
			still = append(still, r)
		case !lost[of]:
			t.reports.ended(r, now)
		case r.shared.completed.Load():
			t.reports.completed(r, now)
		case r.uncertain:
			t.log.uncertain(r)
		default:
			t.reports.lost(r, &r.verdict)
		}
	}
	return still
}

// failed keeps everything for the next exchange. It returns how long to wait for it, and an error if the database refuses for good.
func (t *talk) failed(x driver.Exchange, err error) (wait time.Duration, fatal error) {
	t.unanswered(x, t.unsettled[:t.settling.sending], err)
	t.settling.failed(t.unsettled, err)
	if queue := t.fetching.failed(x, err, time.Now()); queue != "" {
		t.log.tooLarge(queue)
	}
	wait = t.outage.failed(t.log, err)
	if faultOf(err) == refused {
		fatal = t.denied(t.denials.of(x), err)
		if t.settling.searching() {
			wait = jitter(firstRetry)
		}
	}
	return wait, fatal
}

// unanswered notes what is not known after an exchange has failed that was to settle these jobs.
func (t *talk) unanswered(x driver.Exchange, runs []*run, err error) {
	if x.Limit > 0 {
		t.abandoned.add(x, time.Now())
	}
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		for _, r := range runs {
			r.uncertain = true
		}
	}
}

// finished reports whether everything is written, and everything given back that an exchange without an answer may have reserved.
func (t *talk) finished() bool {
	return len(t.unsettled) == 0 && t.second == nil && t.abandoned.allAcknowledged()
}

// serverTime is now by the database's clock.
func (t *talk) serverTime() time.Time { return t.clock.at(time.Now()) }

func setOf(reservations []sqlqueue.Reservation) map[sqlqueue.Reservation]bool {
	set := make(map[sqlqueue.Reservation]bool, len(reservations))
	for _, of := range reservations {
		set[of] = true
	}
	return set
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
