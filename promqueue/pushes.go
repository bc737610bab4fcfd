package promqueue

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Pushes registers the count of the jobs that this process pushes, and returns the hook for sqlqueue.Config.OnPush. A job that was left out
// for its key is not counted; one in a transaction that is rolled back is. It panics if the registry has another metric of this name.
func Pushes(registry prometheus.Registerer) sqlqueue.PushHook {
	pushed := register(registry, counterVec("pushed_total", "Jobs that this process has pushed.", "queue", "name"))
	series := newPairs(func(p pair) prometheus.Counter { return pushed.WithLabelValues(p.queue, p.name) })
	return func(ctx context.Context, jobs []sqlqueue.Pushing) (context.Context, func([]sqlqueue.Pushed, error)) {
		for _, job := range jobs {
			series.of(job.Queue, job.Name)
		}
		return ctx, func(became []sqlqueue.Pushed, err error) {
			if err != nil {
				return
			}
			for i, job := range jobs {
				if i < len(became) && !became[i].Duplicate {
					series.of(job.Queue, job.Name).Inc()
				}
			}
		}
	}
}
