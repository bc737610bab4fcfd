package promqueue_test

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqlqueue/sqlqueue/promqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// What a process that pushes and runs jobs measures. One process alone has the Collector, or all would measure the same queues.
func Example() {
	registry := prometheus.NewRegistry()
	queueConfig := sqlqueue.Config{OnPush: promqueue.Pushes(registry)}
	workerConfig := worker.Config{Queues: []string{"mail"}}
	promqueue.Worker(registry).Install(&workerConfig)
	collect := func(q *sqlqueue.Queue) { registry.MustRegister(promqueue.Collector(q)) }
	_, _ = queueConfig, collect
}
