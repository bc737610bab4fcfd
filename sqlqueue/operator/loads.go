package operator

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Load is how many jobs of a queue wait, and how many workers serve it.
type Load struct {
	Queue     string
	Ready     int64
	CountedTo int64     // as great, Ready stands for so many or more; zero: the queue is not known
	Oldest    time.Time // since when the oldest ready job has been available; zero: none is ready
	Workers   int       // that are alive
}

// Loads returns the load of each queue that is named. Ready jobs are counted up to most; 0: however far it goes.
func (o *Operator) Loads(ctx context.Context, queues []string, most int64) ([]Load, error) {
	held, err := o.Queues(ctx, most)
	if err != nil {
		return nil, err
	}
	workers, err := o.Workers(ctx)
	if err != nil {
		return nil, err
	}
	loads := make([]Load, len(queues))
	for i, queue := range queues {
		loads[i].Queue = queue
		for _, info := range held {
			if info.Queue == queue {
				loads[i].Ready, loads[i].CountedTo, loads[i].Oldest = info.Ready, info.CountedTo, info.Oldest
			}
		}
		loads[i].Workers = serving(workers, queue)
	}
	return loads, nil
}

// ServedQueue is what a queue holds, and how many workers serve it.
type ServedQueue struct {
	QueueInfo
	Workers int `json:"workers"` // that are alive; a pattern counts for every queue that it stands for
}

// ServedQueues is HeldQueues with the workers of each queue. Queues that workers name are among them also when nothing is in them.
func (o *Operator) ServedQueues(ctx context.Context, most int64) ([]ServedQueue, error) {
	infos, err := o.HeldQueues(ctx, most)
	if err != nil {
		return nil, err
	}
	workers, err := o.Workers(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, info := range infos {
		known[info.Queue] = true
	}
	for _, w := range workers {
		for _, name := range w.Queues {
			if !w.Dead && !known[name] && !driver.IsPattern(name) {
				known[name] = true
				infos = append(infos, QueueInfo{Queue: name, CountedTo: most, Control: Control{Queue: name}})
			}
		}
	}
	slices.SortFunc(infos, func(a, b QueueInfo) int { return cmp.Compare(a.Queue, b.Queue) })
	served := make([]ServedQueue, len(infos))
	for i, info := range infos {
		served[i] = ServedQueue{info, serving(workers, info.Queue)}
	}
	return served, nil
}

// serving counts the workers that are alive and serve a queue.
func serving(workers []Worker, queue string) (n int) {
	for _, w := range workers {
		if !w.Dead && slices.ContainsFunc(w.Queues, func(name string) bool { return name == queue || driver.InPattern(name, queue) }) {
			n++
		}
	}
	return n
}
