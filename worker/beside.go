package worker

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// besideFrom is how many jobs must have come to their end, while an exchange is under way, for a second to go beside it: with one at a time
// the database waits while the worker reads and writes, and the worker while the database does. The second settles and reserves, and does
// nothing else. With less to say it would cost more than it gains.
const besideFrom = 100

// beside is an exchange that goes beside another.
type beside struct {
	x      driver.Exchange
	runs   []*run // which it settles
	sent   time.Time
	answer driver.Exchanged
	err    error
	done   chan struct{} // closed when answer and err are there
}

// exchange talks to the database. While it waits for the answer, it may send a second exchange, and hear its answer. One that touches goes
// without: what it touches must not come to its end meanwhile.
func (l *loop) exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	first := l.send(ctx, x, nil)
	alone := len(x.Touch) > 0 || l.queue.SingleWriter()
	if !alone {
		l.slots.alert(besideFrom)
		defer l.slots.alert(1)
	}
	late := l.late
	if closed(late) {
		late = nil
	}
	for {
		wake, answered := l.slots.wake, l.beside.answered()
		if alone {
			answered = nil
		}
		if alone || l.beside != nil {
			wake = nil
		}
		select {
		case <-first.done:
			return first.answer, first.err
		case <-late:
			late = nil
			if busy, _ := l.slots.load(); busy == 0 {
				l.endConversation()
			}
		case <-answered:
			l.heedBeside()
		case <-wake:
			l.collect()
			l.goBeside(ctx, x)
		}
	}
}

func (l *loop) send(ctx context.Context, x driver.Exchange, runs []*run) *beside {
	b := &beside{x: x, runs: runs, sent: time.Now(), done: make(chan struct{})}
	most := l.exchangeTime()
	go func() {
		defer close(b.done)
		b.answer, b.err = bounded(ctx, &l.calls, most, func(ctx context.Context) (driver.Exchanged, error) {
			return l.queue.Exchange(ctx, x)
		})
	}()
	return b
}

// exchangeTime is how long the answer of an exchange is waited for that is sent now: no longer than the worker's own time lasts.
func (l *loop) exchangeTime() time.Duration {
	most := exchangeTimeout
	if l.config.MaxTime > 0 && l.stopping == "" {
		most = min(most, max(time.Until(l.started.Add(l.config.MaxTime)), 0)+promptly)
	}
	if closed(l.late) {
		most = promptly
	}
	return most
}

// goBeside sends a second exchange beside first, if enough has gathered.
func (l *loop) goBeside(ctx context.Context, first driver.Exchange) {
	gathered := l.unsettled[l.refusal.sending:]
	if len(gathered) < besideFrom || l.refusal.most != unlimited || l.outage.on() {
		return
	}
	x := l.ask(time.Now(), first.Limit)
	x.Settle = settlements(gathered)
	l.beside = l.send(ctx, x, slices.Clone(gathered))
	l.unsettled = l.unsettled[:l.refusal.sending]
}

// heedBeside waits for the answer of the second exchange, if there is one.
func (l *loop) heedBeside() {
	b := l.beside
	if b == nil {
		return
	}
	<-b.done
	l.beside = nil
	if b.err != nil {
		l.unanswered(b.x, b.runs, b.err)
		l.unsettled = append(l.unsettled, b.runs...)
		l.outage.next(l.log, b.err) // the first exchange ends it, or not
		if faultOf(b.err) == refused {
			l.denied(l.denials.of(b.x), b.err)
		}
		return
	}
	l.denials.granted(b.x)
	l.unsettled = append(l.unsettled, l.settled(b.runs, b.answer)...)
	if len(b.answer.Reserved) > 0 {
		l.active, l.emptyAt = time.Now(), time.Time{}
	}
	l.dispatch(b.x, b.answer, b.sent)
}

// answered is closed when the answer is there; nil, of none.
func (b *beside) answered() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.done
}

// limit is how many jobs it reserves at most; none, of none.
func (b *beside) limit() int {
	if b == nil {
		return 0
	}
	return b.x.Limit
}
