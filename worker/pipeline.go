package worker

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// The pipeline is two exchanges under way at once. With one at a time the database waits while the worker reads and writes, and
// the worker waits while the database does. A second exchange goes beside the first when pipelineFrom jobs have ended during
// that. It only settles and reserves. While one is under way, the other waits for its pipelineFrom, too: otherwise the two
// would share the jobs between them in ever smaller parts.

// pipelineFrom is how many jobs must have ended while an exchange is under way. A second exchange with less to say costs more
// than it gains.
const pipelineFrom = 100

// pipelined is what a talk needs of the worker while the first exchange is under way.
type pipelined interface {
	// collect takes back the jobs that have ended.
	collect()

	// ask returns what to reserve now, when another exchange already asks for so many jobs.
	ask(now time.Time, others int) driver.Exchange

	// receiveSecond takes in the answer of the second exchange.
	receiveSecond()
}

// exchange sends an exchange and waits for the answer. Meanwhile it may send a second exchange, and have its answer taken in.
// An exchange that touches goes alone, because what it touches must not end meanwhile, and so does each on a database with a
// single writer.
func (t *talk) exchange(ctx context.Context, x driver.Exchange, w pipelined) (driver.Exchanged, error) {
	first := t.send(ctx, x, nil)
	alone := len(x.Touch) > 0 || t.queue.SingleWriter()
	if !alone {
		t.slots.wakeFrom(pipelineFrom)
		defer t.slots.wakeFrom(1)
	}
	late := t.late
	if closed(late) {
		late = nil
	}
	for {
		wake, answered := t.slots.wake, t.second.answered()
		if alone {
			answered = nil
		}
		if alone || t.second != nil {
			wake = nil
		}
		select {
		case <-first.done:
			return first.answer, first.err
		case <-late:
			late = nil
			if busy, _ := t.slots.load(); busy == 0 {
				t.hangUp()
			}
		case <-answered:
			w.receiveSecond()
		case <-wake:
			w.collect()
			t.sendSecond(ctx, x, w)
		}
	}
}

// sendSecond sends a second exchange beside the first, if enough jobs have ended.
func (t *talk) sendSecond(ctx context.Context, first driver.Exchange, w pipelined) {
	ended := t.unsettled[t.settling.sending:]
	if len(ended) < pipelineFrom || t.settling.most != unlimited || t.outage.on() {
		return
	}
	x := w.ask(time.Now(), first.Limit)
	x.Settle = settlements(ended)
	t.second = t.send(ctx, x, slices.Clone(ended))
	t.unsettled = slices.Delete(t.unsettled, t.settling.sending, len(t.unsettled))
}

// finishSecond waits for the answer of the second exchange and returns it; nil: there is none under way, or it has failed, with
// an error if the database refuses for good.
func (t *talk) finishSecond() (second *exchange, fatal error) {
	second = t.second
	if second == nil {
		return nil, nil
	}
	<-second.done
	t.second = nil
	if err := second.err; err != nil {
		t.unanswered(second.x, second.runs, err)
		t.settle(second.runs...)
		t.outage.failed(t.log, err) // the first exchange ends it, or not
		if faultOf(err) == refused {
			fatal = t.denied(t.denials.of(second.x), err)
		}
		return nil, fatal
	}
	t.denials.granted(second.x)
	t.settle(t.settled(second.runs, second.answer)...)
	return second, nil
}

// answered is closed when the answer is there; nil if there is no exchange.
func (e *exchange) answered() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.done
}

// limit is how many jobs the exchange reserves at most; none if there is no exchange.
func (e *exchange) limit() int {
	if e == nil {
		return 0
	}
	return e.x.Limit
}
