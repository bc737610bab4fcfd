package guide

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

func logSlowJobs(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
		start := time.Now()
		err := next(ctx, job)
		if took := time.Since(start); took >= slow {
			slog.WarnContext(ctx, "slow job", "name", job.Name, "id", job.ID, "took", took, "outcome", worker.OutcomeOf(err))
		}
		return err
	}
}

const slow = 0 // so that all jobs of the test are slow

// missingRowsFail makes an error that will not go away fail the job at once, whichever handler returns it.
func missingRowsFail(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
		err := next(ctx, job)
		if errors.Is(err, sql.ErrNoRows) {
			return worker.Fail(err)
		}
		return err
	}
}

func TestMiddleware(t *testing.T) { // not parallel: it changes the default logger
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	mux := worker.NewMux()
	mux.Use(logSlowJobs, missingRowsFail) // the first is the outermost
	worker.Handle(mux, func(context.Context, *worker.Job[SendInvoice]) error { return sql.ErrNoRows })

	q := openShop(t)
	if _, err := q.Push(t.Context(), SendInvoice{OrderID: 42}); err != nil {
		t.Fatal(err)
	}
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Failed {
		t.Error(got)
	}
	if !strings.Contains(log.String(), `msg="slow job" name=send_invoice id=1`) {
		t.Errorf("the log is %q", log.String())
	}
}

func TestFailureHook(t *testing.T) {
	t.Parallel()
	var reported error
	report := func(_ context.Context, err error, _ ...any) { reported = err }

	config := worker.Config{
		Logger:  slog.New(slog.DiscardHandler), // the application's own logger
		LogDone: slog.LevelDebug,               // no line for jobs that went well
		OnFailed: func(ctx context.Context, job *worker.Job[json.RawMessage], err error) error {
			report(ctx, err, "job", job.Name, "id", job.ID)
			var panicked *worker.PanicError
			if errors.As(err, &panicked) {
				report(ctx, err, "stack", panicked.Stack)
			}
			return nil // keep it among the failed jobs
		},
	}

	q := openShop(t)
	q.Worker = config
	q.Worker.Tries = 1
	if _, err := q.Push(t.Context(), SendInvoice{OrderID: 42}); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[SendInvoice]) error { panic("no printer") })
	if got := q.RunOne(mux); got.Outcome != sqlqueuetest.Failed {
		t.Error(got)
	}
	if reported == nil || !strings.Contains(reported.Error(), "no printer") {
		t.Errorf("reported was %v", reported)
	}
}
