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
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestB3_AJobOfADeadWorkerRunsAgainWithinExpireAndASecond(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var started time.Time
		b.handle(func(_ context.Context, job *raw) error {
			started = time.Now()
			if job.Attempts != 2 {
				t.Errorf("attempt %d", job.Attempts)
			}
			return nil
		})
		b.store.intercept(nil, func(_ driver.Exchange, answer *driver.Exchanged) error {
			answer.NextDue = time.Time{} // not every store tells what is due already
			return nil
		})
		id := b.push()
		b.reserve("dead-1", 30*time.Second)
		died := time.Now()
		r := b.start(worker.Config{Sleep: time.Hour}) // however long it sleeps
		within(t, time.Minute, "done", func() bool { return b.job(id) == nil })
		r.stop()
		if after := started.Sub(died); after < 30*time.Second || after > 31*time.Second {
			t.Fatalf("ran again after %v", after)
		}
	})
}

func TestB4_ExpireOff(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var own sqlqueue.Job
		b.handle(func(ctx context.Context, job *raw) (err error) {
			own, err = operator.New(b.q).Job(ctx, job.ID)
			return err
		})
		dead := b.push()
		b.reserve("dead-1", time.Second)
		b.push()
		r := b.start(worker.Config{Expire: -1})
		pass(time.Minute)
		r.stop()
		if own.ID == 0 || !own.ExpiresAt.IsZero() {
			t.Fatalf("the worker's own reservation expires at %v", own.ExpiresAt)
		}
		if job := b.job(dead); job == nil || !job.Reserved {
			t.Fatalf("a worker with expire off has requeued: %+v", job)
		}
	})
}

func TestB4_AnOperatorSetsExpire(t *testing.T) {
	minutes := func(n int) *time.Duration { d := time.Duration(n) * time.Minute; return &d }
	bubble(t, func(t *testing.T, b *bench) {
		b.control("", operator.ControlChange{Expire: minutes(7)})
		b.control("mail", operator.ControlChange{Expire: minutes(5)})
		stop := make(chan struct{})
		b.handle(func(context.Context, *raw) error { <-stop; return nil })
		mail, sms := b.push(sqlqueue.OnQueue("mail")), b.push(sqlqueue.OnQueue("sms"))
		r := b.start(worker.Config{Queues: []string{"mail", "sms"}, Timeout: -1})

		// A change reaches what is running.
		expires := func(id int64, within time.Duration) func() bool {
			return func() bool {
				job := b.job(id)
				if within == 0 {
					return job.Reserved && job.ExpiresAt.IsZero()
				}
				return job.Reserved && !job.ExpiresAt.IsZero() && time.Until(job.ExpiresAt).Round(3*time.Second) == within
			}
		}
		within(t, 2*time.Second, "the queue's own", expires(mail, 5*time.Minute))
		within(t, 2*time.Second, "that of all", expires(sms, 7*time.Minute))
		b.control("mail", operator.ControlChange{Expire: minutes(0)})
		b.control("", operator.ControlChange{ResetExpire: true})
		within(t, 2*time.Second, "never", expires(mail, 0))
		within(t, 2*time.Second, "the worker's", expires(sms, time.Minute))
		b.control("mail", operator.ControlChange{ResetExpire: true})
		within(t, 2*time.Second, "the worker's again", expires(mail, time.Minute))
		close(stop)
		r.stop()
	})
}

func TestB5_ARunningJobIsKeptAlive(t *testing.T) {
	for _, expire := range []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(expire.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var runs, touches atomic.Int32
				b.handle(func(ctx context.Context, _ *raw) error {
					runs.Add(1)
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(20 * expire):
						return nil
					}
				})
				b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
					touches.Add(int32(len(x.Touch)))
					return nil
				}, nil)
				id := b.push()
				one := b.start(worker.Config{Expire: expire, Timeout: -1})
				other := b.start(worker.Config{Expire: expire, Timeout: -1})
				within(t, 40*expire, "done", func() bool { return b.job(id) == nil })
				one.stop()
				other.stop()
				if runs.Load() != 1 {
					t.Fatalf("ran %d times", runs.Load())
				}
				// A third of expire, and the next look at control may come first.
				if n := touches.Load(); n < 40 || n > 65 {
					t.Fatalf("touched %d times in 20 expires", n)
				}
				b.logged("reservation lost", 0)
			})
		})
	}
}

// frozen is a second Queue on the same database, whose worker can be made to stand still, as by SIGSTOP.
type frozen struct {
	q    *sqlqueue.Queue
	thaw chan struct{}
	ice  atomic.Bool
}

func (b *bench) frozen() *frozen {
	f := &frozen{thaw: make(chan struct{})}
	s := &store{bench: b}
	f.q = b.q.Bind(func(under driver.Store) (driver.Store, error) {
		s.Store = under.(*store).Store
		return s, nil
	})
	s.intercept(func(context.Context, *driver.Exchange) error {
		if f.ice.Load() {
			<-f.thaw
		}
		return nil
	}, nil)
	return f
}

func (f *frozen) melt() {
	f.ice.Store(false)
	close(f.thaw)
}

func TestB5_ALateResultChangesNothing(t *testing.T) {
	late := map[string]error{
		"nil": nil, "error": errBroken, "fail": worker.Fail(errBroken), "snooze": worker.Snooze(0), "discard": worker.Discard(),
	}
	type state struct {
		job    *sqlqueue.Job
		failed int
	}
	for name, other := range map[string]func(ctx context.Context, b *bench, id int64) error{
		"the other still runs": func(ctx context.Context, _ *bench, _ int64) error { <-ctx.Done(); return nil },
		"the other is done":    func(context.Context, *bench, int64) error { return nil },
		"the other has failed": func(context.Context, *bench, int64) error { return worker.Fail(errors.New("the other's")) },
		"it was put back":      func(context.Context, *bench, int64) error { return worker.Release(time.Hour) },
	} {
		for says, outcome := range late {
			t.Run(name+", late "+says, func(t *testing.T) {
				bubble(t, func(t *testing.T, b *bench) {
					zombie := b.frozen()
					returns := make(chan struct{})
					b.handle(func(ctx context.Context, job *raw) error {
						if job.Attempts == 1 {
							zombie.ice.Store(true)
							<-returns
							return outcome
						}
						return other(ctx, b, job.ID)
					})
					id := b.push()
					first := b.startOn(zombie.q, worker.Config{
						Timeout: -1, OnFailed: func(context.Context, *raw, error) error { return nil },
					})
					within(t, time.Second, "frozen", zombie.ice.Load)
					second := b.start(worker.Config{Timeout: -1, Sleep: time.Second, Grace: time.Second})
					pass(2 * time.Minute)

					look := func() state { return state{b.job(id), len(b.failures())} }
					before := look()
					if before.job != nil && before.job.Attempts != 2 {
						t.Fatalf("the other worker did not get the job: %+v", before.job)
					}
					close(returns)
					zombie.melt()
					within(t, time.Minute, "told", func() bool { return len(b.log.find("reservation lost")) == 1 })
					pass(5 * time.Second)
					after := look()
					if before.failed != after.failed || (before.job == nil) != (after.job == nil) {
						t.Fatalf("changed from %+v to %+v", before, after)
					}
					if after.job != nil {
						before.job.ExpiresAt = after.job.ExpiresAt // its owner has touched it
						if fmt.Sprintf("%+v", *before.job) != fmt.Sprintf("%+v", *after.job) {
							t.Fatalf("changed from %+v to %+v", *before.job, *after.job)
						}
					}
					first.stop()
					second.cancel()
					_ = second.ended() // the other's handler may have to be interrupted
					b.logged("reservation lost", 1)
				})
			})
		}
	}
}

func TestB5_ALostReservationEndsTheHandlersContext(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var cause error
		var lost, running atomic.Int32
		b.handle(func(ctx context.Context, job *raw) error {
			if job.Attempts > 1 {
				return nil
			}
			running.Add(1)
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		id := b.push(sqlqueue.Tries(1))
		r := b.start(worker.Config{
			Events:   worker.Events{Lost: func(worker.JobInfo) { lost.Add(1) }},
			OnFailed: func(context.Context, *raw, error) error { t.Error("failed"); return nil },
		})
		within(t, time.Second, "running", func() bool { return running.Load() == 1 })
		if _, err := operator.New(b.q).Release(t.Context(), id); err != nil { // by an operator, who thinks that the worker is dead
			t.Fatal(err)
		}
		b.control("default", operator.ControlChange{Pause: true})
		within(t, 21*time.Second, "noticed", func() bool { return lost.Load() == 1 })
		r.stop()
		if !errors.Is(cause, sqlqueue.ErrReservationLost) {
			t.Fatalf("the context ended because of %v", cause)
		}
		b.logged("reservation lost", 1)
		b.logged("dropped: returned after its reservation was lost", 1)
		if job := b.job(id); job == nil || job.Reserved || job.Attempts != 1 {
			t.Fatalf("the job is now %+v", job)
		}
	})
}

// The jobs that wait for a slot are no part of what happens to the one before them there.
func TestB5_ALostReservationDoesNotReachTheNextJobInItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const jobs, one = 1000, 500
		var runs, lost, dead atomic.Int32
		var waits atomic.Int64
		b.handle(func(ctx context.Context, job *raw) error {
			if runs.Add(1) == one {
				waits.Store(job.ID)
				<-ctx.Done()
				return nil
			}
			if ctx.Err() != nil {
				dead.Add(1)
			}
			pass(time.Millisecond)
			return nil
		})
		b.pushMany(jobs)
		r := b.start(worker.Config{
			Concurrency: 1, Expire: 300 * time.Millisecond,
			Events: worker.Events{Lost: func(worker.JobInfo) { lost.Add(1) }},
		})
		within(t, time.Minute, "one waits", func() bool { return waits.Load() > 0 })
		if _, err := operator.New(b.q).Release(t.Context(), waits.Load()); err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, "all done", func() bool { return len(b.waiting()) == 0 })
		r.stop()
		if lost.Load() != 1 || dead.Load() > 0 {
			t.Errorf("%d reservations were lost, want 1, and %d other jobs found their context ended", lost.Load(), dead.Load())
		}
	})
}

// A handler can return while the worker is being told that its reservation is lost: its slot has gone on by then.
func TestB5_ALossThatIsToldLateDoesNotReachTheNextJobInTheSlot(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const jobs, one = 1000, 500
		var runs, lost, dead atomic.Int32
		var waits atomic.Int64
		release, touched := make(chan struct{}), make(chan struct{})
		b.handle(func(ctx context.Context, job *raw) error {
			switch runs.Add(1) {
			case one:
				waits.Store(job.ID)
				<-release
			case one + 1:
				select {
				case <-ctx.Done():
					dead.Add(1)
				case <-touched:
				}
			default:
				pass(time.Millisecond)
			}
			return nil
		})
		b.store.intercept(func(ctx context.Context, x *driver.Exchange) error {
			if id := waits.Load(); id > 0 && slices.ContainsFunc(x.Touch, func(touch driver.Touch) bool { return touch.ID == id }) {
				waits.Store(-1)
				if _, err := operator.New(b.q).Release(ctx, id); err != nil {
					return err
				}
				close(release)
				within(t, time.Second, "the next runs", func() bool { return runs.Load() > one })
			}
			return nil
		}, nil)
		b.pushMany(jobs)
		r := b.start(worker.Config{
			Concurrency: 1, Expire: 300 * time.Millisecond,
			Events: worker.Events{Lost: func(worker.JobInfo) { lost.Add(1); time.AfterFunc(time.Second, func() { close(touched) }) }},
		})
		within(t, time.Minute, "all done", func() bool { return len(b.waiting()) == 0 })
		r.stop()
		if lost.Load() != 1 || dead.Load() > 0 {
			t.Errorf("%d reservations were lost, want 1, and %d other jobs found their context ended", lost.Load(), dead.Load())
		}
	})
}

func TestB5_WhatIsLockedIsNotLost(t *testing.T) {
	for name, c := range map[string]struct {
		runs time.Duration
	}{"touch": {2 * time.Minute}, "settle": {0}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var locked atomic.Bool
				var exchanges atomic.Int32
				locked.Store(true)
				b.store.intercept(func(context.Context, *driver.Exchange) error {
					exchanges.Add(1)
					return nil
				}, nil)
				inner := b.store.Store
				b.store.Store = lockedStore{inner, &locked}
				b.handle(func(ctx context.Context, _ *raw) error {
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(c.runs):
						return nil
					}
				})
				id := b.push()
				r := b.start(worker.Config{Timeout: -1, Expire: 3 * time.Second, Sleep: time.Hour})
				pass(time.Minute)
				if n := exchanges.Load(); n > 300 {
					t.Fatalf("%d exchanges in a minute", n)
				}
				if job := b.job(id); job == nil || !job.Reserved {
					t.Fatalf("the job is now %+v", job)
				}
				locked.Store(false)
				within(t, 10*time.Minute, "done", func() bool { return b.job(id) == nil })
				r.stop()
				b.logged("reservation lost", 0)
				b.logged("processed", 1)
			})
		})
	}
}

// lockedStore stands for a database in which another transaction has locked every reserved row; it does not requeue them either.
type lockedStore struct {
	driver.Store
	on *atomic.Bool
}

func (s lockedStore) Unwrap() driver.Store { return s.Store }

func (s lockedStore) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	var locked []sqlqueue.Reservation
	if s.on.Load() {
		for _, settlement := range x.Settle {
			locked = append(locked, settlement.Reservation)
		}
		for _, touch := range x.Touch {
			locked = append(locked, touch.Reservation)
		}
		x.Settle, x.Touch, x.Requeue = nil, nil, 0
	}
	answer, err := s.Store.Exchange(ctx, x)
	answer.Locked = locked
	return answer, err
}

func TestF3_AHandlerCompletesItsJobInItsOwnTransaction(t *testing.T) {
	for name, c := range map[string]struct {
		commit  bool
		after   time.Duration // how long the handler goes on
		returns error
		lines   map[string]int
		gone    bool
	}{
		"commit":          {commit: true, lines: map[string]int{"processed": 1}, gone: true},
		"commit, goes on": {commit: true, after: 30 * time.Second, lines: map[string]int{"processed": 1}, gone: true},
		"commit, then an error": {
			commit: true, returns: errBroken, gone: true,
			lines: map[string]int{"processed": 1, "handler completed its job and then returned something else": 1},
		},
		"rollback, then nil":     {lines: map[string]int{"processed": 1}, gone: true},
		"rollback, then error":   {returns: errBroken, lines: map[string]int{"released": 1}},
		"rollback, goes on, nil": {after: 90 * time.Second, lines: map[string]int{"processed": 1}, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				runs := 0
				b.handle(func(ctx context.Context, job *raw) error {
					runs++
					tx, err := b.db.BeginTx(ctx, nil)
					if err != nil {
						return err
					}
					defer func() { _ = tx.Rollback() }()
					q := sqlitequeue.WithTx(b.q, tx)
					if err := q.Hold(ctx, job); err != nil {
						return err
					}
					if err := q.Delete(ctx, job); err != nil {
						return err
					}
					if c.commit {
						err = tx.Commit()
					} else {
						err = tx.Rollback()
					}
					if err != nil {
						return err
					}
					select {
					case <-time.After(c.after):
						return c.returns
					case <-ctx.Done():
						t.Errorf("the context ended: %v", context.Cause(ctx))
						return context.Cause(ctx)
					}
				})
				id := b.push()
				r := b.start(worker.Config{Timeout: -1, Backoff: worker.FixedBackoff(time.Hour)})
				pass(2 * time.Minute)
				r.stop()
				for line, times := range c.lines {
					b.logged(line, times)
				}
				b.logged("reservation lost", 0)
				if c.gone {
					b.gone(id)
				} else if b.job(id) == nil {
					t.Fatal("the job is gone")
				}
				if runs != 1 {
					t.Fatalf("ran %d times", runs)
				}
			})
		})
	}
}
