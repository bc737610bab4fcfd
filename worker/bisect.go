package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	unlimited = math.MaxInt

	// refusals is how often in a row an outcome must have failed alone, while the exchange after it went well, until it is taken for
	// refused: by an answer that refuses for good, and by other errors, for which a bad network may be the reason as well.
	refusals     = 3
	refusalsAway = 20

	// quickly is how soon an exchange must have been answered for the next to ask for more.
	quickly = exchangeTimeout / 4

	// skipFor is how long a queue is left alone whose first job could not be fetched in time.
	skipFor = time.Minute
)

// settleBisect finds an outcome that the database refuses to write. An exchange is one transaction, so such an outcome would
// stand in the way of all others, and of the heartbeat, for ever. So after a failure half as many outcomes are sent. When a
// single one has failed, none is sent; when that goes well, one again, and then twice as many each time. An outcome that fails
// alone time after time, while nothing else fails, is the one.
type settleBisect struct {
	most    int   // outcomes that one exchange may write
	sending int   // outcomes that the exchange under way writes: the first of talk.unsettled
	suspect *run  // the outcome that failed alone; nil: none
	reason  error // why it failed last
}

// searching reports whether there are fewer to try: what is refused is still being narrowed down.
func (b *settleBisect) searching() bool { return b.sending > 0 }

// next returns the outcomes that the next exchange is to write.
func (b *settleBisect) next(unsettled []*run) []*run {
	b.sending = min(len(unsettled), b.most)
	return unsettled[:b.sending]
}

// failed notes that the exchange has failed.
func (b *settleBisect) failed(unsettled []*run, err error) {
	switch b.sending {
	case 0: // so the failure before may have had the same reason
		if b.suspect != nil {
			b.suspect.refused, b.suspect = 0, nil
		}
		return
	case 1:
		b.suspect, b.reason = unsettled[0], err
	}
	b.most = b.sending / 2
}

// succeeded notes that the exchange has gone well, and returns an outcome that the database refuses, or nil.
func (b *settleBisect) succeeded() *run {
	suspect := b.suspect
	b.suspect = nil
	switch {
	case b.most == unlimited:
	case b.most == 0:
		b.most = 1
	case b.sending < b.most:
		b.most = unlimited
	default:
		b.most *= 2
	}
	if suspect == nil || b.sending > 0 {
		return nil
	}
	suspect.refused++
	if suspect.refused < refusals || suspect.refused < refusalsAway && faultOf(b.reason) == away {
		return nil
	}
	suspect.refused = 0
	return suspect
}

const refusedText = "the database refused to store the error: see the worker's log"

// refuse deals with an outcome that the database refuses to write: it tries with texts that cannot be the reason, and then
// drops the outcome. Such a job runs again when its reservation expires.
func (t *talk) refuse(r *run) {
	t.log.refused(r, t.settling.reason)
	if r.next != nil {
		// Perhaps it is the jobs after this one that the database does not take: then this one fails, and a retry pushes them.
		failure := fmt.Errorf("the end of the job, with the jobs that it pushes, cannot be written: %w", t.settling.reason)
		r.next, r.verdict = nil, verdict{kind: failed, err: failure}
		r.verdict.write()
		return
	}
	if r.verdict.kind == failed && r.verdict.text != refusedText {
		r.verdict.text, r.verdict.stack = refusedText, ""
		return
	}
	t.unsettled = slices.DeleteFunc(t.unsettled, func(other *run) bool { return other == r })
}

// fetchBisect finds how much one exchange can fetch in time: half as many jobs after an exchange that has failed, a single one
// after an exchange that was not answered in time, and twice as many after one that was answered soon. When even a single job
// could not be fetched in time, the queues are asked one by one, and the one whose job it is is skipped for a while, so that it
// does not stop the others.
type fetchBisect struct {
	most    int                  // jobs; unlimited: no bound
	probe   []string             // queues to be asked one by one
	skipped map[string]time.Time // until when a queue is skipped
}

// failed notes that an exchange has failed. It returns the queue whose job could not be fetched in time, or nothing.
func (b *fetchBisect) failed(x driver.Exchange, err error, now time.Time) (queue string) {
	if x.Limit == 0 {
		return ""
	}
	b.most = max(min(x.Limit, b.most)/2, 1)
	if !errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	b.most = 1
	switch {
	case x.Limit > 1:
		return ""
	case len(x.Reserve) > 1:
		b.probe = nil
		for _, of := range x.Reserve {
			b.probe = append(b.probe, of.Queue)
		}
		return ""
	}
	queue = x.Reserve[0].Queue
	if b.skipped == nil {
		b.skipped = map[string]time.Time{}
	}
	b.skipped[queue] = now.Add(skipFor)
	b.probed(queue)
	return queue
}

func (b *fetchBisect) probed(queue string) {
	b.probe = slices.DeleteFunc(b.probe, func(other string) bool { return other == queue })
}

// succeeded notes that an exchange was answered after so long.
func (b *fetchBisect) succeeded(x driver.Exchange, took time.Duration) {
	if x.Limit == 0 {
		return
	}
	if len(x.Reserve) == 1 {
		b.probed(x.Reserve[0].Queue)
	}
	if b.most == unlimited || took > quickly {
		return
	}
	if b.most *= 2; b.most > 1<<16 {
		b.most = unlimited
	}
}

// queues are those of these that may be asked now.
func (b *fetchBisect) queues(of []string, now time.Time) []string {
	for queue, until := range b.skipped {
		if !now.Before(until) {
			delete(b.skipped, queue)
			b.probe = append(b.probe, queue)
		}
	}
	if len(b.probe) > 0 {
		b.most = 1
		return b.probe[:1:1]
	}
	if len(b.skipped) == 0 {
		return of
	}
	return slices.DeleteFunc(slices.Clone(of), func(queue string) bool { return !b.skipped[queue].IsZero() })
}

// skipsAll reports whether all of so many queues are skipped.
func (b *fetchBisect) skipsAll(queues int) bool { return len(b.probe) == 0 && len(b.skipped) >= queues }
