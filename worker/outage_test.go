package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestD12_OutcomesAreKeptWhileTheDatabaseIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		away := &atomic.Bool{}
		var tries, most atomic.Int32
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if away.Load() {
				tries.Add(1)
				most.Store(max(most.Load(), int32(len(x.Abandoned))))
				return errors.New("connection refused")
			}
			return nil
		}, nil)
		var runs atomic.Int32
		b.handle(func(ctx context.Context, job *raw) error {
			runs.Add(1)
			pass(time.Duration(job.ID) * time.Second)
			if err := context.Cause(ctx); err != nil {
				t.Errorf("a healthy job's context ended: %v", err)
			}
			if job.ID == 2 {
				return worker.Fail(errBroken)
			}
			return nil
		})
		one, two, three := b.push(), b.push(), b.push()
		b.pushMany(27)
		long := b.push()
		r := b.start(worker.Config{Concurrency: 40, Timeout: -1})
		pass(500 * time.Millisecond)
		away.Store(true)
		pass(30 * time.Second)
		if n := tries.Load(); n > 20 {
			t.Fatalf("tried %d times while 30 handlers ended", n)
		}
		pass(10 * time.Minute)
		if n := tries.Load(); n < 100 || n > 250 {
			t.Fatalf("tried %d times in ten minutes", n)
		}
		if b.job(one) == nil || runs.Load() != 31 {
			t.Fatalf("%d ran while the database was away", runs.Load())
		}
		if n := most.Load(); n > 1 {
			t.Fatalf("%d numbers are to be given back", n)
		}
		away.Store(false)
		within(t, 8*time.Second, "written", func() bool { return b.job(long) == nil && b.job(three) == nil })
		b.gone(one)
		b.wantFailed(two, "broken")
		r.stop()
		if runs.Load() != 31 {
			t.Fatalf("ran %d times", runs.Load())
		}
		b.logged("exchange with the database failed, trying again", 1)
		b.logged("database answers again", 1)
		b.logged("reservation lost", 0)
	})
}

func TestD12_AfterAnOutageLiveOwnersSpeakFirst(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		away := &atomic.Bool{}
		b.store.intercept(func(context.Context, *driver.Exchange) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		}, nil)
		b.push()
		other := b.reserve("other-1", time.Minute) // of a worker that the outage has cut off too
		r := b.start(worker.Config{Sleep: time.Second})
		pass(time.Second)
		away.Store(true)
		pass(10 * time.Minute)
		away.Store(false)
		pass(9 * time.Second)
		touch := driver.Touch{Reservation: other.Reservation(), Expire: 30 * time.Second}
		answer, err := b.q.Exchange(t.Context(), driver.Exchange{Touch: []driver.Touch{touch}})
		if err != nil || len(answer.Lost) != 0 {
			t.Fatalf("the other's reservation is lost: %v", err)
		}
		within(t, 35*time.Second, "requeued at last", func() bool { return b.job(other.ID) == nil })
		r.stop()
	})
}

func TestD12_AnUnansweredReserveIsGivenBack(t *testing.T) {
	for name, stops := range map[string]bool{"and runs": false, "also when the worker stops": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var attempts notes
				b.handle(func(_ context.Context, job *raw) error { attempts.add("%d", job.Attempts); return nil })
				id := b.push()
				var number string
				var first, last time.Time // exchanges that gave it back
				var r *run
				b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
					if slices.Contains(x.Abandoned, number) {
						last = time.Now()
						if first.IsZero() {
							first = last
						}
					}
					return nil
				}, func(x driver.Exchange, answer *driver.Exchanged) error {
					if len(answer.Reserved) == 0 || number != "" {
						return nil
					}
					number = x.Number // and the answer never comes
					if stops {
						r.cancel()
					}
					return fmt.Errorf("%w: EOF", sqlqueue.ErrOutcomeUnknown)
				})
				ready := make(chan struct{})
				b.store.check = func() error { <-ready; return nil }
				r = b.start(worker.Config{})
				close(ready)
				if stops {
					if err := r.ended(); err != nil {
						t.Fatal(err)
					}
					b.waits(id, 0, 0)
					return
				}
				within(t, time.Second, "done", func() bool { return b.job(id) == nil })
				pass(10 * time.Minute)
				r.stop()
				attempts.want(t, "1")
				// As long as what it reserved could be reserved, and no longer.
				const expire, poll = time.Minute, 3 * time.Second
				if d := last.Sub(first); d < expire-2*poll || d > expire+poll {
					t.Fatalf("given back for %s", d)
				}
			})
		})
	}
}

func TestD12_ASettleThatWasNotAnsweredIsRepeatedAndNotTakenForLost(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push()
		unanswered := 2
		b.store.intercept(nil, func(x driver.Exchange, _ *driver.Exchanged) error {
			if len(x.Settle) > 0 && unanswered > 0 {
				unanswered--
				return fmt.Errorf("%w: EOF", sqlqueue.ErrOutcomeUnknown)
			}
			return nil
		})
		r := b.start(worker.Config{})
		pass(time.Minute)
		r.stop()
		b.gone(id)
		b.logged("reservation lost", 0)
		b.logged("ended, but the database's answer never came, and now the row is not ours", 1)
	})
}

func TestD12_AnExchangeThatHangsIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		hangs := &atomic.Bool{}
		b.store.intercept(func(ctx context.Context, _ *driver.Exchange) error {
			if hangs.CompareAndSwap(true, false) {
				<-ctx.Done()
				return fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, ctx.Err())
			}
			return nil
		}, nil)
		r := b.start(worker.Config{})
		pass(time.Second)
		hangs.Store(true)
		id := b.push()
		within(t, 20*time.Second, "done", func() bool { return b.job(id) == nil })
		r.stop()
	})
}

func TestD12_TheDatabaseIsAwayAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		away := &atomic.Bool{}
		b.store.intercept(func(context.Context, *driver.Exchange) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		}, nil)
		b.handle(func(context.Context, *raw) error { away.Store(true); return nil })
		id := b.push()
		r := b.start(worker.Config{Grace: 20 * time.Second})
		pass(time.Second)
		r.cancel()
		began := time.Now()
		var left *worker.UnfinishedError
		if err := r.ended(); !errors.As(err, &left) || !slices.Equal(left.Unsettled, []int64{id}) {
			t.Fatalf("Run: %v", err)
		}
		if took := time.Since(began); took < 21*time.Second || took > 22*time.Second { // and the time of a last exchange
			t.Fatalf("ended after %v", took)
		}
	})
}

func TestD12_AServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push()
		began := time.Now()
		b.store.check = func() error {
			if time.Since(began) < time.Minute {
				return errors.New("connection refused")
			}
			return nil
		}
		b.drain(worker.Config{})
		b.gone(id)
		b.logged("exchange with the database failed, trying again", 1)
	})
}

func TestD12_WhatWaitingDoesNotMendIsReturnedAtOnce(t *testing.T) {
	var schema *sqlqueue.SchemaError
	for name, c := range map[string]struct {
		err error
		is  func(error) bool
	}{
		"no tables":    {sqlqueue.ErrNotMigrated, func(err error) bool { return errors.Is(err, sqlqueue.ErrNotMigrated) }},
		"other tables": {&sqlqueue.SchemaError{Have: 9, Need: 1}, func(err error) bool { return errors.As(err, &schema) }},
		"old server": {
			fmt.Errorf("MariaDB 10.5: %w", sqlqueue.ErrUnsupportedServer),
			func(err error) bool { return errors.Is(err, sqlqueue.ErrUnsupportedServer) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(answers(nil))
				b.store.check = func() error { return c.err }
				began := time.Now()
				if err := b.start(worker.Config{}).ended(); !c.is(err) || time.Since(began) > 0 {
					t.Fatalf("Run after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

func TestD12_TheEndOfTheContextEndsTheWaitForAServer(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		b.store.check = func() error { return errors.New("connection refused") }
		r := b.start(worker.Config{})
		pass(time.Hour)
		r.stop()
	})
}
