package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// work runs a worker until its queues are empty.
func (b *bench) work(queues ...string) {
	b.t.Helper()
	if err := worker.New(b.q, b.mux, worker.Config{
		Queues: queues, StopWhenEmpty: true, Name: "the worker",
	}).Run(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) finished() []operator.FinishedJob {
	b.t.Helper()
	jobs, err := operator.New(b.q).FinishedJobs(b.t.Context(), operator.FinishedFilter{})
	if err != nil {
		b.t.Fatal(err)
	}
	return jobs
}

// A job is kept because it says so, or because an operator said so of its queue; its own word counts more.
func TestKeep(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			switch job.Name {
			case "fails":
				return worker.Fail(errors.New("no luck"))
			case "discards":
				_ = job.SetResult("not to be seen")
				return worker.Discard()
			case "twice":
				if job.Attempts == 1 {
					_ = job.SetResult("of the first run")
					return worker.Release(0)
				}
			}
			pass(time.Second)
			return job.SetResult(map[string]any{"name": job.Name})
		})
		o := operator.New(b.q)
		if err := o.SetKeep(t.Context(), operator.Keep{Queue: "mail/*", For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		push := func(name string, options ...sqlqueue.PushOption) {
			t.Helper()
			if _, err := b.q.Push(t.Context(), sqlqueue.Named(name, nil), options...); err != nil {
				t.Fatal(err)
			}
		}
		push("plain")
		push("own", sqlqueue.Keep(time.Minute))
		push("twice", sqlqueue.Keep(time.Minute))
		push("fails", sqlqueue.Keep(time.Minute))
		push("discards", sqlqueue.Keep(time.Minute))
		push("queue", sqlqueue.OnQueue("mail/1"))
		push("not", sqlqueue.OnQueue("mail/1"), sqlqueue.Keep(0))
		began := time.Now()
		b.work("default", "mail/*")
		kept := map[string]operator.FinishedJob{}
		for _, j := range b.finished() {
			kept[j.Name] = j
		}
		for name, d := range map[string]time.Duration{
			"own": time.Minute, "twice": time.Minute, "discards": time.Minute, "queue": time.Hour,
		} {
			j, ok := kept[name]
			delete(kept, name)
			if !ok {
				t.Errorf("%s is not kept", name)
				continue
			}
			want, outcome := fmt.Sprintf(`{"name":%q}`, name), driver.Done
			if name == "discards" {
				want, outcome = "", driver.Discarded
			}
			if string(j.Result) != want || j.Outcome != outcome || j.Worker != "the worker" || j.KeepUntil.Sub(j.FinishedAt) != d {
				t.Errorf("%s: %+v", name, j)
			}
			if name == "own" && (j.StartedAt.Before(began.Truncate(time.Microsecond)) || j.FinishedAt.Sub(j.StartedAt) < time.Second) {
				t.Errorf("%s began at %v and ended at %v", name, j.StartedAt, j.FinishedAt)
			}
		}
		if len(kept) > 0 {
			t.Errorf("kept, too: %v", kept)
		}
	})
}

// Nothing is added to an exchange for jobs that are not kept.
func TestNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error { return job.SetResult(1) })
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			for _, s := range x.Settle {
				if s.Keep != nil {
					t.Errorf("job %d is kept: %+v", s.ID, s.Keep)
				}
			}
			return nil
		}, nil)
		b.push()
		b.work()
		if jobs := b.finished(); jobs != nil {
			t.Errorf("kept: %v", jobs)
		}
	})
}

// A handler that completes its job in its own transaction keeps it there, with the result that it has by then.
func TestKeepCompletedByItsHandler(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
			if err := job.SetResult(7); err != nil {
				return err
			}
			tx, err := b.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if err := sqlitequeue.WithTx(b.q, tx).Delete(ctx, job); err != nil {
				return err
			}
			return tx.Commit()
		})
		id := b.push(sqlqueue.Keep(time.Hour))
		b.work()
		jobs := b.finished()
		if len(jobs) != 1 || jobs[0].ID != id || string(jobs[0].Result) != "7" || jobs[0].Outcome != driver.Done {
			t.Errorf("kept: %+v", jobs)
		}
	})
}

// Wait goes on while a job is tried again, and returns the result of its last run.
func TestWait(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			if job.Attempts < 3 {
				return errors.New("not yet")
			}
			return job.SetResult(job.Attempts)
		})
		id := b.push(sqlqueue.Keep(time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() { _ = worker.New(b.q, b.mux, worker.Config{}).Run(ctx) }()
		job, err := b.q.Wait(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		var attempts int
		if err := job.ReadResult(&attempts); err != nil || attempts != 3 {
			t.Errorf("the result is %d, %v", attempts, err)
		}
	})
}

// Progress is written about once a second, with a touch, however often a handler tells of it; and no exchange comes only for that: there
// are hardly more, as those that touch shift the times of others.
func TestProgress(t *testing.T) {
	run := func(t *testing.T, tells bool) (exchanges, written int, last driver.Progress) {
		bubble(t, func(_ *testing.T, b *bench) {
			b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
				for i := range 1000 {
					pass(10 * time.Millisecond)
					if tells {
						job.Progress(float64(i)/1000, strings.Repeat("é", 300))
					}
				}
				return nil
			})
			b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
				exchanges++
				for _, touch := range x.Touch {
					if touch.Progress != nil {
						written, last = written+1, *touch.Progress
					}
				}
				return nil
			}, nil)
			b.push()
			b.work()
		})
		return exchanges, written, last
	}
	silent, none, _ := run(t, false)
	telling, written, last := run(t, true)
	if none != 0 || written < 7 || written > 11 || telling > silent+written/2 {
		t.Errorf("%d exchanges, with progress %d, of which %d have some", silent, telling, written)
	}
	if last.Fraction < 0.8 || last.Fraction > 1 || last.Text != strings.Repeat("é", driver.ProgressMost) {
		t.Errorf("the last is %+v", last)
	}
}

func TestProgressOutOfRange(t *testing.T) {
	for given, want := range map[float64]float64{-1: 0, 2: 1, math.Inf(1): 1, math.NaN(): 0, 0.5: 0.5} {
		bubble(t, func(t *testing.T, b *bench) {
			got := -1.0
			b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
				job.Progress(given, "a\x00b\xff")
				pass(5 * time.Second)
				return nil
			})
			b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
				for _, touch := range x.Touch {
					if p := touch.Progress; p != nil {
						if got = p.Fraction; p.Text != "ab\uFFFD" {
							t.Errorf("text %q", p.Text)
						}
					}
				}
				return nil
			}, nil)
			b.push()
			b.work()
			if got != want {
				t.Errorf("%v was written as %v, want %v", given, got, want)
			}
		})
	}
}

func TestResultThatCannotBeKept(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			for want, v := range map[string]any{
				"it may have 65536": strings.Repeat("x", 64<<10), "not JSON": json.RawMessage("{"), "unsupported type": func() {},
			} {
				if err := job.SetResult(v); err == nil || want != "not JSON" && !strings.Contains(err.Error(), want) {
					t.Errorf("want an error with %q, got %v", want, err)
				}
			}
			return nil
		})
		b.push(sqlqueue.Keep(time.Hour))
		b.work()
		if jobs := b.finished(); len(jobs) != 1 || jobs[0].Result != nil {
			t.Errorf("kept: %+v", jobs)
		}
	})
}
