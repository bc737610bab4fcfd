package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// remote makes the bench's handlers those of another process, as far as a process can tell: requests and answers are bytes.
func (b *bench) remote(onFailed worker.FailedFunc) {
	handlers := b.mux
	b.mux = handlers.Remote(func(ctx context.Context, _ worker.JobInfo, request []byte) ([]byte, error) {
		return handlers.RunPacked(ctx, request, nil, onFailed), nil
	})
}

// counted is a job whose data has a type.
type counted struct{ N int }

func (counted) JobName() string { return "counted" }

// What becomes of a job is the same, whether its handler runs here or elsewhere.
func TestD4_OutcomesOfARemoteHandler(t *testing.T) {
	type became struct {
		Job    *sqlqueue.Job
		Wait   time.Duration
		Failed []string
		Stack  bool
		Ran    string // what was logged
	}
	typed := func(mux *worker.Mux) {
		worker.Handle(mux, func(context.Context, *worker.Job[counted]) error { return errors.New("ran") })
	}
	returns := func(err error) func(*worker.Mux) {
		return func(mux *worker.Mux) { mux.HandleFunc("job", answers(err)) }
	}
	for name, c := range map[string]struct {
		register func(*worker.Mux)
		payload  string // default: of a job "job"
	}{
		"nil":                {register: returns(nil)},
		"error":              {register: returns(errBroken)},
		"error, not UTF-8":   {register: returns(errors.New("a\xffb\x00c"))},
		"error of no text":   {register: returns(errors.New(""))},
		"release":            {register: returns(worker.Release(time.Minute))},
		"snooze":             {register: returns(worker.Snooze(time.Minute))},
		"discard":            {register: returns(worker.Discard())},
		"fail":               {register: returns(worker.Fail(errBroken))},
		"fail for no reason": {register: returns(worker.Fail(nil))},
		"keep":               {register: returns(worker.Keep())},
		"wrapped":            {register: returns(fmt.Errorf("sending: %w", worker.Fail(errBroken)))},
		"panic": {register: func(mux *worker.Mux) {
			mux.HandleFunc("job", func(context.Context, *raw) error { panic(errBroken) })
		}},
		"panic on the last try": {
			payload: `{"job":"job","tries":1}`,
			register: func(mux *worker.Mux) {
				mux.HandleFunc("job", func(context.Context, *raw) error { panic("oh") })
			},
		},
		"Goexit on the last try": {
			payload: `{"job":"job","tries":1}`,
			register: func(mux *worker.Mux) {
				mux.HandleFunc("job", func(context.Context, *raw) error { runtime.Goexit(); return nil })
			},
		},
		"unknown name":      {payload: `{"job":"nobody"}`, register: returns(nil)},
		"undecodable data":  {payload: `{"job":"counted","data":{"N":"x"}}`, register: typed},
		"typed":             {payload: ` {"data": {"N":1},  "job":"counted"} `, register: typed},
		"error that panics": {register: returns(textPanics{})},
		"middleware": {register: func(mux *worker.Mux) {
			mux.HandleFunc("job", answers(nil))
			mux.Use(func(worker.Handler) worker.Handler { return answers(errBroken) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(elsewhere bool) (got became) {
				bubble(t, func(t *testing.T, b *bench) {
					c.register(b.mux)
					if elsewhere {
						b.remote(nil)
					}
					id := b.push()
					if c.payload != "" {
						if _, err := b.db.ExecContext(t.Context(), `UPDATE jobs SET payload = ?`, c.payload); err != nil {
							t.Fatal(err)
						}
					}
					b.drain(worker.Config{Backoff: worker.FixedBackoff(7 * time.Second)})
					if got.Job = b.job(id); got.Job != nil {
						got.Wait = time.Until(got.Job.AvailableAt)
						got.Job.AvailableAt, got.Job.CreatedAt = time.Time{}, time.Time{}
					}
					for _, f := range b.failures() {
						got.Failed = append(got.Failed, f.Error)
						got.Stack = strings.Contains(f.Stack, "remote_test.go")
					}
					for _, line := range b.log.lines("") {
						if line["id"] != nil && line["msg"] != "processing" {
							got.Ran += fmt.Sprintln(line["msg"], line["level"], line["name"], line["delay"], line["error"])
						}
					}
				})
				return got
			}
			if here, there := run(false), run(true); !reflect.DeepEqual(here, there) || here.Ran == "" {
				t.Errorf("here it became\n%+v\nelsewhere\n%+v", here, there)
			}
		})
	}
}

// textPanics is an error that cannot be shown.
type textPanics struct{}

func (textPanics) Error() string { panic("no text") }

// The handler elsewhere knows the job, and what it needs to hold and complete it.
func TestD4_ARemoteHandlerKnowsItsJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const payload = `{"data": {"b":1, "a":"\u00e9"},  "job":"job", "more":[1]}`
		id := b.raw(payload)
		var seen *raw
		b.handle(func(_ context.Context, job *raw) error { seen = job; return nil })
		b.remote(nil)
		var reserved sqlqueue.Job
		b.store.intercept(nil, func(_ driver.Exchange, answer *driver.Exchanged) error {
			if len(answer.Reserved) > 0 {
				reserved = answer.Reserved[0]
			}
			return nil
		})
		b.drain(worker.Config{})
		b.gone(id)
		if string(seen.Payload) != payload || string(seen.Data) != `{"b":1, "a":"\u00e9"}` || seen.Name != "job" || seen.Attempts != 1 ||
			seen.Queue != "default" || !seen.CreatedAt.Equal(reserved.CreatedAt) || !seen.AvailableAt.Equal(reserved.AvailableAt) ||
			seen.Reservation() != reserved.Reservation() {
			t.Errorf("the job is %+v, reserved was %+v", seen, reserved)
		}
	})
}

// A job that its handler elsewhere has completed is not taken for lost.
func TestF3_ARemoteHandlerCompletesItsJob(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(func(ctx context.Context, job *raw) error { return b.q.Delete(ctx, job) })
		b.remote(nil)
		id := b.push()
		b.drain(worker.Config{})
		b.gone(id)
		b.logged("processed", 1)
		b.logged("reservation lost", 0)
	})
}

// The end of the context comes with the same cause, and the deadline is known before.
func TestD4_TheContextOfARemoteHandler(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(ctx context.Context, _ *raw) error {
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left != 10*time.Second {
				t.Errorf("the deadline is in %v, %t", left, ok)
			}
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), worker.ErrTimedOut) {
				t.Errorf("the cause is %v", context.Cause(ctx))
			}
			return context.Cause(ctx)
		})
		handlers := b.mux
		b.mux = handlers.Remote(func(ctx context.Context, _ worker.JobInfo, request []byte) ([]byte, error) {
			elsewhere, end := context.WithCancelCause(context.WithoutCancel(ctx))
			defer context.AfterFunc(ctx, func() { end(errors.New(context.Cause(ctx).Error())) })()
			return handlers.RunPacked(elsewhere, request, nil, nil), nil
		})
		id := b.push(sqlqueue.Tries(1))
		b.drain(worker.Config{Timeout: 10 * time.Second})
		b.wantFailed(id, "timed out after 10s")
	})
}

// told is a job that hears of its failure.
type told struct{ Says string }

func (told) JobName() string { return "told" }

var heard notes

func (f *told) Failed(ctx context.Context, err error) error {
	info, _ := worker.InfoFrom(ctx)
	var panicked *worker.PanicError
	heard.add("Failed %d: %s %v %t", info.Attempts, f.Says, err, errors.As(err, &panicked))
	switch f.Says {
	case "discard":
		return worker.Discard()
	case "wrong":
		return errBroken
	case "panic":
		panic("in Failed")
	}
	return nil
}

// Failures are told elsewhere too, and what the callbacks answer decides.
func TestC8_RemoteCallbacks(t *testing.T) {
	for says, c := range map[string]struct {
		answer     error // of OnFailed
		wrong      int   // callbacks, in the log
		left, fail int
		calls      []string
	}{
		"nil":     {fail: 1, calls: []string{"Failed", "OnFailed"}},
		"discard": {calls: []string{"Failed"}},
		"wrong":   {fail: 1, wrong: 1, calls: []string{"Failed", "OnFailed"}},
		"panic":   {fail: 1, wrong: 1, calls: []string{"Failed", "OnFailed"}},
		"kept":    {answer: worker.Keep(), left: 1, calls: []string{"Failed", "OnFailed"}},
	} {
		t.Run(says, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				heard = notes{}
				worker.Handle(b.mux, func(context.Context, *worker.Job[told]) error { panic("the handler") })
				b.remote(func(_ context.Context, job *worker.Job[json.RawMessage], err error) error {
					heard.add("OnFailed %d: %s %v", job.Attempts, job.Name, err)
					return c.answer
				})
				if _, err := b.q.Push(t.Context(), told{says}, sqlqueue.Tries(1)); err != nil {
					t.Fatal(err)
				}
				b.drain(worker.Config{})
				want := []string{
					fmt.Sprintf("Failed 1: %s panic: the handler true", says), "OnFailed 1: told panic: the handler",
				}[:len(c.calls)]
				heard.want(t, want...)
				b.logged("callback of a failed job went wrong", c.wrong)
				if n := len(b.failures()); n != c.fail {
					t.Errorf("%d failed jobs, want %d", n, c.fail)
				}
				jobs, err := operator.New(b.q).Jobs(t.Context(), operator.JobFilter{})
				if err != nil || len(jobs) != c.left {
					t.Errorf("left are %+v, %v", jobs, err)
				}
			})
		})
	}
}

// A call that fails is the job's error; bytes of something else are told as such.
func TestD4_ARemoteCallThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		call func(mux *worker.Mux) worker.RemoteCall
		want string
	}{
		"error": {func(*worker.Mux) worker.RemoteCall {
			return func(context.Context, worker.JobInfo, []byte) ([]byte, error) { return nil, errBroken }
		}, "broken"},
		"answer": {func(*worker.Mux) worker.RemoteCall {
			return func(context.Context, worker.JobInfo, []byte) ([]byte, error) { return []byte("{"), nil }
		}, "an answer that is not of Mux.RunPacked"},
		"request": {func(mux *worker.Mux) worker.RemoteCall {
			return func(ctx context.Context, _ worker.JobInfo, _ []byte) ([]byte, error) {
				return mux.RunPacked(ctx, nil, nil, nil), nil
			}
		}, "a request that is not of Mux.Remote"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(answers(nil))
				b.mux = b.mux.Remote(c.call(b.mux))
				id := b.push(sqlqueue.Tries(1))
				b.drain(worker.Config{})
				if f := b.failed(id); !strings.Contains(f.Error, c.want) {
					t.Errorf("the error is %q", f.Error)
				}
			})
		})
	}
}

// What is wrong with the handlers is told where the worker starts.
func TestD4_ARemoteMuxTellsWhatIsWrong(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.remote(nil)
		if err := b.start(worker.Config{}).ended(); err == nil || !strings.Contains(err.Error(), "no handlers") {
			t.Errorf("Run returned %v", err)
		}
	})
}
