package otelqueue

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// OnPush is the hook for sqlqueue.Config.OnPush: see sqlqueue.PushHook. One job is a PRODUCER span, several are one CLIENT span, and all
// carry its context. Only what has a valid span is traced: with no TracerProvider nothing is stored with the jobs.
func (t *Tracing) OnPush(ctx context.Context, jobs []sqlqueue.Pushing) (context.Context, func([]sqlqueue.Pushed, error)) {
	if len(jobs) == 0 {
		return ctx, nil
	}
	began := time.Now()
	queue, name := common(jobs)
	attrs := operation("send", semconv.MessagingOperationTypeSend, queue, name)
	kind := trace.SpanKindProducer
	if len(jobs) > 1 {
		kind = trace.SpanKindClient
		attrs = append(attrs, semconv.MessagingBatchMessageCount(len(jobs)))
	}
	title := "send"
	if queue != "" {
		title += " " + queue
	}
	ctx, span := t.tracer.Start(ctx, title, trace.WithSpanKind(kind), trace.WithAttributes(attrs...), trace.WithTimestamp(began))
	traceparent := traceparentOf(span.SpanContext())
	for i := range jobs {
		jobs[i].Trace = traceparent
	}
	return ctx, func(pushed []sqlqueue.Pushed, err error) {
		defer span.End()
		var failed []attribute.KeyValue
		switch {
		case err != nil:
			failed = []attribute.KeyValue{semconv.ErrorTypeKey.String(errorType(err, nil))}
			span.SetAttributes(failed...)
			span.SetStatus(codes.Error, err.Error())
		case len(pushed) == 1:
			span.SetAttributes(semconv.MessagingMessageID(strconv.FormatInt(pushed[0].ID, 10)))
		}
		took := time.Since(began).Seconds()
		t.operation.Record(ctx, took, metric.WithAttributes(
			append(operation("send", semconv.MessagingOperationTypeSend, queue, name), failed...)...))
		for _, job := range jobs {
			t.sent.Add(ctx, 1, metric.WithAttributes(
				append(operation("send", semconv.MessagingOperationTypeSend, job.Queue, job.Name), failed...)...))
		}
	}
}

// common are the queue and the name that all jobs have, or empty.
func common(jobs []sqlqueue.Pushing) (queue, name string) {
	queue, name = jobs[0].Queue, jobs[0].Name
	for _, job := range jobs[1:] {
		if job.Queue != queue {
			queue = ""
		}
		if job.Name != name {
			name = ""
		}
	}
	return queue, name
}

// traceparentOf writes a span's context, or nothing if it is not valid.
func traceparentOf(c trace.SpanContext) sqlqueue.Trace {
	if !c.IsValid() {
		return ""
	}
	return sqlqueue.Trace("00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + (c.TraceFlags() & trace.FlagsSampled).String())
}

// contextOf reads what traceparentOf has written. It is not valid if there is none.
func contextOf(traceparent sqlqueue.Trace) trace.SpanContext {
	if len(traceparent) != len("00-")+32+1+16+1+2 {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(string(traceparent[3:35]))
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(string(traceparent[36:52]))
	if err != nil {
		return trace.SpanContext{}
	}
	flags, _ := strconv.ParseUint(string(traceparent[53:]), 16, 8) // it was checked when the payload was read
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & trace.FlagsSampled, Remote: true,
	})
}
