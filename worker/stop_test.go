package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestD2_MaxJobs(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var runs atomic.Int32
		b.handle(func(context.Context, *raw) error { runs.Add(1); return nil })
		b.pushMany(20)
		if err := b.start(worker.Config{MaxJobs: 7}).ended(); err != nil || runs.Load() != 7 {
			t.Fatalf("ran %d jobs: %v", runs.Load(), err)
		}
	})
}

func TestD2_MaxTime(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(50 * time.Second); return nil })
		id := b.push()
		began := time.Now()
		err := b.start(worker.Config{MaxTime: 10 * time.Second, Sleep: time.Hour}).ended()
		if took := time.Since(began).Round(time.Second); err != nil || took != 50*time.Second {
			t.Fatalf("ended after %v: %v", took, err)
		}
		b.gone(id)
	})
}

func TestD2_MaxTimeOfAnIdleWorker(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		began := time.Now()
		err := b.start(worker.Config{MaxTime: 10500 * time.Millisecond, Sleep: time.Hour}).ended()
		if took := time.Since(began); err != nil || took != 10500*time.Millisecond {
			t.Fatalf("ended after %v: %v", took, err)
		}
	})
}

func TestD2_StopWhenEmptyDoesNotWaitForDelayedJobs(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(time.Minute - time.Second); return errBroken })
		b.push(sqlqueue.Delay(time.Hour))
		b.push()
		began := time.Now()
		b.drain(worker.Config{Backoff: worker.FixedBackoff(time.Hour)})
		if took := time.Since(began).Round(time.Second); took != 59*time.Second {
			t.Fatalf("ended after %v", took)
		}
	})
}

func TestD8_TheEndOfTheContextLetsHandlersFinishWithinGrace(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(ctx context.Context, _ *raw) error {
			select {
			case <-ctx.Done():
				t.Errorf("the handler's context ended: %v", context.Cause(ctx))
			case <-time.After(25 * time.Second):
			}
			return nil
		})
		id := b.push()
		r := b.start(worker.Config{Concurrency: 1})
		pass(time.Second)
		next := b.push()
		began := time.Now()
		r.stop()
		if took := time.Since(began).Round(time.Second); took != 24*time.Second {
			t.Fatalf("ended after %v", took)
		}
		b.gone(id)
		b.waits(next, 0, -24*time.Second)
	})
}

// startAndStopAtTheFirstJob starts a worker that is told to stop while the exchange is under way that reserves its first job.
func (b *bench) startAndStopAtTheFirstJob() (r *run) {
	b.store.intercept(nil, func(_ driver.Exchange, answer *driver.Exchanged) error {
		if len(answer.Reserved) > 0 {
			r.cancel()
		}
		return nil
	})
	ready := make(chan struct{})
	b.store.check = func() error { <-ready; return nil }
	r = b.start(worker.Config{})
	close(ready)
	return r
}

func TestD8_WhatWasReservedTooLateIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
		id := b.push()
		r := b.startAndStopAtTheFirstJob()
		began := time.Now()
		if err := r.ended(); err != nil || time.Since(began) > 0 {
			t.Fatalf("ended after %v: %v", time.Since(began), err)
		}
		b.waits(id, 0, 0)
		b.logged("given back", 1)
	})
}

func TestD8_GraceOver(t *testing.T) {
	t.Run("handlers that return then are written", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(func(ctx context.Context, _ *raw) error {
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), worker.ErrStopped) {
					t.Errorf("the cause is %v", context.Cause(ctx))
				}
				return ctx.Err()
			})
			id := b.push()
			last := b.push(sqlqueue.Tries(1))
			r := b.start(worker.Config{Timeout: -1, Grace: 5 * time.Second, Backoff: worker.FixedBackoff(time.Minute)})
			pass(time.Second)
			r.cancel()
			began := time.Now()
			err := r.ended()
			var left *worker.UnfinishedError
			if !errors.As(err, &left) || len(left.Interrupted) != 2 || len(left.Running)+len(left.Unsettled) != 0 {
				t.Fatalf("Run: %v", err)
			}
			if took := time.Since(began); took != 5*time.Second {
				t.Fatalf("ended after %v", took)
			}
			b.waits(id, 1, time.Minute)
			b.wantFailed(last, "worker stopped: context canceled")
		})
	})
	t.Run("a handler that does not return keeps its job", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			stop := make(chan struct{})
			b.handle(func(context.Context, *raw) error { <-stop; return nil })
			id := b.push()
			r := b.start(worker.Config{Grace: 5 * time.Second, StuckAfter: 2 * time.Second})
			pass(time.Second)
			r.cancel()
			began := time.Now()
			err := r.ended()
			var left *worker.UnfinishedError
			if !errors.As(err, &left) || !slices.Equal(left.Running, []int64{id}) || len(left.Interrupted)+len(left.Unsettled) != 0 {
				t.Fatalf("Run: %v", err)
			}
			if took := time.Since(began); took != 7*time.Second {
				t.Fatalf("ended after %v", took)
			}
			if job := b.job(id); job == nil || !job.Reserved || job.ExpiresAt.IsZero() {
				t.Fatalf("a job that still runs was given away: %+v", job)
			}
			close(stop)
		})
	})
	t.Run("no limit", func(t *testing.T) {
		bubble(t, func(_ *testing.T, b *bench) {
			b.handle(func(context.Context, *raw) error { pass(5 * time.Minute); return nil })
			id := b.push()
			r := b.start(worker.Config{Grace: -1, Timeout: -1})
			pass(time.Second)
			r.stop()
			b.gone(id)
		})
	})
}
