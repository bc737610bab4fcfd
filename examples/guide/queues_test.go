package guide

import (
	"context"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

func work(ctx context.Context, q *sqlqueue.Queue, mux *worker.Mux) error {
	return worker.New(q, mux, worker.Config{
		Queues:      []string{"high", "default", "mail/*"},
		Concurrency: 20,
	}).Run(ctx) // until ctx ends
}

func TestWork(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ran := make(chan string, 3)
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error {
		ran <- job.Queue
		if len(ran) == 3 {
			stop()
		}
		return nil
	})
	if _, err := q.Push(ctx, SendInvoice{OrderID: 42}, sqlqueue.OnQueue("default", "high", "mail/7")); err != nil {
		t.Fatal(err)
	}
	if err := work(ctx, q.Queue, mux); err != nil {
		t.Fatal(err)
	}
	if len(ran) != 3 {
		t.Errorf("%d jobs ran, want one of each queue", len(ran))
	}
}

func pauseMail(ctx context.Context, q *sqlqueue.Queue) error {
	return operator.New(q).As("ada", "admin page").Control(ctx, "mail", operator.ControlChange{
		Pause:    true,
		PauseFor: 10 * time.Minute, // without it the queue is paused until somebody resumes it
	})
}

func TestPauseMail(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if err := pauseMail(t.Context(), q.Queue); err != nil {
		t.Fatal(err)
	}
	queues, err := operator.New(q.Queue).Queues(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		if queue.Queue == "mail" && queue.Control.Paused {
			return
		}
	}
	t.Errorf("mail is not paused: %+v", queues)
}
