package worker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/worker"
)

// Code of the application that never returns keeps one slot, and neither its job nor the worker.
func TestD3_CodeOfTheApplicationThatNeverReturns(t *testing.T) {
	const (
		code    = "code of the application does not return: the job is settled without it, its slot is lost"
		handler = "handler is stuck: it has timed out and does not return; its job is settled, its slot is lost"
		event   = "event function does not return: no event is told until it does"
	)
	for name, c := range map[string]struct {
		set     func(b *bench, config *worker.Config, hang func())
		err     error // the handler's
		logged  string
		failed  bool // the job has failed in the end; otherwise see retried
		retried bool // the job waits for another try; otherwise it is done
		free    bool // no slot is kept
	}{
		"OnFailed": {func(_ *bench, config *worker.Config, hang func()) {
			config.OnFailed = func(context.Context, *raw, error) error { hang(); return nil }
		}, worker.Fail(errBroken), code, true, false, false},
		"Backoff": {func(_ *bench, config *worker.Config, hang func()) {
			config.Backoff = func(int) time.Duration { hang(); return 0 }
		}, errBroken, code, false, true, false},
		"Error": {func(*bench, *worker.Config, func()) {}, nil, code, false, true, false},
		"middleware": {func(b *bench, _ *worker.Config, hang func()) {
			b.mux.Use(func(next worker.Handler) worker.Handler {
				return func(ctx context.Context, job *raw) error {
					defer hang()
					return next(ctx, job)
				}
			})
		}, nil, handler, false, true, false},
		"Processing": {func(_ *bench, config *worker.Config, hang func()) {
			config.Events.Processing = func(worker.JobInfo) { hang() }
		}, nil, handler, false, true, false},
		"Processed": {func(_ *bench, config *worker.Config, hang func()) {
			config.Events.Processed = func(worker.JobInfo, worker.Result) { hang() }
		}, nil, event, false, false, true},
		"Stopping": {func(_ *bench, config *worker.Config, hang func()) {
			config.Events.Stopping = func(string) { hang() }
		}, nil, event, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				let := make(chan struct{})
				hang := func() { <-let }
				config := worker.Config{Concurrency: 4, Timeout: 10 * time.Second}
				c.set(b, &config, hang)
				if name == "Error" {
					c.err = &mean{text: func() string { hang(); return "" }}
				}
				b.handle(answers(c.err))
				id := b.push()
				r := b.start(config)
				within(t, 5*time.Minute, "settled", func() bool {
					job := b.job(id)
					return job == nil || !job.Reserved && job.Attempts == 1
				})
				switch {
				case c.failed:
					b.wantFailed(id, "broken")
				case c.retried:
					if job := b.job(id); job == nil || job.Exceptions != 1 {
						t.Errorf("the job is %+v", job)
					}
				default:
					b.gone(id)
				}
				r.cancel()
				err := r.ended()
				var unfinished *worker.UnfinishedError
				switch {
				case c.free:
					if err != nil {
						t.Errorf("Run: %v", err)
					}
				case !errors.As(err, &unfinished) || !slices.Contains(unfinished.Stuck, id):
					t.Errorf("Run: %v", err)
				}
				lines := b.log.find(c.logged)
				if len(lines) == 0 {
					t.Fatalf("%q was not logged:\n%s", c.logged, b.log.all())
				}
				if !c.free && lines[0]["id"] != float64(id) {
					t.Errorf("logged %v", lines[0])
				}
				close(let)
			})
		})
	}
}

// A handler that never returns after its reservation was lost counts as stuck, though its job is another's.
func TestD3_AHandlerThatNeverReturnsAfterItsReservationWasLost(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		let := make(chan struct{})
		b.handle(func(context.Context, *raw) error { <-let; return nil })
		id := b.push()
		var told notes
		r := b.start(worker.Config{Concurrency: 4, Expire: 6 * time.Second, Timeout: -1, Queues: []string{"default"}, Events: worker.Events{
			Lost:  func(worker.JobInfo) { told.add("lost") },
			Stuck: func(worker.JobInfo) { told.add("stuck") },
		}})
		within(t, time.Minute, "it runs", func() bool { return b.job(id).Reserved })
		if _, err := b.db.ExecContext(t.Context(), `DELETE FROM jobs`); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, "lost and stuck", func() bool { return slices.Equal(told.all(), []string{"lost", "stuck"}) })
		b.logged("handler is stuck: its reservation was lost and it does not return; its slot is lost", 1)
		r.cancel()
		began := time.Now()
		var unfinished *worker.UnfinishedError
		if err := r.ended(); !errors.As(err, &unfinished) || !slices.Equal(unfinished.Stuck, []int64{id}) || len(unfinished.Running) > 0 {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("ended after %v", took)
		}
		close(let)
	})
}
