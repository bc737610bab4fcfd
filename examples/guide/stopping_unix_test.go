//go:build unix

package guide

import (
	"context"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/worker"
)

func TestRunUntilSignal(t *testing.T) { // not parallel: the signal is for the whole process
	q := openShop(t)
	if _, err := q.Push(t.Context(), SendInvoice{OrderID: 42}); err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[SendInvoice]) error {
		return syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	})
	if err := runUntilSignal(q.Queue, mux, &worker.Health{}); err != nil {
		t.Fatal(err)
	}
}
