package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// stuckOn is a handler that ignores its context, for the jobs of a queue, until the function is called.
func stuckOn(queue string) (worker.Handler, func()) {
	let := make(chan struct{})
	return func(_ context.Context, job *raw) error {
		if job.Queue == queue {
			<-let
		}
		return nil
	}, func() { close(let) }
}

func TestD3_B6_AStuckHandlerLosesItsJobAndKeepsOnlyItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		handler, let := stuckOn("bad")
		b.handle(handler)
		var told notes
		retried := b.push(sqlqueue.OnQueue("bad"))
		failed := b.push(sqlqueue.OnQueue("bad"), sqlqueue.Tries(1))
		r := b.start(worker.Config{
			Queues: []string{"bad", "good"}, Concurrency: 4, Timeout: time.Minute, StuckAfter: 10 * time.Second,
			Backoff: worker.FixedBackoff(time.Hour),
			Events: worker.Events{
				Stuck:    func(job worker.JobInfo) { told.add("stuck %d", job.ID) },
				TimedOut: func(job worker.JobInfo) { told.add("timed out %d", job.ID) },
				Released: func(job worker.JobInfo, _ worker.Result) { told.add("released %d", job.ID) },
				Failed:   func(job worker.JobInfo, _ worker.Result) { told.add("failed %d", job.ID) },
			},
			OnFailed: func(_ context.Context, job *raw, err error) error {
				told.add("callback for %d: %v", job.ID, err)
				return nil
			},
		})
		pass(69 * time.Second)
		told.want(t)
		pass(2 * time.Second)
		said := told.all()
		slices.Sort(said)
		const why = "timed out after 1m0s, and its handler has not returned"
		if want := []string{
			"callback for 2: " + why, "failed 2", "released 1", "stuck 1", "stuck 2", "timed out 1", "timed out 2",
		}; !slices.Equal(said, want) {
			t.Fatalf("told of\n%s", strings.Join(said, "\n"))
		}
		b.wantFailed(failed, why)
		if job := b.job(retried); job.Reserved || job.Attempts != 1 || job.Exceptions != 1 {
			t.Errorf("the job that can be retried: %+v", job)
		}

		// The others go on, two at a time.
		for range 10 {
			b.push(sqlqueue.OnQueue("good"))
		}
		within(t, time.Minute, "the good jobs are done", func() bool { return len(b.waiting()) == 1 })

		let()
		within(t, time.Minute, "the handlers' return is told", func() bool {
			return len(b.log.find("dropped: a stuck handler has returned")) == 2
		})
		if job := b.job(retried); job == nil || job.Attempts != 1 {
			t.Errorf("the late result has changed the job: %+v", job)
		}
		r.stop()
	})
}

func TestD3_TooManyStuckHandlersEndTheWorker(t *testing.T) {
	for name, c := range map[string]struct {
		concurrency, max, jobs int
		stays                  bool
	}{
		"half by default":            {concurrency: 4, jobs: 2, stays: true},
		"more than half by default":  {concurrency: 4, jobs: 3},
		"the only slot":              {concurrency: 1, jobs: 1},
		"none is tolerated":          {concurrency: 4, max: -1, jobs: 1},
		"as many as slots, at most":  {concurrency: 2, max: 10, jobs: 2},
		"as many as is said":         {concurrency: 10, max: 7, jobs: 7, stays: true},
		"one more than what is said": {concurrency: 10, max: 7, jobs: 8},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				handler, let := stuckOn("bad")
				defer let()
				b.handle(handler)
				var ids []int64
				for range c.jobs {
					ids = append(ids, b.push(sqlqueue.OnQueue("bad")))
				}
				r := b.start(worker.Config{
					Queues: []string{"bad", "good"}, Concurrency: c.concurrency, MaxStuck: c.max, Timeout: time.Second,
					Backoff: worker.FixedBackoff(time.Hour),
				})
				pass(time.Minute)
				for _, id := range ids {
					if job := b.job(id); job.Reserved || job.Attempts != 1 {
						t.Errorf("job %d: %+v", id, job)
					}
				}
				r.cancel()
				var unfinished *worker.UnfinishedError
				if err := r.ended(); !errors.As(err, &unfinished) || !slices.Equal(unfinished.Stuck, ids) {
					t.Fatalf("Run: %v", err)
				}
				if got := b.log.find("worker stopping")[0]["reason"]; (got == "handlers are stuck") == c.stays {
					t.Errorf("it stopped because: %v", got)
				}
			})
		})
	}
}

// What a stuck handler has completed in a transaction of its own stays so.
func TestD3_AStuckHandlerThatHasCompletedItsJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		let := make(chan struct{})
		b.handle(func(ctx context.Context, job *raw) error {
			if err := b.q.Delete(ctx, job); err != nil {
				t.Error(err)
			}
			<-let
			return nil
		})
		id := b.push()
		processed := 0
		r := b.start(worker.Config{Timeout: time.Second, Events: worker.Events{
			Processed: func(worker.JobInfo, worker.Result) { processed++ },
			Lost:      func(worker.JobInfo) { t.Error("told as lost") },
		}})
		pass(time.Minute)
		b.gone(id)
		if processed != 1 {
			t.Errorf("told %d times that it is processed", processed)
		}
		close(let)
		within(t, time.Minute, "the handler's return is told", func() bool {
			return len(b.log.find("dropped: a stuck handler has returned")) == 1
		})
		r.stop()
	})
}

func TestD3_AHandlerWithoutTimeoutIsNeverStuck(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(10 * time.Minute); return nil })
		id := b.push()
		b.drain(worker.Config{Timeout: -1})
		b.gone(id)
		b.logged("processed", 1)
	})
}
