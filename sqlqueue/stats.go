package sqlqueue

import (
	"context"
	"fmt"
	"time"
)

// CountsKept is how far back Counts goes: what workers have counted is deleted then.
const CountsKept = 48 * time.Hour

// Counts returns what happened in the queues in the minutes of the last since, at most CountsKept, the present minute included. Workers
// count what they do and write it every 10 s, so the newest numbers are a little late. A job is counted as pushed in the minute of its
// created_at when it has ended, and while it waits if it is among the newest 100,000; one that was cancelled or cleared is not, and one that is
// retried counts again.
func (q *Queue) Counts(ctx context.Context, since time.Duration) (Counts, error) {
	const most = 100_000
	store, err := q.open(ctx)
	if err != nil {
		return Counts{}, wrap("counts", err)
	}
	if since <= 0 || since > CountsKept {
		return Counts{}, wrap("counts", fmt.Errorf("counts of the last %v: it must be more than 0 and at most %v", since, CountsKept))
	}
	counts, err := store.Counts(ctx, since, most)
	return counts, wrap("counts", err)
}
