// Package promqueue measures queues and workers for Prometheus.
//
//	registry.MustRegister(promqueue.Collector(q))              // in one process: what the queues hold
//	promqueue.Worker(registry).Install(&workerConfig)          // in each worker: what it does
//	queueConfig.OnPush = promqueue.Pushes(registry)            // in each process that pushes: what it pushes
//
// Names of queues and jobs are labels, of which there are at most 200 queues and 500 pairs of queue and name in a process: the rest counts
// as "other". The queue of a batch, name/b<id>, counts as name/b*. docs/metrics.md has all metrics, and what their alerts ask for.
package promqueue

import "strings"

const (
	mostQueues = 200
	mostPairs  = 500
	other      = "other" // stands for the queues and names above these

	namespace = "sqlqueue"
)

// queueLabel is a queue's name as a label: batches, which have a queue each, share one.
func queueLabel(queue string) string {
	i := strings.LastIndex(queue, "/b")
	if i < 0 || i+len("/b") == len(queue) || strings.Trim(queue[i+len("/b"):], "0123456789") != "" {
		return queue
	}
	return queue[:i] + "/b*"
}
