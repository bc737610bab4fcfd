package sqlqueuetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

// Shop is what an application may look like.
type Shop struct {
	queue *sqlqueue.Queue
	mail  func(orderID int64) error
}

func (s *Shop) Order(ctx context.Context, id int64) error {
	_, err := s.queue.Push(ctx, SendInvoice{id}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(10*time.Minute))
	return err
}

func (s *Shop) Mux() *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error { return s.mail(job.Data.OrderID) })
	return mux
}

func Example() {
	t, end := newT() // in a test, t is the *testing.T
	defer end()

	q := sqlqueuetest.New(t, sqlqueue.Config{})
	shop := &Shop{queue: q.Queue, mail: func(orderID int64) error {
		fmt.Println("invoice for order", orderID)
		return nil
	}}
	if err := shop.Order(t.Context(), 42); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(SendInvoice{42}, sqlqueue.OnQueue("mail"))
	q.AssertCount(1)

	q.Advance(10 * time.Minute)
	fmt.Println(q.RunOne(shop.Mux()))
	// Output:
	// invoice for order 42
	// send_invoice (job 1, queue "mail", attempt 1) processed
}

func ExampleQueue_AssertPushed() {
	t, end := newT()
	defer end()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	shop := &Shop{queue: q.Queue}
	if err := shop.Order(t.Context(), 42); err != nil {
		t.Fatal(err)
	}

	q.AssertPushed(SendInvoice{42})                                                      // on any queue, with any delay
	q.AssertPushed(SendInvoice{42}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour)) // fails
	q.AssertNotPushed(SendInvoice{43})
	// Output:
	// send_invoice {"order_id":42} on queue "mail", delay 1h0m0s was not pushed; pushed were
	// 	job 1: send_invoice {"order_id":42} on queue "mail", delay 10m0s
}

func ExamplePushedAs() {
	t, end := newT()
	defer end()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	shop := &Shop{queue: q.Queue}
	for id := range int64(3) {
		if err := shop.Order(t.Context(), id+1); err != nil {
			t.Fatal(err)
		}
	}
	for _, job := range sqlqueuetest.PushedAs[SendInvoice](q) {
		fmt.Println("order", job.OrderID)
	}
	// Output:
	// order 1
	// order 2
	// order 3
}

func ExampleQueue_RunUntilEmpty() {
	t, end := newT()
	defer end()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	busy := true
	shop := &Shop{queue: q.Queue, mail: func(int64) error {
		if busy {
			return errors.New("the mail server is busy")
		}
		return nil
	}}
	for id := range int64(2) {
		if err := shop.Order(t.Context(), id+1); err != nil {
			t.Fatal(err)
		}
	}

	q.Worker = worker.Config{Tries: 3, Backoff: worker.ListBackoff(time.Minute, time.Hour)}
	fmt.Println("at once:", q.RunUntilEmpty(shop.Mux()))
	q.Advance(10 * time.Minute)
	for _, result := range q.RunUntilEmpty(shop.Mux()) {
		fmt.Println(result)
	}
	q.Advance(time.Minute)
	busy = false
	for _, result := range q.RunUntilEmpty(shop.Mux()) {
		fmt.Println(result)
	}
	// Output:
	// at once: []
	// send_invoice (job 1, queue "mail", attempt 1) released for 1m0s: the mail server is busy
	// send_invoice (job 2, queue "mail", attempt 1) released for 1m0s: the mail server is busy
	// send_invoice (job 1, queue "mail", attempt 2) processed
	// send_invoice (job 2, queue "mail", attempt 2) processed
}

// exampleT stands for the *testing.T that an example has not.
type exampleT struct {
	testing.TB
	dir      string
	cleanups []func()
}

func newT() (t *exampleT, end func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	t = &exampleT{dir: dir}
	return t, func() {
		for _, f := range t.cleanups {
			f()
		}
		_ = os.RemoveAll(dir)
	}
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Failed() bool                      { return false }
func (t *exampleT) TempDir() string                   { return t.dir }
func (t *exampleT) Context() context.Context          { return context.Background() }
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Output() io.Writer                 { return io.Discard }
func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }

func ExampleQueue_RunSchedulesUntil() {
	TestReports := func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // with a clock of its own
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			err := q.Schedule(t.Context(), sqlqueue.Schedule{
				Name: "reports", Cron: "30 2 * * *", Zone: "America/New_York", Job: SendInvoice{42},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, job := range q.RunSchedulesUntil(time.Now().AddDate(2, 0, 0)) {
				if clock := job.Tick.Format("15:04"); clock != "02:30" && clock != "03:00" { // when the clock is set forward
					t.Errorf("a report at %v", job.Tick)
				}
			}
		})
	}
	_ = TestReports
}
