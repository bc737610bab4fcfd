package run

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/scrape"
	"github.com/sqlqueue/sqlqueue/worker"
)

// checkMetrics completes the address.
func (w *Work) checkMetrics() (err error) {
	switch {
	case w.metrics == "":
		return nil
	case w.processes > 0:
		const says = "--metrics is for one worker process: with --processes all would listen at the same address"
		return exit.Usagef(says + "; use --concurrency, or start several")
	}
	if w.metrics, err = scrape.ParseAddress(w.metrics); err != nil {
		return exit.Usagef("--metrics: %w", err)
	}
	return nil
}

// serveMetrics serves what watches over the worker, if that is wanted, until stop is called.
func (w *Work) serveMetrics(ctx context.Context, d *open.Database, config *worker.Config) (stop func(), err error) {
	if w.metrics == "" {
		return func() {}, nil
	}
	at, stop, err := scrape.Serve(ctx, w.metrics, scrape.Worker(d.Queue, config))
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	config.Logger.Info("serving metrics", "address", at)
	return stop, nil
}
