package sqlqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// openSQLite is a Queue on a real database.
func openSQLite(t *testing.T) *sqlqueue.Queue {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err == nil {
		_, err = migrator.Up(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// reserve reserves n jobs of the queue default.
func reserve(t *testing.T, q *sqlqueue.Queue, n int, number string) []sqlqueue.Job {
	t.Helper()
	answer, err := q.Exchange(t.Context(), driver.Exchange{
		Number: number, Limit: n, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}},
	})
	if err != nil || len(answer.Reserved) != n {
		t.Fatalf("reserved %d of %d, %v", len(answer.Reserved), n, err)
	}
	return answer.Reserved
}

func TestNew(t *testing.T) {
	q, err := sqlqueue.New(&rows{}, sqlqueue.Config{})
	if err != nil || q.Config().Queue != "default" || q.Config().Codec == nil {
		t.Errorf("got %+v, %v", q.Config(), err)
	}
	for want, config := range map[string]sqlqueue.Config{
		"has a comma":             {Queue: "a,b"},
		"table prefix":            {Prefix: "a-b"},
		"the schema":              {Schema: "a-b"},
		"sync mode needs handler": {Sync: true},
	} {
		if q, err := sqlqueue.New(&rows{}, config); q != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, %v; want %q", config, q, err, want)
		}
	}
}

// everyOperation calls all that a Queue can do.
func everyOperation(ctx context.Context, q *sqlqueue.Queue) map[string]error {
	_, push := q.Push(ctx, invoice{})
	_, pushMany := q.PushMany(ctx, nil)
	_, later := q.Later(ctx, time.Hour, invoice{})
	_, exchange := q.Exchange(ctx, driver.Exchange{})
	_, jobs := operator.New(q).Jobs(ctx, operator.JobFilter{})
	_, job := operator.New(q).Job(ctx, 1)
	_, cancel := operator.New(q).Cancel(ctx, 1)
	_, release := operator.New(q).Release(ctx, 1)
	_, clearAll := operator.New(q).Clear(ctx, "", true)
	_, failedJobs := operator.New(q).FailedJobs(ctx, operator.FailedFilter{})
	_, failedJob := operator.New(q).FailedJob(ctx, 1)
	_, retry := operator.New(q).Retry(ctx, operator.FailedFilter{})
	_, forget := operator.New(q).Forget(ctx, operator.FailedFilter{})
	_, queues := operator.New(q).Queues(ctx, 0)
	_, workers := operator.New(q).Workers(ctx)
	return map[string]error{
		"check": q.Check(ctx), "push": push, "pushMany": pushMany,
		"later": later, "exchange": exchange, "jobs": jobs, "job": job, "cancel": cancel,
		"release": release, "clear": clearAll, "failedJobs": failedJobs,
		"failedJob": failedJob, "retry": retry, "forget": forget, "queues": queues,
		"workers": workers, "edit": operator.New(q).Edit(ctx, 1, operator.JobEdit{Data: 1}),
		"control": operator.New(q).Control(ctx, "", operator.ControlChange{Restart: true}),
		"hold":    q.Hold(ctx, sqlqueue.Reservation{ID: 1, By: "a-1"}), "delete": q.Delete(ctx, sqlqueue.Reservation{ID: 1, By: "a-1"}),
	}
}

// TestCancelledContext: no operation begins. The store would panic: it has no methods.
func TestCancelledContext(t *testing.T) {
	q, err := sqlqueue.New(nil, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	for operation, err := range everyOperation(ctx, q) {
		if !errors.Is(err, reason) || !strings.HasPrefix(err.Error(), "sqlqueue: ") {
			t.Errorf("%s: got %v, want why the context was cancelled", operation, err)
		}
	}
}

// TestBindThatFails: every operation says what Bind said, also after another Bind.
func TestBindThatFails(t *testing.T) {
	reason := errors.New("of another database")
	q := openSQLite(t).Bind(func(driver.Store) (driver.Store, error) { return nil, reason })
	q = q.Bind(func(driver.Store) (driver.Store, error) { return &rows{}, nil })
	for operation, err := range everyOperation(t.Context(), q) {
		if !errors.Is(err, reason) {
			t.Errorf("%s: got %v, want %v", operation, err, reason)
		}
	}
}

func TestBindLeavesTheQueueAlone(t *testing.T) {
	q, store := newQueue(t, sqlqueue.Config{})
	other := &rows{}
	bound := q.Bind(func(s driver.Store) (driver.Store, error) {
		if s != store {
			t.Errorf("Bind is given %v", s)
		}
		return other, nil
	})
	if _, err := bound.Push(t.Context(), invoice{}); err != nil || len(other.pushed) != 1 || len(store.pushed) != 0 {
		t.Errorf("%v; pushed %d and %d", err, len(other.pushed), len(store.pushed))
	}
	if _, err := q.Push(t.Context(), invoice{}); err != nil || len(store.pushed) != 1 {
		t.Errorf("%v; pushed %d", err, len(store.pushed))
	}
}

func TestExchangeRefuses(t *testing.T) {
	q := openSQLite(t)
	for name, x := range map[string]driver.Exchange{
		"no number":       {Limit: 1},
		"a long number":   {Limit: 1, Number: strings.Repeat("n", 65)},
		"another outcome": {Settle: []driver.Settlement{{Outcome: driver.Fail + 1}}},
		"no outcome":      {Settle: []driver.Settlement{{}}},
	} {
		if _, err := q.Exchange(t.Context(), x); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// handled is a job as a handler has it.
type handled struct {
	sqlqueue.Job
	completed *int
}

func (h handled) Completed() { *h.completed++ }

// TestDeleteTellsTheJob: a worker learns from Completed that its handler has completed the job; only when that is so.
func TestDeleteTellsTheJob(t *testing.T) {
	q := openSQLite(t)
	if _, err := q.Push(t.Context(), invoice{}); err != nil {
		t.Fatal(err)
	}
	completed := 0
	job := handled{reserve(t, q, 1, "a-1")[0], &completed}
	lost := job
	lost.ReservedBy = "a-2"
	if err := q.Delete(t.Context(), lost); !errors.Is(err, sqlqueue.ErrReservationLost) || completed != 0 {
		t.Errorf("got %v, completed %d times; want ErrReservationLost", err, completed)
	}
	if err := q.Delete(t.Context(), job); err != nil || completed != 1 {
		t.Errorf("got %v, completed %d times; want once", err, completed)
	}
	if err := q.Delete(t.Context(), job.Reservation()); !errors.Is(err, sqlqueue.ErrReservationLost) {
		t.Errorf("got %v, want ErrReservationLost", err)
	}
}
