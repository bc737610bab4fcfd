package guide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

var errNoOrder = errors.New("no such order")

type mailer func(ctx context.Context, order int64) (status int, err error)

func (m mailer) send(ctx context.Context, job *worker.Job[SendInvoice]) error {
	status, err := m(ctx, job.Data.OrderID)
	switch {
	case errors.Is(err, errNoOrder):
		return worker.Fail(err) // another try would not help
	case status == http.StatusTooManyRequests:
		return worker.Snooze(time.Minute) // not the job's fault: the attempt does not count
	case err != nil:
		return fmt.Errorf("order %d: %w", job.Data.OrderID, err) // run again later
	}
	return nil // done
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		err     error
		outcome sqlqueuetest.Outcome
	}{
		{http.StatusOK, nil, sqlqueuetest.Processed},
		{0, errNoOrder, sqlqueuetest.Failed},
		{http.StatusTooManyRequests, nil, sqlqueuetest.Released},
		{0, errors.New("connection refused"), sqlqueuetest.Released},
	} {
		q := openShop(t)
		if _, err := q.Push(t.Context(), SendInvoice{OrderID: 42}); err != nil {
			t.Fatal(err)
		}
		mux := worker.NewMux()
		worker.Handle(mux, mailer(func(context.Context, int64) (int, error) { return c.status, c.err }).send)
		if got := q.RunOne(mux); got.Outcome != c.outcome {
			t.Errorf("status %d, error %v: %v, want %s", c.status, c.err, got, c.outcome)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	ctx := t.Context()
	mux := worker.NewMux()
	sendInvoice := mailer(func(context.Context, int64) (int, error) { return 0, errors.New("connection refused") }).send

	worker.Handle(mux, sendInvoice, worker.Settings{
		Tries:   5,
		Timeout: 10 * time.Second,
		Backoff: worker.ListBackoff(time.Second, time.Minute, time.Hour), // the last one repeats
	})

	_, err := q.Push(ctx, SendInvoice{OrderID: 42}, sqlqueue.Tries(2), sqlqueue.BackoffList(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Released || got.Delay != time.Minute {
		t.Errorf("the first run: %v", got)
	}
	q.Advance(time.Minute)
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Failed {
		t.Errorf("the second run: %v", got)
	}
	if err := retryInvoices(ctx, q.Queue); err != nil {
		t.Fatal(err)
	}
	q.AssertCount(2) // the retried job is a new one
}

func retryInvoices(ctx context.Context, q *sqlqueue.Queue) error {
	op := operator.New(q)
	failed, err := op.FailedJobs(ctx, operator.FailedFilter{Name: "send_invoice"})
	if err != nil {
		return err
	}
	for _, job := range failed {
		fmt.Println(job.ID, job.Queue, job.Error)
	}
	_, err = op.Retry(ctx, operator.FailedFilter{Name: "send_invoice"})
	return err
}

type Import struct{ File string }

func (Import) JobName() string { return "import" }

func (i Import) Failed(ctx context.Context, err error) error {
	return tellSupport(ctx, i.File, err) // nil: the job moves to the failed jobs
}

var told = make(chan string, 1)

func tellSupport(_ context.Context, file string, err error) error {
	told <- file + ": " + err.Error()
	return nil
}

func TestFailedMethod(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if _, err := q.Push(t.Context(), Import{File: "a.csv"}); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[Import]) error { return worker.Fail(errors.New("no such file")) })
	q.RunOne(mux)
	if got := <-told; got != "a.csv: no such file" {
		t.Errorf("support was told %q", got)
	}
}
