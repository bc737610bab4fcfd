package worker

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	seenEvery  = 5 * time.Second  // how often a worker writes its row
	unseenFor  = 10 * time.Minute // after how long the row of a worker that does not write it any more is removed by the others
	beatWithin = 10 * time.Second // how long a beat may take
)

// presence is the worker's row in the database, and what is written with it: a beat before the first exchange, and then one every seenEvery,
// beside the exchanges. The zero value has not been written.
type presence struct {
	written  bool
	beaten   time.Time // when the last beat was sent
	beat     driver.Beat
	underway *call[struct{}] // nil: none is
}

// beat writes the worker's row, if it is time to. It waits for the first beat alone, and returns its error.
func (l *loop) beat(ctx context.Context, now time.Time) error {
	p := &l.presence
	if p.underway != nil && p.underway.over() {
		p.await(l)
	}
	if p.underway != nil || p.written && now.Sub(p.beaten) < seenEvery {
		return nil
	}
	self := l.self
	self.Concurrency = l.control.slots
	p.beat, p.beaten = driver.Beat{Worker: self, Unseen: unseenFor}, now
	l.reports.counts.tell(&p.beat, now)
	p.underway = begin(func() (struct{}, error) { return struct{}{}, l.sendBeat(ctx, p.beat, beatWithin) })
	if p.written {
		return nil
	}
	return p.await(l)
}

// await waits for the beat that is under way, if there is one, and notes what became of it.
func (p *presence) await(l *loop) error {
	if p.underway == nil {
		return nil
	}
	<-p.underway.done
	err := p.underway.err
	p.underway = nil
	if err != nil {
		l.reports.counts.keep(p.beat)
	}
	if err == nil {
		p.written = true
		l.denials.beat = denial{}
	} else if p.written && faultOf(err) == refused {
		l.denied([]*denial{&l.denials.beat}, err)
	}
	return err
}

func (l *loop) sendBeat(ctx context.Context, b driver.Beat, within time.Duration) error {
	_, err := bounded(ctx, &l.calls, within, func(ctx context.Context) (struct{}, error) { return struct{}{}, l.queue.Beat(ctx, b) })
	return err
}
