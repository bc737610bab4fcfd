package worker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// A meter is told of every run, how it ended and how long it waited; one that panics harms nothing.
func TestMeter(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var told notes
		slots, exchanges := 0, 0
		meter := worker.Meter{
			Started:  func(job worker.JobInfo) { told.add("started %d", job.Attempts); panic("a meter") },
			Returned: func(worker.JobInfo) { told.add("returned") },
			Ended: func(_ worker.JobInfo, r worker.Result) {
				told.add("%s waited %v took %v", r.Outcome, r.Waited.Round(time.Minute), r.Took.Round(time.Second))
			},
			Slots: func(n int) { slots += n },
			Exchanged: func(_ time.Duration, _ driver.Exchanged, err error) {
				if err == nil {
					exchanges++
				}
			},
		}
		b.handle(func(_ context.Context, job *raw) error {
			pass(2 * time.Second)
			if job.Attempts == 1 {
				return errBroken
			}
			return worker.Fail(errBroken)
		})
		id := b.push()
		pass(3 * time.Minute)
		r := b.start(worker.Config{Concurrency: 3, Backoff: worker.FixedBackoff(time.Second), Meter: meter})
		within(t, time.Minute, "failed", func() bool { return b.job(id) == nil })
		r.stop()
		told.want(t, "started 1", "returned", "released waited 3m0s took 2s", "started 2", "returned", "failed waited 0s took 2s")
		if slots != 0 || exchanges == 0 {
			t.Errorf("%d slots are left, of %d exchanges", slots, exchanges)
		}
	})
}

func TestOutcomeOf(t *testing.T) {
	for want, err := range map[worker.Outcome]error{
		worker.Done: nil, worker.Released: errBroken, worker.Failed: worker.Fail(errBroken), worker.Snoozed: worker.Snooze(1),
		worker.Discarded: worker.Discard(), worker.NotStarted: worker.CannotStart(nil),
	} {
		if got := worker.OutcomeOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// What failed for good is an error in the log, what runs again a warning, and what is done has the level of the Config.
func TestLevelsOfTheLog(t *testing.T) {
	for _, c := range []struct {
		returns   error
		done      slog.Level
		msg, want string
	}{
		{nil, slog.LevelInfo, "processed", "INFO"},
		{nil, slog.LevelDebug, "processed", "DEBUG"},
		{worker.Discard(), slog.LevelDebug, "discarded", "DEBUG"},
		{errBroken, slog.LevelDebug, "released", "WARN"},
		{worker.Release(time.Hour), slog.LevelDebug, "released", "INFO"},
		{worker.Snooze(time.Hour), slog.LevelDebug, "snoozed", "INFO"},
		{worker.Fail(errBroken), slog.LevelDebug, "failed", "ERROR"},
	} {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(answers(c.returns))
			b.push()
			b.drain(worker.Config{LogDone: c.done, Backoff: worker.FixedBackoff(time.Hour)})
			if lines := b.log.find(c.msg); len(lines) != 1 || lines[0]["level"] != c.want {
				t.Errorf("%s at %v: %v, want %s", c.msg, c.done, lines, c.want)
			}
		})
	}
}

// contextHandler adds what the context has, as the handlers of OpenTelemetry do.
type contextHandler struct{ slog.Handler }

type spanKey struct{}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if span, ok := ctx.Value(spanKey{}).(string); ok {
		r.AddAttrs(slog.String("from_context", span))
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// Middleware gives the worker's lines about a run its context and attributes, and a job knows the trace in which it was pushed.
func TestLogWith(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	bubble(t, func(t *testing.T, b *bench) {
		var seen sqlqueue.Trace
		b.mux.Use(func(next worker.Handler) worker.Handler {
			return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
				seen = job.Trace
				job.LogWith(context.WithValue(ctx, spanKey{}, "span"), slog.String("trace_id", "abc"))
				return next(ctx, job)
			}
		})
		b.handle(answers(nil))
		b.raw(`{"job":"job","data":{},"trace":"` + trace + `"}`)
		b.drain(worker.Config{Logger: slog.New(contextHandler{slog.NewJSONHandler(&b.log, nil)})})
		if lines := b.log.find("processed"); len(lines) != 1 || lines[0]["trace_id"] != "abc" || lines[0]["from_context"] != "span" {
			t.Errorf("the line of the run: %v", lines)
		}
		if seen != trace {
			t.Errorf("the job has the trace %q", seen)
		}
	})
}

// Run's refusal is in the log too, where nobody looks at its error.
func TestARefusalToStartIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		q, err := sqlqueue.New(refuses{}, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.startOn(q, worker.Config{}).ended(); err == nil {
			t.Fatal("the worker has started without tables")
		}
		lines := b.log.find("the worker cannot start")
		if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(lines[0]["error"].(string), "migrate") {
			t.Errorf("the log: %s", b.log.all())
		}
	})
}

// refuses is a store without tables.
type refuses struct{ driver.Store }

func (refuses) Check(context.Context) error { return sqlqueue.ErrNotMigrated }
