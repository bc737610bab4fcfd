package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// command is a child.Command or a *child.Reused.
type command interface {
	Run(ctx context.Context, job child.Job) error
}

// execHandler returns a handler that runs each job by a command, and makes of its end or its answer what becomes of the job. A job that
// is released without a delay waits as after an error. The end of atOnce ends the handlers' contexts too.
func execHandler(atOnce context.Context, command command, backoff worker.Backoff) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
		ctx, end := endsWith(ctx, atOnce)
		defer end()
		err := command.Run(ctx, child.Job{
			ID: job.ID, Name: job.Name, Queue: job.Queue, Attempts: job.Attempts, Payload: job.Payload, Data: job.Data,
			Trace: string(job.Trace), Told: func(line string) bool { return told(job.JobInfo, line) },
		})
		var failed *child.FailError
		var released *child.ReleaseError
		switch {
		case errors.Is(err, child.ErrDiscard):
			return worker.Discard()
		case errors.As(err, &released) && released.Snooze:
			return worker.Snooze(released.Delay)
		case errors.As(err, &released):
			return worker.Release(released.Delay)
		case errors.Is(err, child.ErrRelease):
			return worker.Release(releaseDelay(job.JobInfo, backoff))
		case errors.As(err, &failed):
			return worker.Fail(failed)
		case errors.Is(err, child.ErrNotStarted):
			return worker.CannotStart(err)
		}
		return err
	}
}

// told reads a line of a command that is for the worker: "sqlqueue:progress 0.4 text" or "sqlqueue:result JSON". It reports whether it was
// one: a wrong one is passed on, for people to see.
func told(job worker.JobInfo, line string) bool {
	if value, ok := strings.CutPrefix(line, child.ProgressLine); ok {
		number, text, _ := strings.Cut(strings.TrimSpace(value), " ")
		fraction, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(fraction) {
			return false
		}
		job.Progress(fraction, strings.TrimSpace(text))
		return true
	}
	value, ok := strings.CutPrefix(line, child.ResultLine)
	return ok && json.Valid([]byte(value)) && job.SetResult(json.RawMessage(value)) == nil
}

// endsWith returns a context that also ends when the other one does.
func endsWith(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() { stop(); cancel(nil) }
}

func releaseDelay(job worker.JobInfo, backoff worker.Backoff) time.Duration {
	if payload, err := sqlqueue.ParsePayload(job.Payload); err == nil && payload.Backoff != nil {
		return payload.Backoff.After(job.Attempts)
	}
	return backoff(job.Attempts)
}

// passOn returns what prints a command's lines: as they are, with the job's id before them, or as JSON like the rest of the log.
func passOn(w io.Writer, logFormat string, logger *slog.Logger) func(child.Job, string) {
	if logFormat == "json" {
		return func(job child.Job, line string) { logger.Info("output", "id", job.ID, "line", line) }
	}
	return func(job child.Job, line string) { fmt.Fprintf(w, "job %d: %s\n", job.ID, line) }
}
