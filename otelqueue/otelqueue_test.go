package otelqueue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sqlqueue/sqlqueue/otelqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

// site is a queue and a mux with tracing.
type site struct {
	t       *testing.T
	queue   *sqlqueue.Queue
	mux     *worker.Mux
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
	tracer  trace.Tracer
	log     bytes.Buffer
}

func newSite(t *testing.T, config otelqueue.Config) *site {
	t.Helper()
	s := &site{t: t, mux: worker.NewMux(), spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))
	s.tracer = provider.Tracer("test")
	config.TracerProvider, config.MeterProvider = provider, sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics))
	tracing, err := otelqueue.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.queue = sqlqueuetest.New(t, sqlqueue.Config{OnPush: tracing.OnPush}).Queue
	s.mux.Use(tracing.Middleware)
	return s
}

func (s *site) handle(name string, f func(ctx context.Context) error, settings ...worker.Settings) {
	s.mux.HandleFunc(name, func(ctx context.Context, _ *worker.Job[json.RawMessage]) error { return f(ctx) }, settings...)
}

func (s *site) push(ctx context.Context, name string) {
	s.t.Helper()
	if _, err := s.queue.Push(ctx, sqlqueue.Named(name, 1)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) drain() {
	s.t.Helper()
	config := worker.Config{
		StopWhenEmpty: true, Backoff: worker.FixedBackoff(time.Hour), Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	if err := worker.New(s.queue, s.mux, config).Run(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// span returns the only span of a title with a job's name, or with none if that is empty.
func (s *site) span(title, name string) tracetest.SpanStub {
	s.t.Helper()
	var found []tracetest.SpanStub
	for _, span := range s.spans.GetSpans() {
		if span.Name == title && attributesOf(span.Attributes)["sqlqueue.job.name"] == name {
			found = append(found, span)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%d spans %q of %q, want 1: %v", len(found), title, name, s.spans.GetSpans())
	}
	return found[0]
}

func attributesOf(all []attribute.KeyValue) map[string]string {
	values := map[string]string{}
	for _, a := range all {
		values[string(a.Key)] = a.Value.String()
	}
	return values
}

// has checks attributes; those that are wanted empty must not be there.
func has(t *testing.T, got []attribute.KeyValue, want map[string]string) {
	t.Helper()
	values := attributesOf(got)
	for key, value := range want {
		if values[key] != value {
			t.Errorf("%s is %q, want %q", key, values[key], value)
		}
	}
}

func TestARunIsLinkedToItsPush(t *testing.T) {
	t.Parallel()
	s := newSite(t, otelqueue.Config{BodySize: true})
	s.handle("first", func(ctx context.Context) error { s.push(ctx, "second"); return nil })
	s.handle("second", func(context.Context) error { return nil })
	ctx, request := s.tracer.Start(t.Context(), "request")
	s.push(ctx, "first")
	request.End()
	s.drain()

	sent, processed := s.span("send default", "first"), s.span("process default", "first")
	if sent.Parent.SpanID() != request.SpanContext().SpanID() || sent.SpanKind != trace.SpanKindProducer {
		t.Errorf("the push: %+v", sent)
	}
	if len(processed.Links) != 1 || processed.Links[0].SpanContext.SpanID() != sent.SpanContext.SpanID() ||
		processed.Parent.IsValid() || processed.SpanKind != trace.SpanKindConsumer {
		t.Errorf("the run: %+v", processed)
	}
	has(t, sent.Attributes, map[string]string{
		"messaging.system": "sqlqueue", "messaging.operation.name": "send", "messaging.operation.type": "send",
		"messaging.destination.name": "default", "messaging.message.id": "1", "error.type": "",
	})
	has(t, processed.Attributes, map[string]string{
		"messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": "default",
		"messaging.message.id": "1", "sqlqueue.job.attempt": "1",
		"sqlqueue.job.priority": "0", "sqlqueue.job.outcome": "done", "error.type": "",
		"messaging.message.body.size": "90",
	})
	// A push in a handler belongs to its run, and so on.
	second := s.span("send default", "second")
	if second.SpanContext.TraceID() != processed.SpanContext.TraceID() || second.Parent.SpanID() != processed.SpanContext.SpanID() {
		t.Errorf("the push of the handler: %+v", second)
	}
	if want := "trace_id=" + processed.SpanContext.TraceID().String() + " span_id=" +
		processed.SpanContext.SpanID().String(); !strings.Contains(s.log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, s.log.String())
	}
}

func TestChild(t *testing.T) {
	t.Parallel()
	s := newSite(t, otelqueue.Config{Child: true})
	s.handle("a", func(context.Context) error { return nil })
	s.push(t.Context(), "a")
	s.drain()
	sent, processed := s.span("send default", "a"), s.span("process default", "a")
	if processed.Parent.SpanID() != sent.SpanContext.SpanID() || len(processed.Links) != 0 {
		t.Errorf("the run: %+v", processed)
	}
}

func TestHowRunsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, otelqueue.Config{})
	s.handle("error", func(context.Context) error { return &customError{} })
	s.handle("fail", func(context.Context) error { return worker.Fail(errors.New("no")) })
	s.handle("panic", func(context.Context) error { panic("no") })
	s.handle("snooze", func(context.Context) error { return worker.Snooze(time.Hour) })
	s.handle("release", func(context.Context) error { return worker.Release(time.Hour) })
	s.handle("timeout", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, worker.Settings{Timeout: time.Millisecond})
	for name, want := range map[string]map[string]string{
		"error":   {"error.type": "*otelqueue_test.customError", "sqlqueue.job.outcome": "released"},
		"fail":    {"error.type": "*errors.errorString", "sqlqueue.job.outcome": "failed"},
		"panic":   {"error.type": "panic", "sqlqueue.job.outcome": "released"},
		"timeout": {"error.type": "timeout", "sqlqueue.job.outcome": "released"},
		"snooze":  {"error.type": "", "sqlqueue.job.outcome": "snoozed"},
		"release": {"error.type": "", "sqlqueue.job.outcome": "released"},
	} {
		s.push(t.Context(), name)
		s.drain()
		span := s.span("process default", name)
		has(t, span.Attributes, want)
		if failed := span.Status.Code == codes.Error; failed != (want["error.type"] != "") {
			t.Errorf("%s: the status is %v", name, span.Status)
		}
	}
}

type customError struct{}

func (*customError) Error() string { return "custom" }

func TestManyJobsAreOneSpan(t *testing.T) {
	t.Parallel()
	s := newSite(t, otelqueue.Config{})
	jobs := []sqlqueue.Pushable{sqlqueue.Named("a", 1), sqlqueue.With(sqlqueue.Named("b", 1), sqlqueue.OnQueue("other"))}
	if _, err := s.queue.PushMany(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	span := s.span("send", "")
	has(t, span.Attributes, map[string]string{"messaging.batch.message_count": "2", "messaging.destination.name": ""})
	if span.SpanKind != trace.SpanKindClient {
		t.Errorf("its kind is %v", span.SpanKind)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t, otelqueue.Config{})
	s.handle("a", func(context.Context) error { return nil })
	s.push(t.Context(), "a")
	s.push(t.Context(), "a")
	s.drain()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.queue.Push(canceled, sqlqueue.Named("a", 1)); err == nil {
		t.Fatal("a push with a canceled context")
	}
	var all metricdata.ResourceMetrics
	if err := s.metrics.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				counts[m.Name] += p.Value
				has(t, p.Attributes.ToSlice(), map[string]string{
					"messaging.destination.name": "default", "sqlqueue.job.name": "a", "messaging.message.id": "",
				})
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				counts[m.Name] += int64(p.Count)
				if len(p.Bounds) != 14 || p.Bounds[0] != .005 || p.Bounds[13] != 10 {
					t.Errorf("%s has the bounds %v", m.Name, p.Bounds)
				}
			}
		}
	}
	for _, name := range []string{
		"messaging.client.sent.messages", "messaging.client.consumed.messages", "messaging.process.duration",
		"messaging.client.operation.duration",
	} {
		if counts[name] != 2 {
			t.Errorf("%s is %d, want 2: %v", name, counts[name], counts)
		}
	}
}

// Without a TracerProvider nothing travels with the jobs.
func TestNothingIsStoredWithoutASpan(t *testing.T) {
	t.Parallel()
	tracing, err := otelqueue.New(otelqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	jobs := []sqlqueue.Pushing{{Queue: "default", Name: "a"}}
	_, ended := tracing.OnPush(t.Context(), jobs)
	ended([]sqlqueue.Pushed{{ID: 1}}, nil)
	if jobs[0].Trace != "" {
		t.Errorf("the trace is %q", jobs[0].Trace)
	}
	// That of the caller goes on, also through a provider that makes no spans of its own.
	parent := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	})
	tracing.OnPush(trace.ContextWithSpanContext(t.Context(), parent), jobs)
	if want := sqlqueue.Trace("00-" + parent.TraceID().String() + "-" + parent.SpanID().String() + "-01"); jobs[0].Trace != want {
		t.Errorf("the trace is %q, want %q", jobs[0].Trace, want)
	}
}
