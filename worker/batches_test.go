package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// D4: one job of a batch fails: its callbacks come once each, and that of success only after a retry.
func TestBatch(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const jobs = 100
		fails := true
		var called []string
		done := 0
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			switch {
			case job.Name == "member" && string(job.Data) == "7" && fails:
				return worker.Fail(errors.New("no luck"))
			case job.Name == "member":
				done++
			default:
				called = append(called, fmt.Sprint(job.Name, " ", done, " ", job.Parent().Batch, job.Parent().Error))
			}
			return nil
		})
		batch := b.q.Batch("import")
		for i := range jobs {
			if _, err := batch.Push(t.Context(), sqlqueue.Named("member", i)); err != nil {
				t.Fatal(err)
			}
		}
		id, err := batch.Seal(t.Context(), sqlqueue.OnSuccess(sqlqueue.Named("success", nil)),
			sqlqueue.OnFinish(sqlqueue.Named("finish", nil)), sqlqueue.OnFailure(sqlqueue.Named("failure", nil)))
		if err != nil {
			t.Fatal(err)
		}
		run := func() {
			t.Helper()
			queues := []string{fmt.Sprint("import/b", id), "default"}
			config := worker.Config{Queues: queues, StopWhenEmpty: true, Concurrency: 1}
			if err := worker.New(b.q, b.mux, config).Run(t.Context()); err != nil {
				t.Error(err)
			}
		}
		run()
		want := []string{fmt.Sprint("failure ", jobs-1, " ", id, "no luck"), fmt.Sprint("finish ", jobs-1, " ", id)}
		slices.Sort(called)
		if !slices.Equal(called, want) {
			t.Errorf("called %q, want %q", called, want)
		}
		if _, err := batch.Push(t.Context(), sqlqueue.Named("member", 0)); !errors.Is(err, sqlqueue.ErrBatchEnded) {
			t.Errorf("a push into a batch that has ended: %v", err)
		}
		fails, called = false, nil
		if _, err := operator.New(b.q).Retry(t.Context(), operator.FailedFilter{}); err != nil {
			t.Fatal(err)
		}
		run()
		if want := []string{fmt.Sprint("success ", jobs, " ", id)}; !slices.Equal(called, want) {
			t.Errorf("after the retry, called %q, want %q", called, want)
		}
		called = nil
		run()
		if called != nil {
			t.Errorf("called again: %q", called)
		}
	})
}

// A batch without jobs ends at once. One whose jobs have ended before it is sealed, and one whose worker has died before it could look,
// end within seconds, also with a worker that serves none of their queues.
func TestBatchFoundBySweep(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		called := map[string]int{}
		var names []string
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			names = append(names, job.Name)
			called[string(job.Data)]++
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		empty := b.q.Batch("empty")
		if _, err := empty.Seal(ctx, sqlqueue.OnSuccess(sqlqueue.Named("callback", "empty"))); err != nil {
			t.Fatal(err)
		}
		go func() { stopped <- worker.New(b.q, b.mux, worker.Config{}).Run(ctx) }()
		pass(100 * time.Millisecond)
		synctest.Wait()
		if called[`"empty"`] != 1 {
			t.Errorf("called %v", called)
		}
		orphan := b.q.Batch("orphan")
		ids, err := orphan.Push(ctx, sqlqueue.Named("member", nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := orphan.Seal(ctx, sqlqueue.OnSuccess(sqlqueue.Named("callback", "orphan"))); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		synctest.Wait()
		if called[`"orphan"`] != 0 {
			t.Errorf("called before its job has ended: %v", called)
		}
		if _, err := b.db.ExecContext(ctx, "DELETE FROM jobs WHERE id = ?", ids[0]); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if called[`"orphan"`] != 1 {
			t.Errorf("called %v", called)
		}
		pass(time.Minute)
		synctest.Wait()
		if called[`"orphan"`] != 1 || called[`"empty"`] != 1 || len(names) != 2 {
			t.Errorf("called %v", called)
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
