package sqlqueuetest_test

import (
	"context"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

// What was pushed in a trace is found, and hooks are not told of what is looked for.
func TestAssertionsLeaveTracesOut(t *testing.T) {
	t.Parallel()
	told := 0
	hook := func(ctx context.Context, jobs []sqlqueue.Pushing) (context.Context, func([]sqlqueue.Pushed, error)) {
		told++
		jobs[0].Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		return ctx, nil
	}
	q := sqlqueuetest.New(t, sqlqueue.Config{OnPush: hook})
	if _, err := q.Push(t.Context(), SendInvoice{7}); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(SendInvoice{7})
	if told != 1 {
		t.Errorf("the hook was told of %d pushes, want 1", told)
	}
}
