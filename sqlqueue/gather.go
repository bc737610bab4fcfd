package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	gatherBeside   = 4                     // how many calls are under way at once
	gatherPatience = 20 * time.Millisecond // how long jobs gather while less than that are under way
	gatherMost     = 1000                  // how many jobs gather
	gatherBytes    = 64 << 10              // a payload that is larger goes alone
)

// gatherer has single pushes of many goroutines go to the store together. While none is under way, a push goes at once, with those of
// goroutines that run anyway. Those that come meanwhile gather, and go in one call when that has ended, or when it takes long. An idle
// Queue answers at once. It is safe for concurrent use.
type gatherer struct {
	store  driver.Store
	beside int           // how many calls may be under way at once
	alone  chan struct{} // has a place for each push that is made again after a failure

	mu       sync.Mutex
	underway int
	next     *gathered // what gathers; nil: nothing
}

// gathered is pushes that go together. The goroutine that pushes them lives while one of their callers waits: the last that leaves ends it,
// and waits for that.
type gathered struct {
	waiting []*gatheredPush
	patient *time.Timer // lets it go beside a push that takes long
	left    int         // how many do not wait any more
	cancel  func()      // ends the push; nil: it has not begun
	done    chan struct{}
	err     error // when it is done
}

func (a *gathered) add(job driver.NewJob) *gatheredPush {
	mine := &gatheredPush{job: job}
	a.waiting = append(a.waiting, mine)
	return mine
}

type gatheredPush struct {
	job    driver.NewJob
	pushed driver.Pushed // when it is done
}

// SingleWriter reports whether the database makes one write wait for the other: see the interface.
func (q *Queue) SingleWriter() bool { return singleWriter(q.store) }

func singleWriter(store driver.Store) bool {
	_, single := driver.As[interface {
		driver.Store
		driver.SingleWriter
	}](store)
	return single
}

func newGatherer(store driver.Store) *gatherer {
	beside := gatherBeside
	if singleWriter(store) {
		beside = 1
	}
	return &gatherer{store: store, beside: beside, alone: make(chan struct{}, gatherBeside)}
}

// gathers reports whether the jobs of a call may go with those of others. One with a key does not: it may wait for somebody's transaction.
func gathers(jobs []driver.NewJob) bool {
	return len(jobs) == 1 && jobs[0].UniqueKey == "" && len(jobs[0].Payload) <= gatherBytes
}

// push is Store.Push of one job. If ctx ends while the job goes with others', the outcome is unknown.
//
//nolint:contextcheck // as send
func (g *gatherer) push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	all, mine := g.join(jobs[0])
	if all == nil {
		runtime.Gosched() // those who were woken at the same time gather
		if all, mine = g.begin(jobs[0]); all == nil {
			defer g.follow()
			return g.store.Push(ctx, jobs)
		}
	}
	select {
	case <-all.done:
	case <-ctx.Done():
		if err := g.leave(all, mine, context.Cause(ctx)); err != nil {
			return nil, err
		}
	}
	switch {
	case all.err == nil:
		return []driver.Pushed{mine.pushed}, nil
	case errors.Is(all.err, ErrOutcomeUnknown), ctx.Err() != nil, len(all.waiting) == 1:
		return nil, all.err
	default: // nothing was stored, perhaps because of another's job
		return g.again(ctx, jobs)
	}
}

// again pushes a job by itself whose gathered push has failed: at most gatherBeside of them at once.
func (g *gatherer) again(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	select {
	case g.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-g.alone }()
	return g.store.Push(ctx, jobs)
}

// join lets a job gather, or counts it as under way and returns nil: it is to begin.
func (g *gatherer) join(job driver.NewJob) (*gathered, *gatheredPush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.underway == 0 || g.next != nil && len(g.next.waiting) == gatherMost {
		g.underway++
		return nil, nil
	}
	if g.next == nil {
		all := &gathered{done: make(chan struct{})}
		all.patient = time.AfterFunc(gatherPatience, func() { g.hurry(all) })
		g.next = all
	}
	return g.next, g.next.add(job)
}

// begin has a job that is under way go with those that have gathered since it joined, or returns nil: it is to go alone.
func (g *gatherer) begin(job driver.NewJob) (*gathered, *gatheredPush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.next
	if all == nil || len(all.waiting) == gatherMost {
		return nil, nil
	}
	mine := all.add(job)
	g.underway--
	g.send()
	return all, mine
}

// follow is called when a push has ended: what has gathered follows it.
func (g *gatherer) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway--
	g.send()
}

// hurry is called when jobs have gathered for long: they go beside what is under way.
func (g *gatherer) hurry(all *gathered) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == all && g.underway < g.beside {
		g.send()
	}
}

// send sends what has gathered. It is called with mu locked.
//
//nolint:contextcheck // one caller's end must not reach the others
func (g *gatherer) send() {
	all := g.next
	if all == nil {
		return
	}
	all.patient.Stop()
	g.next = nil
	g.underway++
	ctx, cancel := context.WithCancel(context.Background())
	all.cancel = cancel
	go g.flush(ctx, all)
}

//nolint:contextcheck // as send
func (g *gatherer) flush(ctx context.Context, all *gathered) {
	defer g.follow()
	defer runtime.Gosched() // those who have waited may push again, so that they go together again
	defer close(all.done)
	defer all.cancel()
	jobs := make([]driver.NewJob, len(all.waiting))
	for i, one := range all.waiting {
		jobs[i] = one.job
	}
	pushed, err := g.store.Push(ctx, jobs)
	all.err = err
	for i, p := range pushed {
		all.waiting[i].pushed = p
	}
}

// leave is for a caller whose context has ended. It returns nil if the outcome is there, or if nobody else waits for it: then it soon is.
func (g *gatherer) leave(all *gathered, mine *gatheredPush, cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if all.cancel == nil {
		all.waiting = slices.DeleteFunc(all.waiting, func(other *gatheredPush) bool { return other == mine })
		if len(all.waiting) == 0 {
			all.patient.Stop()
			g.next = nil
		}
		return cause
	}
	if all.left++; all.left < len(all.waiting) {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	}
	all.cancel()
	g.mu.Unlock()
	<-all.done
	g.mu.Lock()
	return nil
}
