package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestB2_B7_QueuesAreServedInStrictOrder(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error { seen.add("%s %d", job.Queue, job.Priority); return nil })
		b.push(sqlqueue.OnQueue("low"))
		b.push(sqlqueue.OnQueue("high"), sqlqueue.Priority(1))
		b.push(sqlqueue.OnQueue("mid"))
		b.push(sqlqueue.OnQueue("high"))
		b.push(sqlqueue.OnQueue("elsewhere"))
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if len(x.Reserve) != 3 {
				t.Errorf("asks for %v", x.Reserve)
			}
			return nil
		}, nil)
		b.drain(worker.Config{Queues: []string{" high", "mid ", "high", "low"}, Concurrency: 1})
		seen.want(t, "high 0", "high 1", "mid 0", "low 0")
	})
}

func TestB7_TheDefaultIsTheQueuesOwn(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push(sqlqueue.OnQueue("default"))
		other := b.push(sqlqueue.OnQueue("other"))
		b.drain(worker.Config{})
		b.gone(id)
		if b.job(other) == nil {
			t.Fatal("a job of another queue was taken")
		}
	})
}

func TestB8_AnIdleWorkerWakesForTheNextDueJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var late []time.Duration
		b.handle(func(_ context.Context, job *raw) error {
			late = append(late, time.Since(job.AvailableAt))
			return nil
		})
		b.push(sqlqueue.Delay(90 * time.Second))
		r := b.start(worker.Config{Sleep: time.Hour})
		pass(10 * time.Second)
		b.push(sqlqueue.Delay(20500 * time.Millisecond)) // before the one that it knows
		pass(2 * time.Minute)
		r.stop()
		if len(late) != 2 || slices.Max(late) > 10*time.Millisecond {
			t.Fatalf("started %v after they were due", late)
		}
	})
}

func TestB8_AnIdleWorkerSleeps(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		var asked, exchanges atomic.Int32
		due := time.Now()
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			exchanges.Add(1)
			if x.Limit > 0 {
				asked.Add(1)
			}
			return nil
		}, func(_ driver.Exchange, answer *driver.Exchanged) error {
			answer.NextDue = due // some stores tell it of jobs that cannot be had
			return nil
		})
		b.push(sqlqueue.OnQueue("paused"))
		b.control("paused", operator.ControlChange{Pause: true}) // is due, and cannot be had
		r := b.start(worker.Config{Queues: []string{"default", "paused"}, Sleep: 3 * time.Second})
		pass(10 * time.Minute)
		r.stop()
		if n := asked.Load(); n < 195 || n > 205 {
			t.Fatalf("asked %d times in ten minutes", n)
		}
		if n := exchanges.Load(); n < 595 || n > 610 {
			t.Fatalf("%d exchanges in ten minutes", n)
		}
	})
}

func TestB9_AttemptsBeyondAByte(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		runs := 0
		b.handle(func(context.Context, *raw) error {
			if runs++; runs == 300 {
				return nil
			}
			return errBroken
		})
		id := b.push()
		b.drain(worker.Config{Tries: -1, Backoff: worker.FixedBackoff(0)})
		b.gone(id)
		if runs != 300 {
			t.Fatalf("ran %d times", runs)
		}
	})
}

func TestD1_Once(t *testing.T) {
	t.Run("one of two", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			runs := 0
			b.handle(func(context.Context, *raw) error { runs++; return errBroken })
			b.push()
			b.push()
			if err := b.start(worker.Config{Once: true}).ended(); err != nil || runs != 1 {
				t.Fatalf("ran %d jobs: %v", runs, err)
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(answers(nil))
			began := time.Now()
			err := b.start(worker.Config{Once: true, Sleep: 7 * time.Second}).ended()
			if slept := time.Since(began); err != nil || slept < 7*time.Second || slept > 8*time.Second {
				t.Fatalf("slept %v: %v", slept, err)
			}
		})
	})
	t.Run("longer than grace", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(func(context.Context, *raw) error { pass(50 * time.Second); return nil })
			id := b.push()
			if err := b.start(worker.Config{Once: true}).ended(); err != nil {
				t.Fatal(err)
			}
			b.gone(id)
		})
	})
}

func TestD1_ConcurrencyIsTheMostThatRunAtOnce(t *testing.T) {
	for _, c := range []struct{ set, want int32 }{{0, 10}, {1, 1}, {3, 3}} {
		t.Run(fmt.Sprint(c.set), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var now, most atomic.Int32
				b.handle(func(context.Context, *raw) error {
					most.Store(max(most.Load(), now.Add(1)))
					pass(time.Second)
					now.Add(-1)
					return nil
				})
				b.pushMany(35)
				b.drain(worker.Config{Concurrency: int(c.set)})
				if most.Load() != c.want {
					t.Fatalf("%d ran at once, want %d", most.Load(), c.want)
				}
			})
		})
	}
}

func TestD3_TimeoutEndsTheContextAndIsTheError(t *testing.T) {
	for name, c := range map[string]struct {
		config  time.Duration
		own     []sqlqueue.PushOption
		runs    time.Duration
		handler func(ctx context.Context) error // what it returns once its context has ended
		reason  string                          // empty: the job is done
	}{
		"default":          {runs: time.Minute, handler: context.Context.Err, reason: "timed out after 1m0s: context deadline exceeded"},
		"the cause itself": {config: time.Second, runs: time.Second, handler: context.Cause, reason: "timed out after 1s"},
		"the job's own": {
			config: time.Second, own: []sqlqueue.PushOption{sqlqueue.Timeout(2500 * time.Millisecond)}, runs: 2500 * time.Millisecond,
			handler: func(context.Context) error { return errBroken }, reason: "timed out after 2.5s: broken",
		},
		"the job has none":  {config: time.Second, own: []sqlqueue.PushOption{sqlqueue.Timeout(0)}, runs: 5 * time.Minute},
		"none":              {config: -1, runs: 5 * time.Minute},
		"done all the same": {config: time.Second, runs: time.Second, handler: func(context.Context) error { return nil }},
		"a panic that came late": {
			config: time.Second, runs: time.Second, handler: func(context.Context) error { panic("late") },
			reason: "timed out after 1s: panic: late",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var ran time.Duration
				var told int
				b.handle(func(ctx context.Context, _ *raw) error {
					began := time.Now()
					defer func() { ran = time.Since(began) }()
					select {
					case <-ctx.Done():
						if !errors.Is(context.Cause(ctx), worker.ErrTimedOut) {
							t.Errorf("the cause is %v", context.Cause(ctx))
						}
						return c.handler(ctx)
					case <-time.After(5 * time.Minute):
						return nil
					}
				})
				id := b.push(append(c.own, sqlqueue.Tries(1))...)
				b.drain(worker.Config{Timeout: c.config, Events: worker.Events{TimedOut: func(worker.JobInfo) { told++ }}})
				if ran != c.runs {
					t.Fatalf("ran %v, want %v", ran, c.runs)
				}
				if want := b2i(c.runs != 5*time.Minute); told != want {
					t.Fatalf("told of %d timeouts, want %d", told, want)
				}
				if c.reason == "" {
					b.gone(id)
				} else {
					b.wantFailed(id, c.reason)
				}
			})
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestD14_WorkersShareTheJobs(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error { seen.add("%d", job.ID); pass(time.Second); return nil })
		b.pushMany(100)
		var all []*run
		for range 4 {
			all = append(all, b.start(worker.Config{StopWhenEmpty: true, Concurrency: 5}))
		}
		for _, r := range all {
			if err := r.ended(); err != nil {
				t.Fatal(err)
			}
		}
		ids := seen.all()
		slices.Sort(ids)
		if len(ids) != 100 || len(slices.Compact(ids)) != 100 {
			t.Fatalf("%d runs of 100 jobs: %v", len(ids), ids)
		}
	})
}

func TestE7_AWorkerIsThereBeforeItsFirstReservation(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var beaten atomic.Bool
		b.store.interceptBeats(func(context.Context, *driver.Beat) error { beaten.Store(true); return nil })
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if !beaten.Load() {
				t.Errorf("before the first beat: %+v", x)
			}
			return nil
		}, nil)
		b.handle(func(ctx context.Context, job *raw) error {
			workers, err := operator.New(b.q).Workers(ctx)
			if err != nil || len(workers) != 1 {
				return worker.Fail(fmt.Errorf("%d workers: %w", len(workers), err))
			}
			w := workers[0]
			if w.Name != "n" || w.Host == "" || w.PID == 0 || !slices.Equal(w.Queues, []string{"default", "mail"}) || w.Concurrency != 4 {
				t.Errorf("registered as %+v", w)
			}
			if id, _, _ := strings.Cut(job.Reservation().By, "-"); id != w.ID || len(id) != 16 {
				t.Errorf("reserved by %s, the worker is %s", job.Reservation().By, w.ID)
			}
			pass(11 * time.Minute)
			return nil
		})
		id := b.push()
		r := b.start(worker.Config{Queues: []string{"default", "mail"}, Name: "n", Concurrency: 4, Timeout: -1})
		for range 10 {
			pass(time.Minute)
			workers, err := operator.New(b.q).Workers(t.Context())
			if err != nil || time.Since(workers[0].SeenAt) > 6*time.Second {
				t.Fatalf("not seen since %v: %v", workers[0].SeenAt, err)
			}
		}
		within(t, 2*time.Hour, "done", func() bool { return b.job(id) == nil })
		r.stop()
	})
}

func TestEveryNumberIsUsedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		seen := map[string]int{}
		failing := 3
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			seen[x.Number]++
			if x.Limit > 0 && failing > 0 {
				failing--
				return errors.New("EOF")
			}
			return nil
		}, nil)
		b.handle(answers(nil))
		for range 2 {
			b.push()
			b.drain(worker.Config{})
		}
		for number, times := range seen {
			if times != 1 || len(number) > 64 {
				t.Fatalf("%q was used %d times", number, times)
			}
		}
	})
}

func TestWhatTheDatabaseRefusesHurtsOnlyItself(t *testing.T) {
	for name, c := range map[string]struct {
		refuses func(s driver.Settlement) bool
		check   func(b *bench, bad int64)
	}{
		"a text": {
			func(s driver.Settlement) bool { return s.Error == "bad" },
			func(b *bench, bad int64) {
				b.wantFailed(bad, "the database refused to store the error: see the worker's log")
			},
		},
		"a job": {
			func(s driver.Settlement) bool { return s.ID == 5 },
			func(b *bench, bad int64) {
				if job := b.job(bad); job == nil || !job.Reserved {
					b.t.Fatalf("the job is now %+v", job)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(_ *testing.T, b *bench) {
				b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
					if slices.ContainsFunc(x.Settle, c.refuses) {
						return errors.New("invalid byte sequence")
					}
					return nil
				}, nil)
				b.handle(func(ctx context.Context, job *raw) error {
					switch job.ID {
					case 5:
						return worker.Fail(errors.New("bad"))
					case 40:
						<-ctx.Done()
						return nil
					}
					return nil
				})
				b.pushMany(40)
				r := b.start(worker.Config{Concurrency: 40, Timeout: 100 * time.Second})
				pass(15 * time.Second)
				for id := range int64(39) {
					if id+1 != 5 {
						b.gone(id + 1)
					}
				}
				c.check(b, 5)
				pass(90 * time.Second)
				b.gone(40)
				b.logged("reservation lost", 0)
				r.stop()
			})
		})
	}
}
