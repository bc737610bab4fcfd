package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// snapshot is the state of queues and workers that all viewers share.
type snapshot struct {
	Queues  []operator.QueueInfo
	Counts  operator.Counts // of the last hour
	Workers []operator.Worker
	Now     time.Time // the database's clock
}

const (
	countedTo     = 1000 // how far jobs of a queue and state are counted
	amongWaiting  = 5000 // how many waiting jobs are read for the rate of pushes
	retryInterval = time.Second
	groupsFresh   = 5 * time.Second // long, because grouping ten thousand errors is the slowest part
)

func (d *Dashboard) loadSnapshot(ctx context.Context) (s snapshot, err error) {
	if s.Counts, err = d.operator.CountsBy(ctx, time.Hour+time.Minute, time.Minute, amongWaiting); err != nil {
		return s, err
	}
	if s.Queues, err = d.operator.Queues(ctx, countedTo); err != nil {
		return s, err
	}
	if s.Workers, err = d.operator.Workers(ctx); err != nil {
		return s, err
	}
	s.Now = s.Counts.Now
	d.health.up()
	return s, nil
}

func (d *Dashboard) loadCounts(step time.Duration) func(context.Context) (operator.Counts, error) {
	return func(ctx context.Context) (operator.Counts, error) {
		return d.operator.CountsBy(ctx, operator.CountsKept, step, amongWaiting)
	}
}

func (d *Dashboard) loadGroups(ctx context.Context) ([]operator.FailedGroup, error) {
	return d.operator.FailedGroups(ctx, operator.FailedFilter{}, mostGrouped)
}

// shared is a value that is read once for all viewers, and only while somebody looks.
type shared[T any] struct {
	fresh time.Duration // how old it may be
	load  func(context.Context) (T, error)

	mu     sync.Mutex
	value  T
	err    error
	at     time.Time // when it was read; zero: never, or it is outdated
	flight *flight[T]
}

// flight is one reading, for all requests that wait for it.
type flight[T any] struct {
	landed  chan struct{}
	value   T
	err     error
	spoiled bool // something was changed meanwhile
}

// get returns the value, which was read at most fresh ago. Of many requests at once, one reads, in a context of its own.
func (s *shared[T]) get(ctx context.Context) (T, error) {
	s.mu.Lock()
	age := time.Since(s.at)
	if !s.at.IsZero() && (s.err == nil && age < s.fresh || s.err != nil && age < retryInterval) {
		defer s.mu.Unlock()
		return s.value, s.err
	}
	f := s.flight
	if f == nil || f.spoiled {
		f = &flight[T]{landed: make(chan struct{})}
		s.flight = f
		go s.read(context.WithoutCancel(ctx), f)
	}
	s.mu.Unlock()
	select {
	case <-f.landed:
		return f.value, f.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (s *shared[T]) read(ctx context.Context, f *flight[T]) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	f.value, f.err = s.load(ctx)
	s.mu.Lock()
	if !f.spoiled {
		s.value, s.err, s.at, s.flight = f.value, f.err, time.Now(), nil
	}
	s.mu.Unlock()
	close(f.landed)
}

// spoil marks the value as outdated.
func (s *shared[T]) spoil() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
	if s.flight != nil {
		s.flight.spoiled = true
	}
}

// health has the time since when the database has been down.
type health struct {
	mu    sync.Mutex
	since time.Time // zero: it answers
}

func (h *health) down() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = time.Now()
	}
	return h.since
}

func (h *health) up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = time.Time{}
}

// look returns the snapshot for one request.
func (v *visit) look() (snapshot, error) { return v.now.get(v.ctx()) }
