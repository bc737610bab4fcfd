package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/worker"
)

// withFailed is a job whose data has a method Failed.
type withFailed struct {
	Answer string `json:"answer"`
}

func (withFailed) JobName() string { return "with_failed" }

func (w *withFailed) Failed(ctx context.Context, err error) error {
	info, ok := worker.InfoFrom(ctx)
	if !ok || info.Name != "with_failed" || info.Queue != "default" || info.Attempts != 1 || !errors.Is(err, errBroken) {
		return fmt.Errorf("told of %+v, %w", info, err)
	}
	switch w.Answer {
	case "discard":
		return worker.Discard()
	case "keep":
		return worker.Keep()
	case "panic":
		panic("no")
	case "goexit":
		runtime.Goexit()
	case "error":
		return errors.New("callback broken")
	}
	return nil
}

func TestC8_FailureCallbacksDecide(t *testing.T) {
	bury := func(b *bench, id int64) { b.wantFailed(id, "broken") }
	gone := func(b *bench, id int64) { b.gone(id) }
	kept := func(b *bench, id int64) {
		if job := b.job(id); job == nil || !job.Reserved {
			b.t.Fatalf("kept as %+v", job)
		}
	}
	for name, c := range map[string]struct {
		own    string // what the data's own method answers
		global error  // what the hook answers
		check  func(b *bench, id int64)
		broken int // callbacks that went wrong
	}{
		"bury":                       {"", nil, bury, 0},
		"own discards":               {"discard", nil, gone, 0},
		"own keeps":                  {"keep", nil, kept, 0},
		"own panics":                 {"panic", nil, bury, 1},
		"own ends the goroutine":     {"goexit", nil, bury, 1},
		"own errs":                   {"error", nil, bury, 1},
		"hook discards":              {"", worker.Discard(), gone, 0},
		"hook keeps":                 {"", worker.Keep(), kept, 0},
		"hook errs":                  {"", errors.New("hook broken"), bury, 1},
		"own is broken, hook is not": {"panic", worker.Discard(), gone, 1},
		"the first one decides":      {"discard", worker.Keep(), gone, 0},
		"others' outcomes are none":  {"", worker.Release(0), bury, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				worker.Handle(b.mux, func(context.Context, *worker.Job[withFailed]) error { return worker.Fail(errBroken) })
				id, err := b.q.Push(t.Context(), withFailed{c.own})
				if err != nil {
					t.Fatal(err)
				}
				b.drain(worker.Config{OnFailed: func(_ context.Context, job *raw, err error) error {
					if job.ID != id || string(job.Data) == "" || !errors.Is(err, errBroken) {
						t.Errorf("told of %+v, %v", job, err)
					}
					return c.global
				}})
				c.check(b, id)
				b.logged("failed", 1)
				b.logged("callback of a failed job went wrong", c.broken)
			})
		})
	}
}

func TestC8_CallbacksAreToldOfJobsThatNeverRan(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.raw(`{"data": 1}`)
		told := 0
		b.drain(worker.Config{OnFailed: func(_ context.Context, _ *raw, err error) error {
			told++
			if !strings.Contains(err.Error(), `no "job"`) {
				t.Errorf("told %v", err)
			}
			return nil
		}})
		if told != 1 {
			t.Fatalf("told %d times", told)
		}
	})
}
