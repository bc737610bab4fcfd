package sqlqueue

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Listen tells of jobs that other processes push: see Listener. The error is errors.ErrUnsupported if the store cannot.
func (q *Queue) Listen(ctx context.Context, queues []string, heard func()) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("listen", err)
	}
	listener, ok := driver.As[interface {
		driver.Store
		driver.Listener
	}](store)
	if !ok {
		return wrap("listen", errors.ErrUnsupported)
	}
	return wrap("listen", listener.Listen(ctx, queues, heard))
}

// OnPush calls heard after each push to one of the queues by this Queue, or by one that is bound to a transaction, which may not have
// committed yet. Heard must return at once. It is called until stop is.
func (q *Queue) OnPush(queues []string, heard func()) (stop func()) {
	return q.pushes.add(&hearer{queues, heard})
}

// bell tells who wants to hear of pushes.
type bell struct {
	mu      sync.Mutex
	hearers []*hearer
}

type hearer struct {
	queues []string
	heard  func()
}

func (b *bell) add(h *hearer) (remove func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hearers = append(b.hearers, h)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hearers = slices.DeleteFunc(b.hearers, func(other *hearer) bool { return other == h })
	}
}

func (b *bell) ring(jobs []driver.NewJob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.hearers {
		if slices.ContainsFunc(jobs, func(j driver.NewJob) bool {
			return slices.ContainsFunc(h.queues, func(queue string) bool { return queue == j.Queue || driver.InPattern(queue, j.Queue) })
		}) {
			h.heard()
		}
	}
}
