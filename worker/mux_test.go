package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

type byValue struct {
	N int `json:"n"`
}

func (byValue) JobName() string { return "by_value" }

type byPointer struct {
	N int `json:"n"`
}

func (*byPointer) JobName() string { return "by_pointer" }

type number int

func (number) JobName() string { return "number" }

// self carries its own handler.
type self struct {
	N int `json:"n"`
}

func (self) JobName() string { return "self" }

func (s *self) Handle(ctx context.Context) error {
	info, ok := worker.InfoFrom(ctx)
	return worker.Fail(fmt.Errorf("self %d %v %d %s", s.N, ok, info.Attempts, info.Name))
}

func TestA4_A5_HandlersByNameAndType(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		worker.Handle(b.mux, func(_ context.Context, job *worker.Job[byValue]) error {
			seen.add("%s %d", job.Name, job.Data.N)
			return nil
		})
		worker.Handle(b.mux, func(_ context.Context, job *worker.Job[byPointer]) error {
			seen.add("%s %d", job.Name, job.Data.N)
			return nil
		})
		worker.Handle(b.mux, func(_ context.Context, job *worker.Job[number]) error {
			seen.add("%s %d", job.Name, job.Data)
			return nil
		})
		b.mux.HandleFunc("Class@method", func(_ context.Context, job *raw) error {
			seen.add("%s %s", job.Name, job.Data)
			return nil
		})
		worker.HandleSelf[self](b.mux)

		if _, err := b.q.PushMany(t.Context(), []sqlqueue.Pushable{
			byValue{1}, &byPointer{2}, number(3), sqlqueue.Named("Class@method", nil), self{N: 5},
		}); err != nil {
			t.Fatal(err)
		}
		b.raw(`{"job": "by_value"}`) // no data
		b.drain(worker.Config{Concurrency: 1})
		seen.want(t, "by_value 1", "by_pointer 2", "number 3", "Class@method null", "by_value 0")
		if f := b.failures(); len(f) != 1 || f[0].Error != "self 5 true 1 self" {
			t.Fatalf("the job that carries its handler: %+v", f)
		}
	})
}

func TestA6_AHandlerReadsWhatIsKnownOfItsJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		payload := `{"job":"by_value","data":{"n":7},"tries":3}`
		var id int64
		worker.Handle(b.mux, func(ctx context.Context, job *worker.Job[byValue]) error {
			row, err := operator.New(b.q).Job(ctx, id)
			if err != nil || job.ID != id || job.Queue != "default" || job.Priority != 0 || string(job.Payload) != payload ||
				!job.CreatedAt.Equal(row.CreatedAt) || !job.AvailableAt.Equal(row.AvailableAt) || job.Reservation() != row.Reservation() {
				t.Errorf("the handler got %+v, the row is %+v", job, row)
			}
			return nil
		})
		id = b.raw(payload)
		b.drain(worker.Config{})
		b.gone(id)
	})
}

// codec is one whose work can be told from JSON's.
type codec struct{ sqlqueue.Codec }

func (c codec) Unmarshal(data json.RawMessage, v any) error {
	return c.Codec.Unmarshal(json.RawMessage(strings.ReplaceAll(string(data), "7", "8")), v)
}

func TestA10_SyncModeRunsTheHandlerInline(t *testing.T) {
	for name, c := range map[string]struct {
		handler worker.Handler
		want    string // of the error; empty: nil
		is      error
	}{
		"nil":     {handler: answers(nil)},
		"error":   {handler: answers(errBroken), want: "broken", is: errBroken},
		"fail":    {handler: answers(worker.Fail(errBroken)), want: "broken", is: errBroken},
		"discard": {handler: answers(worker.Discard())},
		"release": {
			handler: answers(worker.Release(time.Minute)),
			want:    `worker: job "job" was released for 1m0s: a job in sync mode cannot be put back`,
		},
		"snooze": {
			handler: answers(worker.Snooze(time.Minute)),
			want:    `worker: job "job" was snoozed for 1m0s: a job in sync mode cannot be put back`,
		},
		"panic": {handler: panics, want: "panic: out of luck"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				around := 0
				b.mux.Use(func(next worker.Handler) worker.Handler {
					return func(ctx context.Context, job *raw) error {
						around++
						if job.Attempts != 1 || job.Name != "job" || string(job.Data) != "7" {
							t.Errorf("runs %+v", job)
						}
						return next(ctx, job)
					}
				})
				b.handle(c.handler)
				q, err := sqlitequeue.New(b.db, sqlqueue.Config{Runner: b.mux})
				if err != nil {
					t.Fatal(err)
				}
				id, err := q.Push(t.Context(), sqlqueue.Named("job", 7), sqlqueue.Sync())
				if id != 0 || around != 1 {
					t.Fatalf("id %d, middleware ran %d times", id, around)
				}
				switch {
				case c.want == "" && err != nil:
					t.Fatal(err)
				case c.want != "" && (err == nil || err.Error() != c.want):
					t.Fatalf("Push: %v, want %s", err, c.want)
				case c.is != nil && !errors.Is(err, c.is):
					t.Fatalf("Push: %v is not %v", err, c.is)
				}
				if jobs, err := operator.New(b.q).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) > 0 {
					t.Fatalf("stored %v: %v", jobs, err)
				}
			})
		})
	}
	t.Run("unknown name", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(answers(nil))
			q, err := sqlitequeue.New(b.db, sqlqueue.Config{Runner: b.mux, Sync: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.Push(t.Context(), sqlqueue.Named("stranger", nil)); !errors.Is(err, worker.ErrNoHandler) {
				t.Fatalf("Push: %v", err)
			}
		})
	})
}

func TestA10_AnInlineJobsOutcomeIsNotThatOfTheJobThatPushedIt(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		q, err := sqlitequeue.New(b.db, sqlqueue.Config{Runner: b.mux})
		if err != nil {
			t.Fatal(err)
		}
		b.mux.HandleFunc("inner", func(_ context.Context, job *raw) error {
			if string(job.Data) == `"fail"` {
				return worker.Fail(errBroken)
			}
			return worker.Release(0)
		})
		b.mux.HandleFunc("outer", func(ctx context.Context, job *raw) error {
			_, err := q.Push(ctx, sqlqueue.Named("inner", job.Data), sqlqueue.Sync())
			return err
		})
		for _, what := range []string{"fail", "release"} {
			id, err := b.q.Push(t.Context(), sqlqueue.Named("outer", what))
			if err != nil {
				t.Fatal(err)
			}
			b.drain(worker.Config{Backoff: worker.FixedBackoff(time.Minute)})
			b.waits(id, 1, time.Minute)
		}
	})
}

func TestTheQueuesCodecReadsTheData(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		worker.Handle(b.mux, func(_ context.Context, job *worker.Job[byValue]) error {
			seen.add("%d", job.Data.N)
			return nil
		})
		q, err := sqlitequeue.New(b.db, sqlqueue.Config{Codec: codec{sqlqueue.JSON}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Push(t.Context(), byValue{7}); err != nil {
			t.Fatal(err)
		}
		if err := b.startOn(q, worker.Config{StopWhenEmpty: true}).ended(); err != nil {
			t.Fatal(err)
		}
		seen.want(t, "8")
	})
}

func TestWhatIsWrongIsToldByRun(t *testing.T) {
	nothing := func(*worker.Mux, *worker.Config) {}
	one := func(m *worker.Mux) { m.HandleFunc("job", answers(nil)) }
	for want, set := range map[string]func(m *worker.Mux, c *worker.Config){
		"the mux has no handlers":          nothing,
		`"job" has two handlers`:           func(m *worker.Mux, _ *worker.Config) { one(m); one(m) },
		"a handler's name is empty":        func(m *worker.Mux, _ *worker.Config) { m.HandleFunc("", answers(nil)) },
		`the handler of "job" is nil`:      func(m *worker.Mux, _ *worker.Config) { m.HandleFunc("job", nil) },
		"the handler for all names is nil": func(m *worker.Mux, _ *worker.Config) { m.HandleAll(nil) },
		`the handler of "by_value" is nil`: func(m *worker.Mux, _ *worker.Config) { worker.Handle[byValue](m, nil) },
		`the handler of "job": tries is -2`: func(m *worker.Mux, _ *worker.Config) {
			m.HandleFunc("job", answers(nil), worker.Settings{Tries: -2})
		},
		`the handler of "by_value": timeout is -1s`: func(m *worker.Mux, _ *worker.Config) {
			worker.Handle(m, func(context.Context, *worker.Job[byValue]) error { return nil }, worker.Settings{Timeout: -time.Second})
		},
		"the handler for all names: tries is -3": func(m *worker.Mux, _ *worker.Config) {
			m.HandleAll(answers(nil), worker.Settings{Tries: -3})
		},
		"there are two handlers for all names": func(m *worker.Mux, _ *worker.Config) {
			m.HandleAll(answers(nil))
			m.HandleAll(answers(nil))
		},
		"a middleware is nil": func(m *worker.Mux, _ *worker.Config) { one(m); m.Use(nil) },
		"the queue is empty":  func(m *worker.Mux, c *worker.Config) { one(m); c.Queues = []string{"a", " "} },
		"has a comma":         func(m *worker.Mux, c *worker.Config) { one(m); c.Queues = []string{"a,b"} },
		"concurrency is -1":   func(m *worker.Mux, c *worker.Config) { one(m); c.Concurrency = -1 },
		"tries is -2":         func(m *worker.Mux, c *worker.Config) { one(m); c.Tries = -2 },
		"timeout is -1s":      func(m *worker.Mux, c *worker.Config) { one(m); c.Timeout = -time.Second },
		"expire is -1s":       func(m *worker.Mux, c *worker.Config) { one(m); c.Expire = -time.Second },
		"expire is 1µs":       func(m *worker.Mux, c *worker.Config) { one(m); c.Expire = time.Microsecond },
		"sleep is -1ns":       func(m *worker.Mux, c *worker.Config) { one(m); c.Sleep = -1 },
		"sleep is 1ns":        func(m *worker.Mux, c *worker.Config) { one(m); c.Sleep = 1 },
		"grace is -2ns":       func(m *worker.Mux, c *worker.Config) { one(m); c.Grace = -2 },
		"max jobs is -1":      func(m *worker.Mux, c *worker.Config) { one(m); c.MaxJobs = -1 },
		"max time is -1ns":    func(m *worker.Mux, c *worker.Config) { one(m); c.MaxTime = -1 },
		"name must be":        func(m *worker.Mux, c *worker.Config) { one(m); c.Name = strings.Repeat("x", 192) },
	} {
		t.Run(want, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var config worker.Config
				set(b.mux, &config)
				if err := b.start(config).ended(); err == nil || !strings.Contains(err.Error(), want) ||
					!strings.HasPrefix(err.Error(), "worker: ") {
					t.Fatalf("Run: %v, want %q", err, want)
				}
			})
		})
	}
	if err := worker.New(nil, nil, worker.Config{}).Run(t.Context()); err == nil {
		t.Fatal("Run without a queue and a mux")
	}
}

func TestAContextThatHasEndedIsACleanEnd(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { t.Error("runs"); return nil })
		id := b.push()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := worker.New(b.q, b.mux, worker.Config{}).Run(ctx); err != nil {
			t.Fatal(err)
		}
		b.waits(id, 0, 0)
	})
}

// A handler that completes its job in its own transaction works in sync mode, too, where there is no row.
func TestA10_F3_HoldAndDeleteOfAnInlineJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		mux := worker.NewMux()
		q, err := sqlitequeue.New(b.db, sqlqueue.Config{Sync: true, Runner: mux})
		if err != nil {
			t.Fatal(err)
		}
		mux.HandleFunc("job", func(ctx context.Context, job *raw) error {
			tx, err := b.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			bound := sqlitequeue.WithTx(q, tx)
			if err := errors.Join(bound.Hold(ctx, job), bound.Delete(ctx, job)); err != nil {
				return err
			}
			return tx.Commit()
		})
		if _, err := q.Push(t.Context(), sqlqueue.Named("job", nil)); err != nil {
			t.Error(err)
		}
	})
}

// A job's own setting beats its handler's, and that beats the worker's, here and for handlers that run elsewhere.
func TestC4_C5_SettingsOfAHandler(t *testing.T) {
	own := []worker.Settings{{Tries: 2, Timeout: time.Minute}, {Timeout: 5 * time.Second, Backoff: worker.FixedBackoff(7 * time.Second)}}
	config := worker.Config{Once: true, Tries: 3, Timeout: 20 * time.Second, Backoff: worker.FixedBackoff(time.Second)}
	for name, c := range map[string]struct {
		settings []worker.Settings
		payload  string
		timeout  time.Duration // 0: none
		wait     time.Duration
		tries    int // 0: no limit
	}{
		"the worker's":        {payload: `{"job":"%s"}`, timeout: 20 * time.Second, wait: time.Second, tries: 3},
		"the handler's":       {settings: own, payload: `{"job":"%s"}`, timeout: 5 * time.Second, wait: 7 * time.Second, tries: 2},
		"the handler's: none": {settings: []worker.Settings{{Tries: -1, Timeout: -1}}, payload: `{"job":"%s"}`, wait: time.Second},
		"the job's": {
			settings: own, payload: `{"job":"%s","tries":4,"timeout":6,"backoff":[9]}`,
			timeout: 6 * time.Second, wait: 9 * time.Second, tries: 4,
		},
		"the job's: none": {settings: own, payload: `{"job":"%s","tries":0,"timeout":0,"backoff":0}`},
	} {
		for _, job := range []string{"by_value", "self", "job", "other"} {
			for _, remote := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, remote %v", name, job, remote), func(t *testing.T) {
					bubble(t, func(t *testing.T, b *bench) {
						var timeout time.Duration
						b.mux.Use(func(worker.Handler) worker.Handler {
							return func(ctx context.Context, _ *raw) error {
								timeout = 0
								if deadline, ok := ctx.Deadline(); ok {
									timeout = time.Until(deadline)
								}
								return errBroken
							}
						})
						worker.Handle(b.mux, func(context.Context, *worker.Job[byValue]) error { return nil }, c.settings...)
						worker.HandleSelf[self](b.mux, c.settings...)
						b.mux.HandleFunc("job", answers(nil), c.settings...)
						b.mux.HandleAll(answers(nil), c.settings...)
						if remote {
							b.remote(nil)
						}
						id := b.raw(fmt.Sprintf(c.payload, job))
						for run := 1; run < 5; run++ {
							b.drain(config)
							if timeout != c.timeout {
								t.Fatalf("the timeout is %v, want %v", timeout, c.timeout)
							}
							if run == c.tries {
								b.wantFailed(id, "broken")
								return
							}
							b.waits(id, run, c.wait)
							pass(c.wait)
						}
						if c.tries != 0 {
							t.Fatalf("still there after 4 runs, tries is %d", c.tries)
						}
					})
				})
			}
		}
	}
}
