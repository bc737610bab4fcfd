package otelqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Middleware is for worker.Mux.Use, the outermost: a CONSUMER span around each handler, from its start until it returns. The worker's log
// lines about the run get trace_id and span_id.
func (t *Tracing) Middleware(next worker.Handler) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) (err error) {
		began := time.Now()
		basic := operation("process", semconv.MessagingOperationTypeProcess, job.Queue, job.Name)
		ctx, span := t.start(ctx, job, began, basic)
		if c := span.SpanContext(); c.IsValid() {
			job.LogWith(ctx, slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
		}
		returned := false
		defer func() { // also when the handler panics, which goes on
			kind, status := "panic", "the handler panicked"
			if returned {
				kind, status = errorType(err, context.Cause(ctx)), ""
				if err != nil {
					status = err.Error()
				}
			}
			outcome := worker.Released
			if returned {
				outcome = worker.OutcomeOf(err)
			}
			span.SetAttributes(keyJobOutcome.String(string(outcome)))
			if asked := outcome == worker.Snoozed || outcome == worker.Discarded || worker.IsRelease(err); kind != "" && !asked {
				failed := semconv.ErrorTypeKey.String(kind)
				span.SetAttributes(failed)
				span.SetStatus(codes.Error, status)
				basic = append(basic, failed)
			}
			span.End()
			t.process.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(basic...))
			t.consumed.Add(ctx, 1, metric.WithAttributes(basic...))
		}()
		err = next(ctx, job)
		returned = true
		return err
	}
}

// start starts the span of a run.
func (t *Tracing) start(
	ctx context.Context, job *worker.Job[json.RawMessage], began time.Time, basic []attribute.KeyValue,
) (context.Context, trace.Span) {
	attrs := append([]attribute.KeyValue{
		semconv.MessagingMessageID(strconv.FormatInt(job.ID, 10)), keyJobAttempt.Int(job.Attempts), keyJobPriority.Int(int(job.Priority)),
	}, basic...)
	if t.config.BodySize {
		attrs = append(attrs, semconv.MessagingMessageBodySize(len(job.Payload)))
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...), trace.WithTimestamp(began),
	}
	switch pushed := contextOf(job.Trace); {
	case !pushed.IsValid():
	case t.config.Child:
		ctx = trace.ContextWithRemoteSpanContext(ctx, pushed)
	default:
		options = append(options, trace.WithLinks(trace.Link{SpanContext: pushed}))
	}
	return t.tracer.Start(ctx, "process "+job.Queue, options...)
}

// errorType names what went wrong: timeout, lost, panic, or the Go type of the innermost error. It is empty for nil.
func errorType(err, cause error) string {
	switch {
	case errors.Is(cause, worker.ErrTimedOut), errors.Is(err, worker.ErrTimedOut):
		return "timeout"
	case errors.Is(cause, sqlqueue.ErrReservationLost), errors.Is(err, sqlqueue.ErrReservationLost):
		return "lost"
	case err == nil:
		return ""
	}
	if _, ok := errors.AsType[*worker.PanicError](err); ok {
		return "panic"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return fmt.Sprintf("%T", err)
}
