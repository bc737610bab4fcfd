// Package otelqueue traces and measures pushes and runs of jobs with OpenTelemetry.
//
//	t, err := otelqueue.New(otelqueue.Config{})
//	q, err := pgqueue.New(pool, sqlqueue.Config{OnPush: t.OnPush})
//	mux.Use(t.Middleware)
//
// A push is a span "send QUEUE", and its context travels with the job; a run is a span "process QUEUE", linked to it. Names and attributes
// are those of the semantic conventions for messaging. docs/tracing.md shows how to mount it.
package otelqueue

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0" // the version of all names here
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/sqlqueue/sqlqueue/otelqueue"

// Config holds a Tracing's settings. Its zero value works.
type Config struct {
	// TracerProvider makes the spans. Default: the global one.
	TracerProvider trace.TracerProvider

	// MeterProvider has the metrics. Default: the global one.
	MeterProvider metric.MeterProvider

	// Child makes a run's span a child of the push's, so that both are one trace. Default: a trace of its own, with a link.
	Child bool

	// BodySize adds the size of the job's payload, in bytes, to the spans of runs. Default: it does not.
	BodySize bool
}

// Tracing traces and measures. It is safe for concurrent use, and may serve any number of queues and workers.
type Tracing struct {
	config Config
	tracer trace.Tracer

	sent, consumed     metric.Int64Counter
	operation, process metric.Float64Histogram
}

// buckets are those that the conventions advise for durations.
var buckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// New returns a Tracing. The error is that of the MeterProvider.
func New(config Config) (*Tracing, error) {
	if config.TracerProvider == nil {
		config.TracerProvider = otel.GetTracerProvider()
	}
	if config.MeterProvider == nil {
		config.MeterProvider = otel.GetMeterProvider()
	}
	t := &Tracing{config: config, tracer: config.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))}
	meter := config.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	var errs [4]error
	t.sent, errs[0] = meter.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Number of messages producer attempted to send to the broker."))
	t.consumed, errs[1] = meter.Int64Counter("messaging.client.consumed.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Number of messages that were delivered to the application."))
	t.operation, errs[2] = meter.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of messaging operation initiated by a producer or consumer client."),
		metric.WithExplicitBucketBoundaries(buckets...))
	t.process, errs[3] = meter.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of processing operation."), metric.WithExplicitBucketBoundaries(buckets...))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("otelqueue: %w", err)
	}
	return t, nil
}

// Attributes that the conventions do not have.
const (
	keyJobName     = attribute.Key("sqlqueue.job.name")
	keyJobAttempt  = attribute.Key("sqlqueue.job.attempt")
	keyJobPriority = attribute.Key("sqlqueue.job.priority")
	keyJobOutcome  = attribute.Key("sqlqueue.job.outcome")
)

var system = semconv.MessagingSystemKey.String("sqlqueue")

// operation are the attributes of a push or a run, of spans and metrics.
func operation(name string, kind attribute.KeyValue, queue, job string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{system, semconv.MessagingOperationName(name), kind}
	if queue != "" {
		attrs = append(attrs, semconv.MessagingDestinationName(queue))
	}
	if job != "" {
		attrs = append(attrs, keyJobName.String(job))
	}
	return attrs
}
