package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestB8_APushWakesAnIdleWorkerOfItsProcess(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		r := b.start(worker.Config{Queues: []string{"default", "mail"}, Sleep: time.Hour})
		for range 3 {
			pass(10 * time.Minute)
			id := b.push(sqlqueue.OnQueue("mail"))
			within(t, 10*time.Millisecond, "done", func() bool { return b.job(id) == nil })
		}
		r.stop()
	})
}

// Busy workers do not look for what they have no place for.
func TestB8_APushDoesNotDisturbABusyWorker(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(10 * time.Second); return nil })
		b.push()
		r := b.start(worker.Config{Concurrency: 1, Sleep: time.Hour})
		pass(time.Second)
		var exchanges atomic.Int32
		b.store.intercept(func(context.Context, *driver.Exchange) error { exchanges.Add(1); return nil }, nil)
		for range 100 {
			b.push()
			pass(10 * time.Millisecond)
		}
		if n := exchanges.Load(); n > 3 {
			t.Errorf("%d exchanges in a second", n)
		}
		b.store.intercept(nil, nil)
		r.cancel()
		_ = r.ended()
	})
}

// A worker that cannot hear what other processes push looks soon after there was something, and less and less often.
func TestB8_AWorkerThatHearsNothingLooksMoreOften(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.store.listen = func(context.Context, []string, func()) error { return errors.ErrUnsupported }
		r := b.start(worker.Config{Sleep: 10 * time.Second})
		for _, quiet := range []time.Duration{200 * time.Millisecond, time.Second, 30 * time.Second, 10 * time.Minute} {
			pass(quiet)
			id := b.raw(`{"job":"job"}`)
			within(t, min(quiet/6, 10*time.Second)+20*time.Millisecond, "done", func() bool { return b.job(id) == nil })
		}
		var asked atomic.Int32
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if x.Limit > 0 {
				asked.Add(1)
			}
			return nil
		}, nil)
		pass(10 * time.Minute)
		if n := asked.Load(); n > 150 {
			t.Errorf("looked %d times in ten quiet minutes", n)
		}
		r.stop()
		b.logged("worker does not hear of pushes and looks more often; it tries again", 0)
	})
}

// One that hears and then does not looks more often until it hears again.
func TestB8_ListeningIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		var tries atomic.Int32
		b.store.listen = func(ctx context.Context, _ []string, heard func()) error {
			if tries.Add(1) < 4 {
				heard()
				pass(time.Minute)
				return errors.New("EOF")
			}
			heard()
			<-ctx.Done()
			return context.Cause(ctx)
		}
		r := b.start(worker.Config{Sleep: time.Hour})
		within(t, 4*time.Minute, "listens again", func() bool { return tries.Load() == 4 })
		b.logged("worker does not hear of pushes and looks more often; it tries again", 3)
		r.stop()
	})
}

// What SQLite itself hears: a push by another connection.
func TestB8_SQLiteHearsOfOthersPushes(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.store.listen = func(ctx context.Context, queues []string, heard func()) error {
			return b.store.Store.(driver.Listener).Listen(ctx, queues, heard)
		}
		r := b.start(worker.Config{Sleep: time.Hour})
		pass(10 * time.Second)
		id := b.raw(`{"job":"job"}`)
		within(t, 60*time.Millisecond, "done", func() bool { return b.job(id) == nil })
		r.stop()
	})
}

// A database that stands still for longer than expire takes no job from a worker that lives: who speaks first at its end is chance.
func TestD12_AfterAStandstillNoLiveOwnerLosesItsJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		ran := 0
		b.handle(func(context.Context, *raw) error { ran++; pass(30 * time.Second); return nil })
		var frozen atomic.Pointer[chan struct{}]
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if until := frozen.Load(); until != nil {
				<-*until
				if len(x.Touch) > 0 {
					pass(100 * time.Millisecond)
				}
			}
			return nil
		}, nil)
		config := worker.Config{Expire: 3 * time.Second, Sleep: time.Hour}
		one, two := b.start(config), b.start(config)
		pass(5 * time.Second)
		id := b.push(sqlqueue.Tries(1))
		pass(5 * time.Second)
		until := make(chan struct{})
		frozen.Store(&until)
		pass(5 * time.Second)
		frozen.Store(nil)
		close(until)
		within(t, time.Minute, "done", func() bool { return b.job(id) == nil })
		one.stop()
		two.stop()
		b.gone(id)
		b.logged("reservation lost", 0)
		if ran != 1 {
			t.Errorf("ran %d times", ran)
		}
	})
}
