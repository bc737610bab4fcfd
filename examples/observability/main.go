// Command observability is a worker that can be watched: metrics for Prometheus, spans of OpenTelemetry, and a hook that tells an error
// tracker of what goes wrong. It pushes jobs itself, a few of which fail.
//
//	go run ./examples/observability
//	curl localhost:9464/metrics
//	docker compose -f examples/observability/compose.yaml up   # Prometheus at :9090, Grafana with the board at :3000
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/otelqueue"
	"github.com/sqlqueue/sqlqueue/promqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func main() {
	address := flag.String("address", "localhost:9464", "where to serve /metrics, /livez and /readyz")
	file := flag.String("database", "observability.db", "SQLite file")
	every := flag.Duration("every", 200*time.Millisecond, "how often a job is pushed")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *address, *file, *every, os.Stderr); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

// run works, pushes and serves until ctx ends. Logs and spans go to out.
func run(ctx context.Context, address, file string, every time.Duration, out io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(out, nil))
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return err
	}

	// An application has an exporter here, such as otlptracehttp.
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(logSpans{logger}))
	defer func() { err = errors.Join(err, provider.Shutdown(context.WithoutCancel(ctx))) }()
	tracing, err := otelqueue.New(otelqueue.Config{TracerProvider: provider})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	q, err := sqlitequeue.New(db, sqlqueue.Config{OnPush: sqlqueue.PushHooks(promqueue.Pushes(registry), tracing.OnPush)})
	if err != nil {
		return err
	}
	registry.MustRegister(promqueue.Collector(q))
	config := worker.Config{
		Logger: logger, LogDone: slog.LevelDebug, Health: &worker.Health{}, Tries: 3, Backoff: worker.FixedBackoff(time.Second),
	}
	promqueue.Worker(registry).Install(&config)
	tracker := &tracker{logger: logger}
	config.OnFailed = tracker.failed

	mux := worker.NewMux()
	mux.Use(tracing.Middleware, tracker.middleware)
	mux.HandleFunc("charge_card", chargeCard)

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: watched(registry, config.Health), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	defer func() { err = errors.Join(err, server.Close()) }()
	logger.Info("listening", "address", listener.Addr().String())

	working, stopWorking := context.WithCancel(ctx)
	worked := make(chan error, 1)
	go func() {
		defer stopWorking()
		worked <- worker.New(q, mux, config).Run(working)
	}()
	push(working, q, every, logger)
	return <-worked
}

func watched(registry *prometheus.Registry, health *worker.Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /livez", health.Live())
	mux.Handle("GET /readyz", health.Ready())
	return mux
}

// push pushes jobs until ctx ends.
func push(ctx context.Context, q *sqlqueue.Queue, every time.Duration, logger *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := q.Push(ctx, sqlqueue.Named("charge_card", n)); err != nil && ctx.Err() == nil {
			logger.Error("push", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// chargeCard is a handler that sometimes fails: each tenth order always does.
func chargeCard(ctx context.Context, job *worker.Job[json.RawMessage]) error {
	select {
	case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var order int
	if err := json.Unmarshal(job.Data, &order); err != nil {
		return worker.Fail(err)
	}
	if order%10 == 0 {
		return fmt.Errorf("order %d: the bank does not answer", order)
	}
	return nil
}

// tracker stands for an error tracker, such as Sentry: Capture is what its client has.
type tracker struct{ logger *slog.Logger }

// middleware tells it of each run that goes wrong, with what is known of the job, and of panics, which go on.
func (t *tracker) middleware(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
		returned := false
		defer func() {
			if !returned {
				t.capture(errors.New("the handler panicked"), job.JobInfo, "panic")
			}
		}()
		err := next(ctx, job)
		returned = true
		if outcome := worker.OutcomeOf(err); err != nil && (outcome == worker.Failed || outcome == worker.Released) &&
			!worker.IsRelease(err) {
			t.capture(err, job.JobInfo, "warning")
		}
		return err
	}
}

// failed tells it of jobs that have failed for good.
func (t *tracker) failed(_ context.Context, job *worker.Job[json.RawMessage], err error) error {
	t.capture(err, job.JobInfo, "error")
	return nil // it moves to the failed jobs
}

func (t *tracker) capture(err error, job worker.JobInfo, level string) {
	t.logger.Info("captured", "level", level, "error", err, "job", job.Name, "id", job.ID, "attempt", job.Attempts,
		"trace", string(job.Trace))
}

// logSpans stands for an exporter.
type logSpans struct{ logger *slog.Logger }

func (l logSpans) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		l.logger.Info("span", "name", span.Name(), "trace_id", span.SpanContext().TraceID().String(),
			"took", span.EndTime().Sub(span.StartTime()), "links", len(span.Links()))
	}
	return nil
}

func (l logSpans) Shutdown(context.Context) error { return nil }
