package sqlqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Listener is what a Store may be besides: one that hears of jobs that other processes push.
type Listener interface {
	// Listen calls heard for the first time when it begins to hear, and then each time when jobs may have become available in one of the
	// queues: soon after the push was committed, perhaps once for many, and perhaps without need. Heard returns at once, and may be called
	// by any goroutine. Listen returns when ctx has ended, or when it hears no more; the error says why. It must not keep what others need:
	// where it would take a pool's only connection, it returns errors.ErrUnsupported.
	Listen(ctx context.Context, queues []string, heard func()) error
}

// Listen tells of jobs that other processes push: see Listener. The error is errors.ErrUnsupported if the store cannot.
func (q *Queue) Listen(ctx context.Context, queues []string, heard func()) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("listen", err)
	}
	listener, ok := StoreAs[interface {
		Store
		Listener
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

func (b *bell) ring(jobs []NewJob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.hearers {
		if slices.ContainsFunc(jobs, func(j NewJob) bool { return slices.Contains(h.queues, j.Queue) }) {
			h.heard()
		}
	}
}
