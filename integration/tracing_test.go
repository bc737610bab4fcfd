package integration

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sqlqueue/sqlqueue/otelqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

// TestTrace: one trace leads from a request over a job to the job that it pushes, in what a receiver gets by OTLP.
func TestTrace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []*otlp.Span
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request collector.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				got = append(got, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(receiver.Close)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithInsecure(),
		otlptracehttp.WithEndpoint(strings.TrimPrefix(receiver.URL, "http://")),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	tracing, err := otelqueue.New(otelqueue.Config{TracerProvider: provider, MeterProvider: sdkmetric.NewMeterProvider(), Child: true})
	if err != nil {
		t.Fatal(err)
	}
	q := sqlqueuetest.New(t, sqlqueue.Config{OnPush: tracing.OnPush}).Queue
	mux := worker.NewMux()
	mux.Use(tracing.Middleware)
	mux.HandleFunc("order", func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
		_, err := q.Push(ctx, sqlqueue.Named("invoice", nil))
		return err
	})
	mux.HandleFunc("invoice", func(context.Context, *worker.Job[json.RawMessage]) error { return nil })

	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	if _, err := q.Push(ctx, sqlqueue.Named("order", nil)); err != nil {
		t.Fatal(err)
	}
	request.End()
	if err := worker.New(q, mux, worker.Config{StopWhenEmpty: true}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	mu.Lock()
	defer mu.Unlock()
	if len(got) != 5 {
		t.Fatalf("%d spans, want 5: %v", len(got), got)
	}
	parent, path := "", []string(nil)
	for range got {
		for _, span := range got {
			if string(span.GetParentSpanId()) == parent && string(span.GetTraceId()) == string(got[0].GetTraceId()) {
				path, parent = append(path, span.GetName()), string(span.GetSpanId())
				break
			}
		}
	}
	if got, want := strings.Join(path, " > "), "request > send default > process default > send default > process default"; got != want {
		t.Errorf("the trace is %s, want %s", got, want)
	}
}
