package worker

import (
	"context"
	"log/slog"
)

// logWith is what middleware adds to the worker's lines about a run.
type logWith struct {
	ctx   context.Context //nolint:containedctx // for the lines that come when the handler has returned
	attrs []slog.Attr
}

// LogWith has the worker log its lines about this run with the context, which a slog.Handler may look at, and with these attributes
// besides its own: the ids of a trace, say. The last call counts. It does nothing in sync mode, and in a child process of listen.
func (j JobInfo) LogWith(ctx context.Context, attrs ...slog.Attr) {
	j.with().log.Store(&logWith{context.WithoutCancel(ctx), attrs})
}
