package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestD11_MiddlewareIsAroundEveryHandler(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		made := 0
		around := func(name string) func(worker.Handler) worker.Handler {
			return func(next worker.Handler) worker.Handler {
				made++
				return func(ctx context.Context, job *raw) error {
					seen.add("%s before %s", name, job.Name)
					err := next(ctx, job)
					seen.add("%s after: %v", name, err)
					return err
				}
			}
		}
		b.mux.Use(around("1"), around("2"))
		b.handle(answers(errBroken))
		b.push()
		b.push()
		b.drain(worker.Config{Backoff: worker.FixedBackoff(time.Hour), Concurrency: 1})
		one := []string{"1 before job", "2 before job", "2 after: broken", "1 after: broken"}
		seen.want(t, append(one, one...)...)
		if made != 2 {
			t.Fatalf("two middlewares were made %d times for one handler", made)
		}
	})
}

func TestD11_MiddlewareThatComesLaterIsAroundThemToo(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.mux.HandleAll(answers(nil))
		b.drain(worker.Config{})
		calls := 0
		b.mux.Use(func(next worker.Handler) worker.Handler {
			return func(ctx context.Context, job *raw) error { calls++; return next(ctx, job) }
		})
		b.push()
		if _, err := b.q.Push(t.Context(), sqlqueue.Named("stranger", nil)); err != nil {
			t.Fatal(err)
		}
		b.drain(worker.Config{Concurrency: 1})
		if calls != 2 {
			t.Fatalf("called %d times", calls)
		}
	})
}
