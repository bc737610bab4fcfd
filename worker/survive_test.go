package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// mean is an error whose methods do what a test says.
type mean struct {
	text   func() string
	as     func(any) bool
	is     func(error) bool
	unwrap func() error
}

func (m *mean) Error() string {
	if m.text == nil {
		return "mean"
	}
	return m.text()
}
func (m *mean) As(target any) bool   { return m.as != nil && m.as(target) }
func (m *mean) Is(target error) bool { return m.is != nil && m.is(target) }
func (m *mean) Unwrap() error {
	if m.unwrap == nil {
		return nil
	}
	return m.unwrap()
}

// harm is what the application's code does instead of returning.
var harm = map[string]func(){
	"panic":     func() { panic("no") },
	"panic nil": func() { panic(&mean{text: func() string { panic("not even this") }}) },
	"goexit":    runtime.Goexit,
}

// TestC6_CodeOfTheApplicationThatDoesNotReturn: the case that was reported is a Backoff that calls
// runtime.Goexit: its failed job was deleted as if it had been done.
func TestC6_CodeOfTheApplicationThatDoesNotReturn(t *testing.T) {
	for how, harm := range harm {
		for name, c := range map[string]struct {
			config worker.Config
			err    error
		}{
			"Backoff": {worker.Config{Backoff: func(int) time.Duration { harm(); return 0 }}, errBroken},
			"Error":   {worker.Config{}, &mean{text: func() string { harm(); return "" }}},
			"As":      {worker.Config{}, &mean{as: func(any) bool { harm(); return true }}},
			"Is": {worker.Config{Timeout: time.Second}, &mean{is: func(error) bool {
				harm()
				return true
			}}},
			"Unwrap": {worker.Config{}, &mean{unwrap: func() error { harm(); return nil }}},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T, b *bench) {
					b.handle(func(ctx context.Context, job *raw) error {
						if job.ID > 2 {
							return nil
						}
						if name == "Is" {
							<-ctx.Done()
						}
						return c.err
					})
					retried, last := b.push(), b.push(sqlqueue.Tries(1))
					r := b.start(c.config)
					within(t, time.Minute, "both have run", func() bool {
						job := b.job(retried)
						return job.Attempts > 0 && !job.Reserved && b.job(last) == nil
					})
					if f := b.failed(last); f.Error == "" {
						t.Error("failed without a reason")
					}
					fine := b.push()
					within(t, time.Minute, "the next job is done", func() bool { return b.job(fine) == nil })
					r.stop()
				})
			})
		}
	}
}

func TestC6_NonsenseFromTheApplication(t *testing.T) {
	var none *worker.PanicError
	for name, c := range map[string]struct {
		backoff worker.Backoff
		err     error
		delay   time.Duration
	}{
		"a negative wait":              {worker.FixedBackoff(math.MinInt64), errBroken, 0},
		"a huge wait":                  {worker.FixedBackoff(math.MaxInt64), errBroken, 100 * 365 * 24 * time.Hour},
		"a huge release":               {nil, worker.Release(math.MaxInt64), 100 * 365 * 24 * time.Hour},
		"a typed nil":                  {worker.FixedBackoff(time.Hour), none, time.Hour},
		"a typed nil of the package's": {worker.FixedBackoff(time.Hour), errors.Join(none), time.Hour},
		"As says yes and gives nil":    {worker.FixedBackoff(time.Hour), &mean{as: func(any) bool { return true }}, time.Hour},
		"a callback's outcome":         {worker.FixedBackoff(time.Hour), worker.Keep(), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(_ *testing.T, b *bench) {
				b.handle(answers(c.err))
				id := b.push()
				r := b.start(worker.Config{Backoff: func(n int) time.Duration {
					if b.job(id).Exceptions > 0 { // a wait of nothing: once is enough
						return time.Hour
					}
					return c.backoff(n)
				}})
				if c.delay == 0 {
					within(b.t, time.Minute, "it ran again at once", func() bool { return b.job(id).Attempts == 2 })
				} else {
					within(b.t, time.Minute, "it waits", func() bool { return b.job(id).Attempts == 1 && !b.job(id).Reserved })
					if got := time.Until(b.job(id).AvailableAt); got > c.delay || got < c.delay-time.Minute {
						b.t.Errorf("it waits for %v, want %v", got, c.delay)
					}
				}
				r.stop()
			})
		})
	}
}

// TestD11_NoEventEndsRunWithoutAWord: runtime.Goexit in one did.
func TestD11_NoEventEndsRunWithoutAWord(t *testing.T) {
	for how, harm := range harm {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(_ *testing.T, b *bench) {
				b.handle(func(ctx context.Context, job *raw) error {
					if job.ID == 1 {
						return worker.Fail(errBroken)
					}
					if job.ID == 2 {
						return worker.Release(time.Hour)
					}
					if job.ID == 3 {
						<-ctx.Done()
					}
					return nil
				})
				b.pushMany(4)
				one := func(worker.JobInfo) { harm() }
				two := func(worker.JobInfo, worker.Result) { harm() }
				b.drain(worker.Config{Timeout: time.Second, Events: worker.Events{
					Starting: func(driver.Worker) { harm() }, Idle: harm, Stopping: func(string) { harm() },
					Reserved: one, Processing: one, TimedOut: one, Lost: one, Stuck: one, Processed: two, Released: two, Failed: two,
				}})
				b.failed(1)
				b.gone(4)
				// Starting, Idle and Stopping; Reserved and Processing of four; one TimedOut; and how the four ended.
				b.logged("event function went wrong", 3+4+4+1+4)
			})
		})
	}
}

func TestD11_MiddlewareThatCannotBeMadeIsToldByRun(t *testing.T) {
	for name, around := range map[string]func(worker.Handler) worker.Handler{
		"panic":  func(worker.Handler) worker.Handler { panic("no") },
		"goexit": func(worker.Handler) worker.Handler { runtime.Goexit(); return nil },
		"nil":    func(worker.Handler) worker.Handler { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.mux.Use(around)
				b.handle(answers(nil))
				if err := b.start(worker.Config{}).ended(); err == nil ||
					!strings.Contains(err.Error(), `the handler of "job": middleware`) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// meanCodec reads nothing.
type meanCodec struct {
	sqlqueue.Codec
	harm func()
}

func (c meanCodec) Unmarshal(json.RawMessage, any) error { c.harm(); return nil }

func TestC6_ACodecThatDoesNotReturn(t *testing.T) {
	for how, harm := range harm {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				worker.Handle(b.mux, func(context.Context, *worker.Job[withFailed]) error { return nil })
				if _, err := b.q.Push(t.Context(), withFailed{""}, sqlqueue.Tries(1)); err != nil {
					t.Fatal(err)
				}
				q, err := sqlqueue.New(b.store, sqlqueue.Config{Codec: meanCodec{sqlqueue.JSON, harm}})
				if err != nil {
					t.Fatal(err)
				}
				if err := b.startOn(q, worker.Config{StopWhenEmpty: true}).ended(); err != nil {
					t.Fatalf("Run: %v", err)
				}
				b.failed(1)
			})
		})
	}
}

func TestD4_ARemoteProcessSurvivesItsApplication(t *testing.T) {
	for how, harm := range harm {
		for name, handler := range map[string]worker.Handler{
			"handler": func(context.Context, *raw) error { harm(); return nil },
			"Error":   answers(&mean{text: func() string { harm(); return "" }}),
			"As":      answers(&mean{as: func(any) bool { harm(); return true }}),
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				mux := worker.NewMux()
				mux.HandleFunc("job", handler)
				answer := mux.RunPacked(t.Context(), []byte(`{"job":{"ID":1},"payload":"eyJqb2IiOiJqb2IiLCJkYXRhIjoxfQ=="}`), nil, nil)
				var said struct {
					Error *struct{ Text string }
				}
				if err := json.Unmarshal(answer, &said); err != nil || said.Error == nil || said.Error.Text == "" {
					t.Errorf("answered %s", answer)
				}
			})
		}
	}
}
