package guide

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func runUntilSignal(q *sqlqueue.Queue, mux *worker.Mux, health *worker.Health) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	return worker.New(q, mux, worker.Config{
		Grace:  30 * time.Second, // how long running jobs may take after the signal
		Health: health,
	}).Run(ctx)
}

func probes(health *worker.Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", health.Live())
	mux.Handle("GET /readyz", health.Ready())
	return mux
}

func exportAll(ctx context.Context, rows []string, export func(string) error) error {
	for _, row := range rows {
		if ctx.Err() != nil {
			return context.Cause(ctx) // worker.ErrStopped, worker.ErrTimedOut or sqlqueue.ErrReservationLost
		}
		if err := export(row); err != nil {
			return err
		}
	}
	return nil
}

func TestExportAllStops(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	err := exportAll(ctx, []string{"1", "2"}, func(string) error {
		stop(worker.ErrStopped)
		return nil
	})
	if !errors.Is(err, worker.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	probes(&worker.Health{}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil))
	if answer.Code != http.StatusOK {
		t.Errorf("a worker that has not started yet: %d %s", answer.Code, answer.Body)
	}
}
