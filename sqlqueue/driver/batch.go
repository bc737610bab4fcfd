package driver

import (
	"context"
	"encoding/json"
	"time"
)

// Batch is a row of the table of batches: a queue that ends. Its jobs are those of its queue.
type Batch struct {
	ID          int64           `json:"id"`
	Queue       string          `json:"queue"`
	Name        string          `json:"name"`
	Total       int64           `json:"total"` // how many jobs were pushed into it
	OnSuccess   json.RawMessage `json:"on_success,omitzero"`
	OnFinish    json.RawMessage `json:"on_finish,omitzero"`
	OnFailure   json.RawMessage `json:"on_failure,omitzero"`
	CreatedAt   time.Time       `json:"created_at,omitzero"`
	SealedAt    time.Time       `json:"sealed_at,omitzero"`    // zero: not sealed yet
	FailedAt    time.Time       `json:"failed_at,omitzero"`    // zero: no failed job was found
	FinishedAt  time.Time       `json:"finished_at,omitzero"`  // zero: not yet
	SucceededAt time.Time       `json:"succeeded_at,omitzero"` // zero: not yet
	ClosedAt    time.Time       `json:"closed_at,omitzero"`    // succeeded, or cancelled; zero: neither
}

// BatchLook asks which batches have ended. A batch finishes when it is sealed and its queue is empty; it succeeds if none of its jobs is
// among the failed jobs then; it fails with its first failed job. Each happens once, in the transaction that pushes its callback.
type BatchLook struct {
	Queues []string // look at the batches of these queues; other queues are ignored
	Sweep  bool     // look at the next open batches, of any queue, in the order of their ids
	After  int64    // for Sweep: those with a greater id

	// Callback makes a job from the value of a column of callbacks. Failure is the error of a failed job, for OnFailure.
	Callback func(b Batch, callback json.RawMessage, failure string) NewJob
}

// BatchLooked is the answer to a BatchLook.
type BatchLooked struct {
	Open   bool     // of a Sweep: there are open batches
	After  int64    // of a Sweep: the greatest id that was looked at, if there are more; otherwise 0
	Pushed []NewJob // the callbacks
}

// Batcher is a Store that keeps batches.
type Batcher interface {
	// CreateBatch makes a batch. Its queue is name/b<id>.
	CreateBatch(ctx context.Context, name string) (Batch, error)

	// Batch returns a batch, or ErrNoBatch.
	Batch(ctx context.Context, id int64) (Batch, error)

	// PushBatch pushes jobs into a batch's queue, and counts them, in one transaction. The error is ErrBatchEnded if the batch has finished
	// or was closed, and ErrNoBatch if it does not exist.
	PushBatch(ctx context.Context, id int64, jobs []NewJob) ([]Pushed, error)

	// SealBatch writes the batch's callbacks and the time. A batch without jobs ends at once: look.Callback makes its callbacks, which are
	// returned. The errors are those of PushBatch; ErrBatchEnded also if the batch is sealed already.
	SealBatch(ctx context.Context, b Batch, look BatchLook) ([]NewJob, error)

	// LookBatches finds batches that have ended. It skips a batch that another transaction has locked, until the next look.
	LookBatches(ctx context.Context, look BatchLook) (BatchLooked, error)
}
