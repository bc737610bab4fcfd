package guide

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

type Shop struct {
	queue *sqlqueue.Queue
	mail  func(order int64) error
}

func (s *Shop) Order(ctx context.Context, id int64) error {
	_, err := s.queue.Push(ctx, SendInvoice{OrderID: id}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(10*time.Minute))
	return err
}

func (s *Shop) Mux() *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error { return s.mail(job.Data.OrderID) })
	return mux
}

func TestOrderPushesAnInvoice(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	shop := &Shop{queue: q.Queue}

	if err := shop.Order(t.Context(), 42); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(SendInvoice{OrderID: 42}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(10*time.Minute))
	q.AssertCount(1)
}

func TestInvoiceIsTriedAgain(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	down := errors.New("the mail server is down")
	shop := &Shop{queue: q.Queue, mail: func(int64) error { return down }}
	if err := shop.Order(t.Context(), 42); err != nil {
		t.Fatal(err)
	}

	q.Advance(10 * time.Minute) // the job is due
	if got := q.RunOne(shop.Mux()); got.Outcome != sqlqueuetest.Released {
		t.Errorf("got %v, want it to run again later", got)
	}

	q.Advance(time.Hour) // longer than its wait
	down = nil
	if got := q.RunOne(shop.Mux()); got.Outcome != sqlqueuetest.Processed {
		t.Errorf("got %v, want it to be done", got)
	}
}
