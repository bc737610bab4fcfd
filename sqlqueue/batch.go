package sqlqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
)

// Batch is a group of jobs that ends: when all are done, or one has failed, it pushes the jobs that Seal names. Its jobs are those of a
// queue of its own, name/b<id>, which a worker must serve. It is safe for concurrent use, as its Queue is.
type Batch struct {
	queue *Queue
	name  string

	mu sync.Mutex
	of driver.Batch // ID 0: its row is not there yet
}

// Batch returns a new batch. Its row is written with the first Push, Seal or Create, in the transaction that q is bound to, if it is.
func (q *Queue) Batch(name string) *Batch { return &Batch{queue: q, name: name} }

// BatchOf returns the batch of an id, to push more into it, or to seal it: from another process than the one that made it. If there is
// none, the first operation says so.
func (q *Queue) BatchOf(id int64) *Batch { return &Batch{queue: q, of: driver.Batch{ID: id}} }

// Callback is what a batch pushes when it ends: see OnSuccess, OnFinish and OnFailure.
type Callback struct {
	job Pushable
	put func(*driver.Batch, json.RawMessage)
}

// OnSuccess pushes a job once, when all jobs of the batch are done: also if some had failed, and were retried later. It finds the batch in
// JobInfo.Parent, as the others do, and goes to the Queue's own queue unless it has OnQueue; a Delay and a Priority, Then and Catch hold.
func OnSuccess(job Pushable) Callback {
	return Callback{job, func(b *driver.Batch, text json.RawMessage) { b.OnSuccess = text }}
}

// OnFinish pushes a job once, when no job of the batch is left that waits or runs: each is done, or has failed for good.
func OnFinish(job Pushable) Callback {
	return Callback{job, func(b *driver.Batch, text json.RawMessage) { b.OnFinish = text }}
}

// OnFailure pushes a job once, when the first job of the batch has failed for good. It finds the error in JobInfo.Parent.
func OnFailure(job Pushable) Callback {
	return Callback{job, func(b *driver.Batch, text json.RawMessage) { b.OnFailure = text }}
}

// Create writes the batch's row, if it is not there yet, and returns its id.
func (b *Batch) Create(ctx context.Context) (int64, error) {
	_, of, err := b.open(ctx)
	return of.ID, wrap("batch", err)
}

// Push pushes jobs into the batch, any number of times, also after Seal until the batch has finished: then the error is ErrBatchEnded. With
// gives a job options, but no queue. It returns the jobs' ids; the error may be a *DuplicateError, as of PushMany.
func (b *Batch) Push(ctx context.Context, jobs ...Pushable) ([]int64, error) {
	store, of, err := b.open(ctx)
	if err != nil || len(jobs) == 0 {
		return nil, wrap("batch", err)
	}
	rows := make([]driver.NewJob, 0, len(jobs))
	options := []PushOption{OnQueue(of.Queue)}
	var p push
	for i, job := range jobs {
		rows, err = b.queue.prepare(&p, rows, job, options)
		switch {
		case err != nil:
		case p.sync:
			err = errors.New("a job in sync mode has no batch")
		case len(p.queues) != 1 || p.queues[0] != of.Queue:
			err = fmt.Errorf("a job of a batch goes to the batch's queue %q: leave OnQueue out", of.Queue)
		}
		if err != nil {
			return nil, wrap("batch", fmt.Errorf("job %d of %d: %w", i+1, len(jobs), err))
		}
	}
	if err := b.queue.encryptRows(rows); err != nil {
		return nil, wrap("batch", err)
	}
	ctx, ended := b.queue.announce(ctx, rows)
	pushed, err := store.PushBatch(ctx, of.ID, rows)
	ended(pushed, err)
	if err != nil {
		return nil, wrap("batch", err)
	}
	b.queue.pushes.ring(rows)
	return idsOf(rows, pushed)
}

// Seal says that all jobs were pushed, and what to push when the batch ends, and returns the batch's id. Without it a batch does not end.
// One without jobs ends at once, and succeeds.
func (b *Batch) Seal(ctx context.Context, callbacks ...Callback) (int64, error) {
	store, of, err := b.open(ctx)
	if err != nil {
		return of.ID, wrap("seal", err)
	}
	for _, c := range callbacks {
		next, err := b.queue.next([]Pushable{c.job}, "the batch")
		if err == nil {
			if next[0].Queue == "" {
				next[0].Queue = b.queue.config.Queue
			}
			var text []byte
			if err = next[0].check(1); err == nil {
				text, err = valid(jsonobject.Marshal(next[0]))
			}
			if err == nil {
				text, err = b.queue.encryptCallback(text)
			}
			c.put(&of, text)
		}
		if err != nil {
			return of.ID, wrap("seal", err)
		}
	}
	pushed, err := store.SealBatch(ctx, of, driver.BatchLook{Callback: callbackJob})
	if err == nil {
		b.queue.pushes.ring(pushed)
	}
	return of.ID, wrap("seal", err)
}

// open returns the batch as it is in the table, and makes it if need be.
func (b *Batch) open(ctx context.Context) (driver.Batcher, driver.Batch, error) {
	store, err := b.queue.batcher(ctx)
	if err != nil {
		return nil, driver.Batch{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.of.Queue != "":
	case b.of.ID != 0:
		b.of, err = store.Batch(ctx, b.of.ID)
	default:
		if err = CheckQueueName(b.name + "/b9223372036854775807"); err == nil && b.name == "" {
			err = errors.New("the batch has an empty name")
		}
		if err == nil {
			b.of, err = store.CreateBatch(ctx, b.name)
		}
	}
	return store, b.of, err
}

func (q *Queue) batcher(ctx context.Context) (driver.Batcher, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, err
	}
	batcher, ok := driver.As[interface {
		driver.Store
		driver.Batcher
	}](store)
	if !ok {
		return nil, fmt.Errorf("batches: %w", errors.ErrUnsupported)
	}
	return batcher, nil
}

// LookBatches finds batches that have ended, for workers: see driver.Batcher. The error is errors.ErrUnsupported if the store keeps none.
func (q *Queue) LookBatches(ctx context.Context, look driver.BatchLook) (driver.BatchLooked, error) {
	store, err := q.batcher(ctx)
	if err != nil {
		return driver.BatchLooked{}, wrap("batches", err)
	}
	look.Callback = callbackJob
	looked, err := store.LookBatches(ctx, look)
	q.pushes.ring(looked.Pushed)
	return looked, wrap("batches", err)
}

// callbackJob makes a job of a batch's callback. One that another program wrote and that is wrong becomes a job as it is, which then fails
// and says why.
func callbackJob(b driver.Batch, callback json.RawMessage, failure string) driver.NewJob {
	const queue = "default" // of a callback that another program wrote, and that names none
	var next Next
	err := json.Unmarshal(callback, &next)
	if err == nil {
		err = next.check(1)
	}
	if err == nil {
		var job driver.NewJob
		if job, err = next.NewJob(queue, Parent{Batch: b.ID, Error: failure}); err == nil {
			return job
		}
	}
	return driver.NewJob{Queue: queue, Payload: callback}
}
