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

// A link that carries so many jobs in 15 s and no more.
func TestB10_WhatOneExchangeCannotCarryIsAskedForInParts(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.store.intercept(nil, func(_ driver.Exchange, answer *driver.Exchanged) error {
			if len(answer.Reserved) > 2 {
				pass(time.Minute) // past the time of the exchange
				return context.DeadlineExceeded
			}
			return nil
		})
		b.pushMany(20)
		r := b.start(worker.Config{})
		within(t, 10*time.Minute, "all are done", func() bool { return len(b.jobs()) == 0 })
		pass(2 * time.Minute)
		r.stop()
		if n := len(b.failures()); n > 0 {
			t.Errorf("%d have failed", n)
		}
	})
}

func TestB10_AJobThatCannotBeCarriedDoesNotStopOtherQueues(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.store.intercept(func(ctx context.Context, x *driver.Exchange) error {
			if x.Limit > 0 && x.Reserve[0].Queue == "huge" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, nil)
		b.push(sqlqueue.OnQueue("huge"))
		for range 100 {
			b.push(sqlqueue.OnQueue("small"))
		}
		r := b.start(worker.Config{Queues: []string{"huge", "small"}})
		within(t, 3*time.Minute, "the others are done", func() bool { return len(b.jobs()) == 1 })
		lines := b.log.find(
			"the first due job of a queue could not be fetched in time, its payload may be too large for the connection: the queue waits")
		if len(lines) == 0 || lines[0]["queue"] != "huge" {
			t.Errorf("logged %v", lines)
		}
		r.stop()
	})
}

func TestD6_AWorkerOverItsMemoryLimitDoesOneJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var bounded atomic.Bool
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if x.Limit > 0 && x.Bytes > 0 && x.Bytes <= 16<<20 {
				bounded.Store(true)
			}
			return nil
		}, nil)
		b.handle(func(context.Context, *raw) error { pass(time.Second); return nil })
		b.pushMany(20)
		for run := 1; len(b.jobs()) > 0; run++ {
			before := len(b.jobs())
			if err := b.start(worker.Config{MaxMemory: 1 << 20, StopWhenEmpty: true}).ended(); err != nil &&
				!errors.Is(err, worker.ErrMemory) {
				t.Fatalf("Run: %v", err)
			}
			if after := len(b.jobs()); after >= before {
				t.Fatalf("run %d has done nothing", run)
			}
		}
		if !bounded.Load() {
			t.Error("what is asked for is not bounded by bytes")
		}
	})
}
