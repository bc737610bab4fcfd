package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestC4_TheHandlerRunsAtMostTriesTimes(t *testing.T) {
	for name, c := range map[string]struct {
		worker int
		own    []sqlqueue.PushOption
		runs   int
		fails  bool
	}{
		"the worker's":               {worker: 3, runs: 3, fails: true},
		"default":                    {runs: 25, fails: true},
		"the job's beats the worker": {worker: 3, own: []sqlqueue.PushOption{sqlqueue.Tries(5)}, runs: 5, fails: true},
		"no limit":                   {worker: -1, runs: 40},
		"the job has no limit":       {worker: 3, own: []sqlqueue.PushOption{sqlqueue.Tries(0)}, runs: 40},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				runs := 0
				b.handle(func(_ context.Context, job *raw) error {
					if runs++; runs == 40 {
						return nil
					}
					return fmt.Errorf("error %d", job.Attempts)
				})
				id := b.push(c.own...)
				b.drain(worker.Config{Tries: c.worker, Backoff: worker.FixedBackoff(0)})
				if runs != c.runs {
					t.Fatalf("ran %d times, want %d", runs, c.runs)
				}
				if !c.fails {
					b.gone(id)
					return
				}
				b.wantFailed(id, fmt.Sprintf("error %d", c.runs))
				if f := b.failed(id); f.Attempts != c.runs {
					t.Fatalf("failed with %d attempts, want %d", f.Attempts, c.runs)
				}
			})
		})
	}
}

func TestC4_AJobWhoseWorkerDiedOnTheLastTryFailsWithoutRunning(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
		id := b.push(sqlqueue.Tries(1))
		b.begin(b.reserve("dead-1", time.Second), time.Second) // and says no more
		pass(2 * time.Second)
		b.drain(worker.Config{})
		if f := b.failed(id); !strings.Contains(f.Error, "no try is left") || f.Attempts != 2 {
			t.Fatalf("failed with %q after %d attempts", f.Error, f.Attempts)
		}
	})
}

// Between the death and the end comes a worker that stops when it has just reserved the job.
func TestC4_AGiveBackDoesNotBringTheLastTryBack(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
		id := b.push(sqlqueue.Tries(1))
		b.begin(b.reserve("dead-1", time.Second), time.Second) // and says no more
		pass(2 * time.Second)
		b.requeue()
		r := b.startAndStopAtTheFirstJob()
		if err := r.ended(); err != nil {
			t.Fatal(err)
		}
		if job := b.job(id); job.Reserved || !job.Started || job.Attempts != 1 {
			t.Fatalf("given back as %+v", job)
		}
		b.store.intercept(nil, nil)
		b.store.check = nil
		b.drain(worker.Config{})
		if f := b.failed(id); !strings.Contains(f.Error, "no try is left") {
			t.Fatalf("failed with %q after %d attempts", f.Error, f.Attempts)
		}
	})
}

// A worker tells of a last try before the handler begins: who died before that has not used it up.
func TestC4_AJobThatWasNeverStartedKeepsItsLastTry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error {
			seen.add("attempt %d, started %v", job.Attempts, b.job(job.ID).Started) //nolint:contextcheck // the test's
			return errBroken
		})
		id := b.push(sqlqueue.Tries(2))
		for n := range 5 {
			b.reserve(fmt.Sprintf("dead-%d", n), time.Second)
			pass(2 * time.Second)
			b.requeue()
		}
		b.drain(worker.Config{})
		seen.want(t, "attempt 6, started true")
		b.wantFailed(id, "broken")
	})
}

// Only what begins at once is told: whatever waits for a slot must not pay for the death of its worker.
func TestC4_WhatWaitsForASlotIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var running, ran atomic.Int32
		b.handle(func(context.Context, *raw) error {
			running.Add(1)
			pass(time.Millisecond)
			running.Add(-1)
			ran.Add(1)
			return nil
		})
		for range 300 {
			b.push(sqlqueue.Tries(1))
		}
		b.store.intercept(nil, func(x driver.Exchange, _ *driver.Exchanged) error {
			told := 0
			for _, touch := range x.Touch {
				told += b2i(touch.Start)
			}
			if told += int(running.Load()); told > 2 {
				t.Errorf("%d are told of or run, with two slots", told)
			}
			return nil
		})
		b.drain(worker.Config{Concurrency: 2})
		if n := ran.Load(); n != 300 {
			t.Errorf("%d ran", n)
		}
	})
}

func TestC4_AStartThatCannotBeToldWaits(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		const first = 1
		b.handle(func(_ context.Context, job *raw) error {
			if job.ID == first {
				seen.add("ran")
			}
			return nil
		})
		var locked atomic.Bool
		var told atomic.Int32
		locked.Store(true)
		b.store.intercept(nil, func(x driver.Exchange, answer *driver.Exchanged) error {
			for _, touch := range x.Touch {
				if locked.Load() {
					told.Add(1)
					answer.Locked = append(answer.Locked, touch.Reservation)
				}
			}
			return nil
		})
		b.push(sqlqueue.Tries(1))
		r := b.start(worker.Config{})
		for range 45 { // others come and go meanwhile
			b.push()
			pass(20 * time.Millisecond)
		}
		seen.want(t)
		if n := told.Load(); n < 2 || n > 4 {
			t.Errorf("it tried %d times in 900 ms to tell, want one each 250 ms", n)
		}
		locked.Store(false)
		within(t, 5*time.Second, "done", func() bool { return b.job(first) == nil })
		r.stop()
		seen.want(t, "ran")
	})
}

// begin tells of the start of a job's last try as its worker.
func (b *bench) begin(job sqlqueue.Job, expire time.Duration) {
	b.t.Helper()
	x := driver.Exchange{Touch: []driver.Touch{{Reservation: job.Reservation(), Expire: expire, Start: true}}}
	if answer, err := b.q.Exchange(b.t.Context(), x); err != nil || len(answer.Lost) > 0 {
		b.t.Fatalf("%+v, %v", answer, err)
	}
}

func (b *bench) requeue() {
	b.t.Helper()
	if answer, err := b.q.Exchange(b.t.Context(), driver.Exchange{Requeue: 100}); err != nil || answer.Requeued == 0 {
		b.t.Fatalf("requeued %d, %v", answer.Requeued, err)
	}
}

// reserve reserves one job as another worker.
func (b *bench) reserve(number string, expire time.Duration) sqlqueue.Job {
	b.t.Helper()
	answer, err := b.q.Exchange(b.t.Context(), driver.Exchange{
		Number: number, Limit: 1, Reserve: []driver.Reserve{{Queue: "default", Expire: expire}},
	})
	if err != nil || len(answer.Reserved) != 1 {
		b.t.Fatalf("reserved %d jobs: %v", len(answer.Reserved), err)
	}
	return answer.Reserved[0]
}

func TestC4_ReleaseOnTheLastTryFails(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(worker.Release(time.Minute)))
		id := b.push(sqlqueue.Tries(1))
		b.drain(worker.Config{})
		b.wantFailed(id, "released for 1m0s on its last try, 1 of 1")
	})
}

func TestC4_OnceRunsALastTry(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push(sqlqueue.Tries(1))
		if err := b.start(worker.Config{Once: true}).ended(); err != nil {
			b.t.Fatal(err)
		}
		b.gone(id)
	})
}
