package operator

import (
	"context"
	"slices"
	"time"
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
		for _, w := range workers {
			if !w.Dead && slices.Contains(w.Queues, queue) {
				loads[i].Workers++
			}
		}
	}
	return loads, nil
}
