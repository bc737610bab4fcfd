package worker

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	beatEvery   = 5 * time.Second  // how often a worker writes its row
	tidyEvery   = time.Minute      // how often it has old rows deleted; a busy one has those of workers deleted whenever it writes counts
	unseenFor   = 10 * time.Minute // after how long the row of a worker that does not write it any more is removed by the others
	beatWithin  = 10 * time.Second // how long a beat may take
	leaveWithin = 3 * time.Second  // how long the removal of the row at the end may take
)

// presence is the worker's row in the database, which shows operators that the worker is there, and the counts and the
// runs that went wrong, which are written with it. A beat writes all: one before the first exchange, and then one every beatEvery, or
// errorsAfter if runs went wrong, beside the exchanges. Reservations are another matter: the heartbeat keeps them alive (heartbeat.go).
//
// It is used only by the goroutine of Run.
type presence struct {
	worker   driver.Worker
	vitals   func(*driver.Worker) // writes how the worker is
	talk     *talk
	counts   *counts
	names    *names
	failures *failures
	share    *share

	written  bool
	sentAt   time.Time   // when the last beat was sent
	tidiedAt time.Time   // when the last was sent that removes the rows of others
	last     driver.Beat // what it wrote
	underway *call[struct{}]
}

// beat writes the worker's row, if it is time to. It waits for the first beat alone. It returns the error of that, or of a later beat
// that has ended meanwhile.
func (p *presence) beat(ctx context.Context, now time.Time) (err error) {
	if p.underway != nil && p.underway.over() {
		err = p.await()
	}
	if p.underway != nil || p.written && now.Sub(p.sentAt) < p.every()-early {
		return err
	}
	p.last, p.sentAt = driver.Beat{Worker: p.worker}, now
	p.vitals(&p.last.Worker)
	p.take(&p.last, now)
	if len(p.last.Counts) > 0 || now.Sub(p.tidiedAt) >= p.share.among(tidyEvery) {
		p.last.Unseen, p.tidiedAt = unseenFor, now
	}
	beat := p.last
	p.underway = begin(func() (struct{}, error) { return struct{}{}, p.talk.beat(ctx, beat, beatWithin) })
	if p.written {
		return err
	}
	return p.await()
}

// every is how long after a beat the next is due.
func (p *presence) every() time.Duration {
	if len(p.failures.waiting) > 0 {
		return errorsAfter
	}
	return beatEvery
}

// take moves what is to be written into a beat.
func (p *presence) take(b *driver.Beat, now time.Time) {
	tidies := p.share.among(tidyEvery)
	if p.counts.take(b, tidies, now) {
		p.names.take(b)
	}
	if n := p.failures.take(b, tidies, now); n > 0 {
		p.talk.log.errorsLeftOut(n)
	}
}

// await waits for the beat that is under way, if there is one, and returns its error. If it has failed, the next one writes its counts.
func (p *presence) await() error {
	if p.underway == nil {
		return nil
	}
	<-p.underway.done
	err := p.underway.err
	p.underway = nil
	if err != nil {
		p.counts.restore(p.last)
		p.names.restore(p.last)
		p.failures.restore(p.last)
		return err
	}
	p.written = true
	p.talk.denials.beat = denial{}
	return nil
}

// leave removes the worker's row. If that fails, other workers do it later.
func (p *presence) leave(ctx context.Context) {
	if !p.written || p.talk.outage.on() || ctx.Err() != nil {
		return
	}
	b := driver.Beat{Worker: p.worker, Leave: true}
	p.take(&b, time.Now())
	_ = p.talk.beat(ctx, b, leaveWithin)
}
