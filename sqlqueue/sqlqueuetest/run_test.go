package sqlqueuetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestF2_RunOneTellsTheOutcome(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	broken := errors.New("broken")
	for _, c := range []struct {
		returns error
		want    string
	}{
		{nil, `processed`},
		{worker.Discard(), `processed: discarded`},
		{worker.Release(time.Minute), `released for 1m0s: released for 1m0s`},
		{worker.Snooze(time.Hour), `released for 1h0m0s: snoozed for 1h0m0s`},
		{worker.Fail(broken), `failed: broken`},
	} {
		id := push(t, q.Queue, greet{Name: "A"}, sqlqueue.OnQueue("mail"))
		got := q.RunOne(mux(c.returns))
		wantOutcomes(t, []sqlqueuetest.Result{got}, fmt.Sprintf(`greet (job %d, queue "mail", attempt 1) %s`, id, c.want))
		if got.Job.ID != id {
			t.Errorf("job %d was run, want %d", got.Job.ID, id)
		}
		if _, err := operator.New(q.Queue).Cancel(t.Context(), id); err != nil && !errors.Is(err, operator.ErrNotFound) {
			t.Fatal(err)
		}
	}

	push(t, q.Queue, greet{Name: "A"})
	q.Worker = worker.Config{Tries: 2, Backoff: worker.FixedBackoff(time.Second)}
	if got := q.RunOne(mux(broken)); got.Outcome != sqlqueuetest.Released || got.Delay != time.Second || !errors.Is(got.Err, broken) {
		t.Errorf("got %v, %+v", got, got)
	}
	q.Advance(time.Second)
	if got := q.RunOne(mux(broken)); got.Outcome != sqlqueuetest.Failed || got.Job.Attempts != 2 {
		t.Errorf("got %v", got)
	}

	id := push(t, q.Queue, count{})
	if got := q.RunOne(mux()); got.Outcome != sqlqueuetest.Released || !errors.Is(got.Err, worker.ErrNoHandler) || got.Job.ID != id {
		t.Errorf("without a handler: got %v", got)
	}
}

func TestF2_RunOneSeesALostJob(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	id := push(t, q.Queue, count{})
	m := worker.NewMux()
	m.HandleFunc("count", func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
		_, err := operator.New(q.Queue).Release(ctx, id) // as an operator does
		return err
	})
	if got := q.RunOne(m); got.Outcome != sqlqueuetest.Lost || !errors.Is(got.Err, sqlqueue.ErrReservationLost) {
		t.Errorf("got %v", got)
	}
}

func TestF2_RunOneRunsOne(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	push(t, q.Queue, greet{Name: "later"}, sqlqueue.Priority(1))
	push(t, q.Queue, greet{Name: "first"})
	if got := q.RunOne(mux()); got.Job.ID != 2 {
		t.Errorf("job %d was run, want 2: it has the smaller priority", got.Job.ID)
	}
	if jobs, err := operator.New(q.Queue).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Errorf("%v; left are %+v", err, jobs)
	}
}

func TestF2_RunOneNeedsAJob(t *testing.T) {
	r := watch(t, func(t testing.TB) { sqlqueuetest.New(t, sqlqueue.Config{}).RunOne(mux()) })
	r.want(t, "no job is due; there are none at all")
	if !r.ended {
		t.Error("the test goes on")
	}
	synctest.Test(t, func(t *testing.T) {
		watch(t, func(t testing.TB) {
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			push(t, q.Queue, greet{}, sqlqueue.Delay(time.Hour))
			reserve(t, q, push(t, q.Queue, greet{}, sqlqueue.Priority(-1)), -1)
			q.RunOne(mux())
		}).want(t, `no job is due; there are
	job 1 on queue "default", available in 59m59.999s: {"job":"greet","data":{"name":""}}
	job 2 on queue "default", reserved: {"job":"greet","data":{"name":""}}`)
	})
}

// reserve reserves the next job, as a worker does that then dies.
func reserve(t testing.TB, q *sqlqueuetest.Queue, id int64, expire time.Duration) {
	t.Helper()
	answer, err := q.Exchange(t.Context(), driver.Exchange{
		Number: "dead-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "default", Expire: max(expire, 0)}},
	})
	if err != nil || len(answer.Reserved) != 1 || answer.Reserved[0].ID != id {
		t.Fatalf("reserved %+v, %v", answer.Reserved, err)
	}
}

func TestF2_RunUntilEmpty(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	if got := q.RunUntilEmpty(mux()); got != nil {
		t.Errorf("with nothing there, %v were run", got)
	}
	m := mux(worker.Release(0))
	worker.Handle(m, func(ctx context.Context, _ *worker.Job[count]) error {
		_, err := q.Push(ctx, greet{Name: "pushed by a handler"}, sqlqueue.OnQueue("another"))
		return err
	})
	push(t, q.Queue, count{}, sqlqueue.OnQueue("b"))
	push(t, q.Queue, greet{Name: "delayed"}, sqlqueue.Delay(time.Minute))
	push(t, q.Queue, greet{Name: "released"}, sqlqueue.OnQueue("a"))
	wantOutcomes(t, q.RunUntilEmpty(m),
		`greet (job 3, queue "a", attempt 1) released for 0s: released for 0s`,
		`greet (job 3, queue "a", attempt 2) processed`,
		`count (job 1, queue "b", attempt 1) processed`,
		`greet (job 4, queue "another", attempt 1) processed`,
	)
	if jobs, err := operator.New(q.Queue).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].ID != 2 {
		t.Errorf("%v; left are %+v", err, jobs)
	}
}

func TestF2_WorkerHasTheSettings(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	var log strings.Builder
	q.Worker = worker.Config{
		Queues: []string{"b"}, Concurrency: 3, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Once: true, MaxJobs: 1, // these two do not count
	}
	together := make(chan struct{}, 2)
	m := worker.NewMux()
	worker.Handle(m, func(ctx context.Context, _ *worker.Job[greet]) error {
		together <- struct{}{}
		for len(together) < 2 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("a"))
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("b"))
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("b"))
	if got := q.RunUntilEmpty(m); len(got) != 2 || got[0].Job.Queue != "b" || got[1].Job.Queue != "b" {
		t.Errorf("got %v, want the two jobs of queue b", got)
	}
	if !strings.Contains(log.String(), "msg=processed") {
		t.Errorf("the Logger got\n%s", log.String())
	}
}

func TestF2_LogsGoToTheTest(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, greet{})
		q.RunOne(mux())
	})
	if got := r.output.String(); !strings.Contains(got, "msg=processed") {
		t.Errorf("the test's output is\n%s", got)
	}
}

func TestF2_RunUntilEmptyEnds(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		q.Worker = worker.Config{Tries: -1, Backoff: worker.FixedBackoff(0), Logger: slog.New(slog.DiscardHandler)}
		push(t, q.Queue, greet{})
		m := worker.NewMux()
		worker.Handle(m, func(context.Context, *worker.Job[greet]) error { return errors.New("again") })
		q.RunUntilEmpty(m)
	})
	r.want(t, `still not empty after 1000 runs; the last: greet (job 1, queue "default", attempt 1000) released for 0s: again`)
	if !r.ended {
		t.Error("the test goes on")
	}
}

func TestF2_WrongHandlersEndTheTest(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, greet{})
		q.RunOne(worker.NewMux())
	})
	r.want(t, "sqlqueuetest: worker: the mux has no handlers")
	if !r.ended {
		t.Error("the test goes on")
	}
}

func TestF2_AHandlerEndsTheTest(t *testing.T) {
	for name, run := range map[string]func(q *sqlqueuetest.Queue, m *worker.Mux){
		"RunOne":        func(q *sqlqueuetest.Queue, m *worker.Mux) { q.RunOne(m) },
		"RunUntilEmpty": func(q *sqlqueuetest.Queue, m *worker.Mux) { q.RunUntilEmpty(m) },
	} {
		watch(t, func(t testing.TB) {
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			q.Worker.Backoff = worker.FixedBackoff(time.Hour) // on a slow machine the job would be due again before the run ends
			push(t, q.Queue, greet{})
			m := worker.NewMux()
			worker.Handle(m, func(context.Context, *worker.Job[greet]) error {
				t.Fatalf("not what %s expects", name)
				return nil
			})
			run(q, m)
			t.Errorf("the test goes on")
		}).want(t, "not what "+name+" expects")
	}
}

func TestF2_AHandlerThatOnlyBreaksDoesNotEndTheTest(t *testing.T) {
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		q.Worker.Backoff = worker.FixedBackoff(time.Second)
		push(t, q.Queue, greet{})
		push(t, q.Queue, greet{})
		m := worker.NewMux()
		worker.Handle(m, func(_ context.Context, job *worker.Job[greet]) error {
			if job.ID == 1 {
				runtime.Goexit() // and the test has not failed
			}
			t.Errorf("the handler has found something")
			panic("and more")
		})
		t.Errorf("%v", q.RunOne(m))
		t.Errorf("%v", q.RunOne(m).Err)
	}).want(t,
		`greet (job 1, queue "default", attempt 1) released for 1s: the handler called runtime.Goexit`,
		"the handler has found something",
		"panic: and more",
	)
}
