package guide

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func remind(ctx context.Context, q *sqlqueue.Queue, monday time.Time) error {
	if _, err := q.Push(ctx, Remind{OrderID: 42}, sqlqueue.Delay(10*time.Minute)); err != nil {
		return err
	}
	_, err := q.Push(ctx, Remind{OrderID: 43}, sqlqueue.At(monday))
	return err
}

type Remind struct {
	OrderID int64 `json:"order_id"`
}

func (Remind) JobName() string { return "remind" }

func TestRemind(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	monday := time.Now().Add(100 * time.Hour).Truncate(time.Microsecond)
	if err := remind(t.Context(), q.Queue, monday); err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(Remind{OrderID: 42}, sqlqueue.Delay(10*time.Minute))
	q.AssertPushed(Remind{OrderID: 43}, sqlqueue.At(monday))
}

func reindex(ctx context.Context, q *sqlqueue.Queue) (int64, error) {
	id, err := q.Push(ctx, sqlqueue.Named("reindex", nil), sqlqueue.Unique("reindex"))
	if duplicate := new(sqlqueue.DuplicateError); errors.As(err, &duplicate) {
		return id, nil // the id of the job that holds the key
	}
	return id, err
}

func TestReindex(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	for range 2 {
		if id, err := reindex(t.Context(), q.Queue); err != nil || id != 1 {
			t.Errorf("job %d, %v, want 1", id, err)
		}
	}
	pushed, err := q.TryPush(t.Context(), sqlqueue.Named("reindex", nil), sqlqueue.Unique("reindex"))
	if err != nil || !pushed.Duplicate {
		t.Errorf("a second push: %+v, %v", pushed, err)
	}
	q.AssertCount(1)
}

func TestDebounce(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	ctx := t.Context()

	_, err := q.Push(ctx, sqlqueue.Named("save", "draft 2"), sqlqueue.Unique("document-7"),
		sqlqueue.Debounce(5*time.Second, time.Minute)) // after 5 quiet seconds, or a minute at the latest
	if err != nil {
		t.Fatal(err)
	}
	q.AssertPushed(sqlqueue.Named("save", "draft 2"), sqlqueue.Delay(5*time.Second))
}

func pushAll(ctx context.Context, q *sqlqueue.Queue) ([]int64, error) {
	return q.PushMany(ctx, []sqlqueue.Pushable{
		SendInvoice{OrderID: 42},
		SendInvoice{OrderID: 43},
		sqlqueue.With(SendInvoice{OrderID: 44}, sqlqueue.Priority(-10)), // options of this job alone
	}, sqlqueue.OnQueue("mail"))
}

func TestPushAll(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if ids, err := pushAll(t.Context(), q.Queue); err != nil || len(ids) != 3 {
		t.Fatalf("%v, %v", ids, err)
	}
	q.AssertPushed(SendInvoice{OrderID: 44}, sqlqueue.OnQueue("mail"), sqlqueue.Priority(-10))
}
