package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func TestD7_Restart(t *testing.T) {
	for name, c := range map[string]struct {
		queue string
		ends  bool
	}{"all": {"", true}, "a queue of it": {"mail", true}, "another queue": {"sms", false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.control(c.queue, operator.ControlChange{Restart: true}) // before it starts: not its business
				finished := false
				b.handle(func(context.Context, *raw) error { pass(20 * time.Second); finished = true; return nil })
				b.push(sqlqueue.OnQueue("mail"))
				r := b.start(worker.Config{Queues: []string{"default", "mail"}, Sleep: time.Hour})
				pass(10 * time.Second)
				b.control(c.queue, operator.ControlChange{Restart: true})
				pass(2 * time.Second)
				b.logged("worker stopping", b2i(c.ends))
				if !c.ends {
					r.stop()
					return
				}
				if err := r.ended(); err != nil || !finished {
					t.Fatalf("ended before its handler: %v", err)
				}
			})
		})
	}
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

func TestD9_Maintenance(t *testing.T) {
	yes, no := true, false
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.control("", operator.ControlChange{Maintenance: &yes})
		b.store.intercept(nil, forgetDue)
		id := b.push()
		r := b.start(worker.Config{Sleep: time.Hour})
		pass(time.Minute)
		b.waits(id, 0, -time.Minute)
		b.control("", operator.ControlChange{Maintenance: &no})
		within(t, 2*time.Second, "done", func() bool { return b.job(id) == nil })
		r.stop()

		b.control("", operator.ControlChange{Maintenance: &yes})
		id = b.push()
		b.drain(worker.Config{Force: true})
		b.gone(id)
	})
}

func TestD10_Pause(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.control("mail", operator.ControlChange{Pause: true, PauseFor: time.Minute})
		mail, other := b.push(sqlqueue.OnQueue("mail")), b.push()
		b.store.intercept(nil, forgetDue)
		r := b.start(worker.Config{Queues: []string{"mail", "default"}, Sleep: time.Hour})
		pass(59 * time.Second)
		b.gone(other)
		b.waits(mail, 0, -59*time.Second)
		within(t, 3*time.Second, "done", func() bool { return b.job(mail) == nil })
		r.stop()
	})
}

// forgetDue leaves out of an answer what a store may leave out: that a job is due already.
func forgetDue(_ driver.Exchange, answer *driver.Exchanged) error {
	if !answer.NextDue.After(answer.Now) {
		answer.NextDue = time.Time{}
	}
	return nil
}

func TestD11_Events(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		begin := func(what string) func(job worker.JobInfo) {
			return func(job worker.JobInfo) { seen.add("%s %s %d", what, job.Name, job.Attempts) }
		}
		end := func(what string) func(job worker.JobInfo, result worker.Result) {
			return func(job worker.JobInfo, result worker.Result) {
				seen.add("%s %s %d: %v %v %v", what, job.Name, job.Attempts, result.Took, result.Delay, result.Err)
			}
		}
		b.handle(func(_ context.Context, job *raw) error {
			pass(time.Second)
			switch job.Attempts {
			case 1:
				return errBroken
			case 2:
				return worker.Fail(errBroken)
			}
			return nil
		})
		b.push()
		r := b.start(worker.Config{
			Queues: []string{"default"}, Name: "n", Backoff: worker.FixedBackoff(time.Minute),
			Events: worker.Events{
				Starting: func(w driver.Worker) { seen.add("starting %s %s %d", w.Name, w.Queues, w.Concurrency) },
				Idle:     func() { seen.add("idle") },
				Stopping: func(reason string) { seen.add("stopping: %s", reason) },
				Reserved: begin("reserved"), Processing: begin("processing"),
				Processed: end("processed"), Released: end("released"), Failed: end("failed"),
			},
		})
		pass(2 * time.Minute)
		at := time.Now().UnixMicro()
		const insert = `INSERT INTO jobs (payload, attempts, available_at) VALUES ('{"job":"job"}', 2, ?)`
		if _, err := b.db.ExecContext(b.t.Context(), insert, at); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		r.stop()
		seen.want(t,
			"starting n [default] 10",
			"reserved job 1", "processing job 1", "released job 1: 1s 1m0s broken", "idle",
			"reserved job 2", "processing job 2", "failed job 2: 1s 0s broken", "idle",
			"reserved job 3", "processing job 3", "processed job 3: 1s 0s <nil>", "idle",
			"stopping: context ended",
		)
	})
}

func TestD11_AnEventThatPanicsHurtsNobody(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push()
		b.drain(worker.Config{Events: worker.Events{Processing: func(worker.JobInfo) { panic("no") }}})
		b.gone(id)
		b.logged("event function went wrong", 1)
	})
}

func TestD11_MiddlewareIsAroundEveryHandler(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		made := 0
		around := func(name string) func(worker.Handler) worker.Handler {
			return func(next worker.Handler) worker.Handler {
				made++
				return func(ctx context.Context, job *raw) error {
					seen.add("%s before %s", name, job.Name)
					err := next(ctx, job)
					seen.add("%s after: %v", name, err)
					return err
				}
			}
		}
		b.mux.Use(around("1"), around("2"))
		b.handle(answers(errBroken))
		b.push()
		b.push()
		b.drain(worker.Config{Backoff: worker.FixedBackoff(time.Hour), Concurrency: 1})
		one := []string{"1 before job", "2 before job", "2 after: broken", "1 after: broken"}
		seen.want(t, append(one, one...)...)
		if made != 2 {
			t.Fatalf("two middlewares were made %d times for one handler", made)
		}
	})
}

func TestD11_MiddlewareThatComesLaterIsAroundThemToo(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.mux.HandleAll(answers(nil))
		b.drain(worker.Config{})
		calls := 0
		b.mux.Use(func(next worker.Handler) worker.Handler {
			return func(ctx context.Context, job *raw) error { calls++; return next(ctx, job) }
		})
		b.push()
		if _, err := b.q.Push(t.Context(), sqlqueue.Named("stranger", nil)); err != nil {
			t.Fatal(err)
		}
		b.drain(worker.Config{Concurrency: 1})
		if calls != 2 {
			t.Fatalf("called %d times", calls)
		}
	})
}

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

func TestE7_AnOperatorChangesConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var now atomic.Int32
		b.handle(func(context.Context, *raw) error {
			now.Add(1)
			pass(time.Second)
			now.Add(-1)
			return worker.Release(0)
		})
		for range 20 {
			b.push(sqlqueue.Tries(0))
		}
		r := b.start(worker.Config{Concurrency: 3})
		running := func(n int32) func() bool { return func() bool { synctest.Wait(); return now.Load() == n } }
		want := func(n any) {
			t.Helper()
			if _, err := b.db.ExecContext(b.t.Context(), `UPDATE job_workers SET wanted_concurrency = ?`, n); err != nil {
				t.Fatal(err)
			}
			pass(3 * time.Second) // a second for the worker to hear of it, another for what runs
		}
		for _, c := range []struct {
			set  any
			runs int32
		}{{nil, 3}, {8, 8}, {1, 1}, {nil, 3}} {
			want(c.set)
			for range 100 {
				pass(17 * time.Millisecond)
				if now.Load() > c.runs {
					t.Fatalf("%d run at once, %v are wanted", now.Load(), c.set)
				}
			}
			within(t, 2*time.Second, fmt.Sprint(c.set), running(c.runs))
		}
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
