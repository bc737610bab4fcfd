package sqlqueuetest_test

import (
	"context"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

// What was pushed in a trace is found, though what looks for it has another.
func TestAssertionsLeaveTracesOut(t *testing.T) {
	t.Parallel()
	traces := []sqlqueue.Trace{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01",
	}
	q := sqlqueuetest.New(t, sqlqueue.Config{OnPush: func(ctx context.Context, jobs []sqlqueue.Pushing) (context.Context, func([]sqlqueue.Pushed, error)) {
		jobs[0].Trace, traces = traces[0], traces[1:]
		return ctx, nil
	}})
	if _, err := q.Push(t.Context(), SendInvoice{7}); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(SendInvoice{7})
}
