package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// raw is the job of untyped handlers.
type raw = worker.Job[json.RawMessage]

// answers is a handler that always returns err.
func answers(err error) worker.Handler {
	return func(context.Context, *raw) error { return err }
}

func TestC1_AttemptsCountFromOneAndTheHandlerReadsThem(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error {
			seen.add("%d", job.Attempts)
			if job.Attempts < 3 {
				return errBroken
			}
			return nil
		})
		id := b.push()
		r := b.start(worker.Config{Backoff: worker.FixedBackoff(time.Second)})
		within(t, time.Minute, "done", func() bool { return b.job(id) == nil })
		r.stop()
		seen.want(t, "1", "2", "3")
	})
}

func TestC2_TheReturnValueDecides(t *testing.T) {
	for name, c := range map[string]struct {
		returns error
		check   func(b *bench, id int64)
		line    string
	}{
		"nil":     {nil, func(b *bench, id int64) { b.gone(id) }, "processed"},
		"discard": {worker.Discard(), func(b *bench, id int64) { b.gone(id) }, "discarded"},
		"error":   {errBroken, func(b *bench, id int64) { b.waits(id, 1, 7*time.Second) }, "released"},
		"release": {worker.Release(time.Minute), func(b *bench, id int64) { b.waits(id, 1, time.Minute) }, "released"},
		"snooze":  {worker.Snooze(time.Minute), func(b *bench, id int64) { b.waits(id, 0, time.Minute) }, "snoozed"},
		"fail":    {worker.Fail(errBroken), func(b *bench, id int64) { b.wantFailed(id, "broken") }, "failed"},
		"fail for no reason": {
			worker.Fail(nil),
			func(b *bench, id int64) { b.wantFailed(id, "failed without a reason") }, "failed",
		},
		"wrapped": {
			fmt.Errorf("sending: %w", worker.Fail(errBroken)),
			func(b *bench, id int64) { b.wantFailed(id, "sending: broken") }, "failed",
		},
		"keep is no handler's": {worker.Keep(), func(b *bench, id int64) { b.waits(id, 1, 7*time.Second) }, "released"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(_ *testing.T, b *bench) {
				b.handle(answers(c.returns))
				id := b.push()
				b.drain(worker.Config{Backoff: worker.FixedBackoff(7 * time.Second)})
				c.check(b, id)
				b.logged(c.line, 1)
			})
		})
	}
}

// wantFailed checks that a job is among the failed jobs, for a reason.
func (b *bench) wantFailed(id int64, reason string) {
	b.t.Helper()
	if f := b.failed(id); f.Error != reason {
		b.t.Fatalf("job %d has failed with %q, want %q", id, f.Error, reason)
	}
}

func TestC2_ANegativeReleaseIsNow(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(_ context.Context, job *raw) error {
			seen.add("%d", job.Attempts)
			if job.Attempts == 1 {
				return worker.Release(-time.Hour)
			}
			return nil
		})
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			for _, s := range x.Settle {
				if s.Delay < 0 {
					t.Errorf("settled with a delay of %v", s.Delay)
				}
			}
			return nil
		}, nil)
		b.push()
		b.drain(worker.Config{})
		seen.want(t, "1", "2")
	})
}

func TestC3_ReleaseIsInPlace(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(worker.Release(time.Minute)))
		id := b.push(sqlqueue.Priority(3), sqlqueue.Unique("k"))
		before := b.job(id)
		b.drain(worker.Config{})
		after := b.job(id)
		if after == nil || after.CreatedAt != before.CreatedAt || after.Priority != 3 || after.UniqueKey != "k" {
			t.Fatalf("released as %+v, was %+v", after, before)
		}
	})
}

func TestC6_PanicAndGoexitAreErrorsWithTheirStack(t *testing.T) {
	for name, c := range map[string]struct {
		handler worker.Handler
		reason  string
	}{
		"panic":  {panics, "panic: out of luck"},
		"goexit": {exits, "the handler called runtime.Goexit"},
		"nil pointer": {
			func(context.Context, *raw) error { return goesNowhere(nil) },
			"panic: runtime error: invalid memory address or nil pointer dereference",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(c.handler)
				id := b.push(sqlqueue.Tries(1))
				again := b.push()
				b.drain(worker.Config{Backoff: worker.FixedBackoff(time.Minute)})
				b.wantFailed(id, c.reason)
				if f := b.failed(id); !strings.Contains(f.Stack, "outcome_test.go") {
					t.Fatalf("the stack does not name the handler's file:\n%s", f.Stack)
				}
				b.waits(again, 1, time.Minute)
			})
		})
	}
}

func panics(context.Context, *raw) error { panic("out of luck") }

func exits(context.Context, *raw) error { runtime.Goexit(); return nil }

//go:noinline
func goesNowhere(job *raw) error { job.ID = 1; return nil }

func TestC6_APanicKeepsItsError(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { panic(errBroken) })
		b.push(sqlqueue.Tries(1))
		told := 0
		b.drain(worker.Config{OnFailed: func(_ context.Context, _ *raw, err error) error {
			told++
			var p *worker.PanicError
			if !errors.Is(err, errBroken) || !errors.As(err, &p) || p.Stack == "" {
				t.Errorf("told %v", err)
			}
			return nil
		}})
		if told != 1 {
			t.Fatalf("told %d times", told)
		}
	})
}

// strange is an error that cannot be shown.
type strange struct{ *strings.Builder }

func (s strange) Error() string { return s.String() }

func TestC7_TextsOfFailedJobsCanBeStored(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"NUL":            {errors.New("a\x00b"), "ab"},
		"invalid UTF-8":  {errors.New("a\xff\xfeb\xc3"), "a\uFFFDb\uFFFD"},
		"long":           {errors.New(strings.Repeat("x", 1<<20)), strings.Repeat("x", 16<<10)},
		"cut in a rune":  {errors.New("x" + strings.Repeat("é", 1<<20)), ""},
		"long and wrong": {errors.New(strings.Repeat("\xffx", 1<<20)), ""},
		"empty":          {errors.New(""), ""},
		"not to be shown": {
			strange{}, "an error that cannot be shown: its method Error panics",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(answers(worker.Fail(c.err)))
				id := b.push()
				b.drain(worker.Config{})
				f := b.failed(id)
				if c.want != "" && f.Error != c.want {
					t.Fatalf("stored %.100q (%d bytes)", f.Error, len(f.Error))
				}
				if len(f.Error) > 16<<10 || !utf8.ValidString(f.Error) || strings.ContainsRune(f.Error, 0) {
					t.Fatalf("stored %d bytes, %.100q", len(f.Error), f.Error)
				}
			})
		})
	}
}

func TestC7_ALongStackIsCut(t *testing.T) {
	var deep func(n int) error
	deep = func(n int) error {
		if n == 0 {
			panic(strings.Repeat("deep ", 20<<10))
		}
		return deep(n - 1)
	}
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return deep(10) })
		id := b.push(sqlqueue.Tries(1))
		b.drain(worker.Config{})
		if f := b.failed(id); len(f.Stack) > 64<<10 || len(f.Error) > 16<<10 {
			t.Fatalf("stored a stack of %d and an error of %d bytes", len(f.Stack), len(f.Error))
		}
	})
}

func TestC9_AnUnknownNameIsPutBackWithoutSpendingTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var released int
		b.handle(answers(nil))
		id, err := b.q.Push(t.Context(), sqlqueue.Named("stranger", nil), sqlqueue.Tries(1))
		if err != nil {
			t.Fatal(err)
		}
		r := b.start(worker.Config{Events: worker.Events{
			Released: func(_ worker.JobInfo, result worker.Result) {
				if errors.Is(result.Err, worker.ErrNoHandler) {
					released++
				}
			},
			Processed: func(worker.JobInfo, worker.Result) { t.Error("processed") },
		}})
		within(t, time.Second, "put back", func() bool { return len(b.log.find("no handler")) == 1 })
		b.waits(id, 0, 59990*time.Millisecond)
		pass(150 * time.Second)
		lines := b.log.find("no handler")
		if len(lines) != 3 || released != 3 || lines[2]["count"] != 3.0 || lines[2]["name"] != "stranger" || lines[2]["level"] != "WARN" {
			t.Fatalf("put back %d times, logged %v", released, lines)
		}
		if job := b.job(id); job == nil || job.Attempts != 0 {
			t.Fatalf("the job is now %+v", job)
		}
		r.stop()
	})
}

func TestC9_HandleAllTakesWhatNobodyElseDoes(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		b.handle(func(context.Context, *raw) error { seen.add("own"); return nil })
		b.mux.HandleAll(func(_ context.Context, job *raw) error { seen.add("all: %s %s", job.Name, job.Data); return nil })
		b.push()
		if _, err := b.q.Push(t.Context(), sqlqueue.Named("stranger", []int{1})); err != nil {
			t.Fatal(err)
		}
		b.drain(worker.Config{Concurrency: 1})
		seen.want(t, "own", "all: stranger [1]")
	})
}

func TestC9_WhatCannotBeReadFailsAtOnceWithTheReason(t *testing.T) {
	for name, c := range map[string]struct{ payload, reason string }{
		"no object":       {`[1]`, "payload is not an object"},
		"no name":         {`{"data": {}}`, `payload has no "job"`},
		"a broken option": {`{"job": "job", "tries": "many"}`, "payload: json"},
		"data of a different kind": {
			`{"job": "with_failed", "data": {"answer": 5}}`, `data of job "with_failed": json: cannot unmarshal number`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
				worker.Handle(b.mux, func(context.Context, *worker.Job[withFailed]) error { t.Error("runs"); return nil })
				id := b.raw(c.payload)
				b.drain(worker.Config{})
				if f := b.failed(id); !strings.HasPrefix(f.Error, c.reason) {
					t.Fatalf("failed with %q", f.Error)
				}
			})
		})
	}
}

func TestC10_MaxExceptions(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error // of one run after the other
		runs    int
		reason  string
	}{
		"errors count": {
			answers: []error{errBroken, errBroken, nil}, runs: 2, reason: "broken (error 2 of at most 2)",
		},
		"releases and snoozes do not count": {
			answers: []error{worker.Release(0), errBroken, worker.Snooze(0), worker.Release(0), nil}, runs: 5,
		},
		"the last may be late": {
			answers: []error{errBroken, worker.Release(0), worker.Release(0), errBroken}, runs: 4, reason: "broken (error 2 of at most 2)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				runs := 0
				b.handle(func(_ context.Context, job *raw) error {
					runs++
					if want := countOf(c.answers[:runs-1], errBroken); job.Exceptions != want {
						t.Errorf("run %d knows of %d errors, want %d", runs, job.Exceptions, want)
					}
					return c.answers[runs-1]
				})
				id := b.push(sqlqueue.MaxExceptions(2))
				b.drain(worker.Config{Backoff: worker.FixedBackoff(0)})
				if runs != c.runs {
					t.Fatalf("ran %d times, want %d", runs, c.runs)
				}
				if c.reason == "" {
					b.gone(id)
				} else {
					b.wantFailed(id, c.reason)
				}
			})
		})
	}
	t.Run("0 is no limit", func(t *testing.T) {
		bubble(t, func(_ *testing.T, b *bench) {
			b.handle(answers(errBroken))
			id := b.push(sqlqueue.Tries(3))
			b.drain(worker.Config{Backoff: worker.FixedBackoff(0)})
			b.wantFailed(id, "broken")
		})
	})
}

func countOf(errs []error, which error) (n int) {
	for _, err := range errs {
		n += b2i(errors.Is(err, which))
	}
	return n
}

func TestC10_NoRunStartsAfterRetryUntil(t *testing.T) {
	t.Run("it has passed", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
			id := b.push(sqlqueue.RetryUntil(time.Now().Add(time.Minute)))
			pass(time.Hour)
			b.drain(worker.Config{})
			if f := b.failed(id); !strings.Contains(f.Error, "no run may start after") {
				t.Fatalf("failed with %q", f.Error)
			}
		})
	})
	t.Run("it would pass", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(answers(errBroken))
			id := b.push(sqlqueue.RetryUntil(time.Now().Add(150 * time.Second)))
			r := b.start(worker.Config{Backoff: worker.FixedBackoff(time.Minute)})
			within(t, time.Hour, "failed", func() bool { return b.job(id) == nil })
			r.stop()
			f := b.failed(id)
			if f.Attempts != 3 || !strings.Contains(f.Error, "broken (no run may start after") {
				t.Fatalf("failed after %d attempts with %q", f.Attempts, f.Error)
			}
		})
	})
}
