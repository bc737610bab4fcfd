package sqlqueuetest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type greet struct {
	Name string `json:"name"`
	ID   int64  `json:"id,omitempty"`
}

func (greet) JobName() string { return "greet" }

type count struct{}

func (count) JobName() string { return "count" }

// report is a test that is looked at.
type report struct {
	testing.TB
	mu     sync.Mutex
	says   []string
	output strings.Builder
	ended  bool // by FailNow
}

// watch runs a test and returns what it reports.
func watch(t *testing.T, test func(t testing.TB)) *report {
	t.Helper()
	r := &report{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r
}

func (r *report) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.says = append(r.says, fmt.Sprintf(format, args...))
}

func (r *report) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *report) FailNow() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *report) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.says) > 0 || r.ended
}

func (r *report) Output() io.Writer { return &r.output }

// want checks what the test has reported.
func (r *report) want(t *testing.T, says ...string) {
	t.Helper()
	if !slices.Equal(r.says, says) {
		t.Errorf("the test reports\n%s\nwant\n%s", strings.Join(r.says, "\n"), strings.Join(says, "\n"))
	}
}

func push(t testing.TB, q *sqlqueue.Queue, job sqlqueue.Pushable, options ...sqlqueue.PushOption) int64 {
	t.Helper()
	id, err := q.Push(t.Context(), job, options...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// mux handles greet, by what it is told to return, in turn.
func mux(returns ...error) *worker.Mux {
	m := worker.NewMux()
	worker.Handle(m, func(context.Context, *worker.Job[greet]) error {
		if len(returns) == 0 {
			return nil
		}
		err := returns[0]
		returns = returns[1:]
		return err
	})
	return m
}

func wantOutcomes(t *testing.T, got []sqlqueuetest.Result, want ...string) {
	t.Helper()
	var says []string
	for _, r := range got {
		says = append(says, r.String())
	}
	if !slices.Equal(says, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(says, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestF2_AdvanceMakesTimePass(t *testing.T) {
	t.Run("by the real clock", advance)
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, advance) })
}

func advance(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	runs := func(what string, want ...int64) {
		t.Helper()
		var got []int64
		for _, r := range q.RunUntilEmpty(mux()) {
			got = append(got, r.Job.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: jobs %v ran, want %v", what, got, want)
		}
	}
	broken := errors.New("broken")

	push(t, q.Queue, greet{}, sqlqueue.Delay(time.Hour))
	q.Advance(59 * time.Minute)
	runs("before the delay is over")
	q.Advance(time.Minute)
	runs("after a delay", 1)

	push(t, q.Queue, greet{}, sqlqueue.BackoffList(time.Hour))
	q.RunOne(mux(broken))
	runs("before the backoff is over")
	q.Advance(time.Hour)
	runs("after a backoff", 2)

	id := push(t, q.Queue, greet{})
	reserve(t, q, id, time.Hour)
	q.Advance(59 * time.Minute)
	runs("before the reservation expires")
	if job, err := operator.New(q.Queue).Job(t.Context(), id); err != nil || time.Since(job.ReservedAt) < 59*time.Minute ||
		time.Since(job.CreatedAt) < 59*time.Minute {
		t.Errorf("%v; reserved %v ago, pushed %v ago", err, time.Since(job.ReservedAt), time.Since(job.CreatedAt))
	}
	q.Advance(time.Minute)
	runs("after the reservation has expired", 3)

	push(t, q.Queue, greet{})
	if err := operator.New(q.Queue).Control(t.Context(), "", operator.ControlChange{Pause: true, PauseFor: time.Hour}); err != nil {
		t.Fatal(err)
	}
	runs("while all queues are paused")
	q.Advance(time.Hour)
	runs("after the pause", 4)

	push(t, q.Queue, greet{}, sqlqueue.RetryUntil(time.Now().Add(time.Hour)), sqlqueue.BackoffList(time.Minute))
	if got := q.RunOne(mux(broken)); got.Outcome != sqlqueuetest.Released {
		t.Errorf("before RetryUntil: %v", got)
	}
	q.Advance(time.Hour + time.Millisecond)
	if got := q.RunOne(mux()); got.Outcome != sqlqueuetest.Failed {
		t.Errorf("after RetryUntil: %v", got)
	}
	q.Advance(24 * time.Hour)
	if failed, err := operator.New(q.Queue).FailedJobs(t.Context(), operator.FailedFilter{OlderThan: 24 * time.Hour}); err != nil ||
		len(failed) != 1 {
		t.Errorf("%v; failed a day ago: %+v", err, failed)
	} else if age := time.Since(failed[0].CreatedAt); age < 25*time.Hour || age > 26*time.Hour {
		t.Errorf("the failed job was pushed %v ago", age)
	}

	push(t, q.Queue, greet{}, sqlqueue.RetryUntil(time.Now().Add(time.Hour)))
	if got := q.RunOne(mux(worker.Fail(broken))); got.Outcome != sqlqueuetest.Failed {
		t.Errorf("before RetryUntil: %v", got)
	}
	q.Advance(time.Hour + time.Millisecond)
	if _, err := operator.New(q.Queue).Retry(t.Context(), operator.FailedFilter{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range q.RunUntilEmpty(mux()) {
		if r.Outcome != sqlqueuetest.Failed {
			t.Errorf("retried after RetryUntil: %v", r)
		}
	}

	if err := q.Beat(t.Context(), driver.Beat{Worker: driver.Worker{ID: "w", Name: "w"}}); err != nil {
		t.Fatal(err)
	}
	q.Advance(time.Hour)
	workers, err := operator.New(q.Queue).Workers(t.Context())
	if err != nil || len(workers) == 0 {
		t.Fatalf("the workers are %v, %v", workers, err)
	}
	for _, w := range workers {
		if time.Since(w.SeenAt) < time.Hour || time.Since(w.StartedAt) < time.Hour {
			t.Errorf("worker %s started %v ago, was seen %v ago", w.ID, time.Since(w.StartedAt), time.Since(w.SeenAt))
		}
	}
}

func TestF2_AdvanceLeavesPushedAlone(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	at := time.Now().Add(time.Hour)
	push(t, q.Queue, greet{}, sqlqueue.At(at))
	q.Advance(time.Hour)
	q.AssertPushed(greet{}, sqlqueue.At(at))
}

// Transactions of other databases leave the queue as it is, also when they roll back.
func TestF2_TransactionsOfOtherDatabases(t *testing.T) {
	other, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	push(t, pgqueue.WithTx(q.Queue, nil), greet{Name: "pgx"})
	push(t, pgqueue.WithSQLTx(q.Queue, tx), greet{Name: "sql"})
	push(t, mysqlqueue.WithTx(q.Queue, tx), greet{Name: "mysql"})
	push(t, mysqlqueue.WithTx(q.Queue, nil), greet{Name: "mysql, none"})
	push(t, sqlitequeue.WithTx(q.Queue, nil), greet{Name: "sqlite, none"})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	q.AssertCount(5)
	if got := q.RunUntilEmpty(mux()); len(got) != 5 {
		t.Errorf("%d were run", len(got))
	}
}

func TestF2_TransactionsOfItsOwnDatabase(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	in := func(end func(*sql.Tx) error, name string) {
		t.Helper()
		tx, err := q.DB().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		bound := sqlitequeue.WithTx(q.Queue, tx)
		push(t, bound, greet{Name: name})
		push(t, mysqlqueue.WithTx(bound, nil), greet{Name: name + " again"})
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
	}
	in((*sql.Tx).Rollback, "rolled back")
	q.AssertCount(0)
	in((*sql.Tx).Commit, "committed")
	q.AssertPushed(greet{Name: "committed"})
	q.AssertPushed(greet{Name: "committed again"})
	q.AssertCount(2)
	if got := q.RunUntilEmpty(mux()); len(got) != 2 {
		t.Errorf("%d were run", len(got))
	}
}

// Several queues of one test, and tests in parallel, do not see each other.
func TestF2_QueuesAreApart(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			a, b := sqlqueuetest.New(t, sqlqueue.Config{}), sqlqueuetest.New(t, sqlqueue.Config{})
			var pushes sync.WaitGroup
			for range 20 {
				pushes.Go(func() {
					if _, err := a.Push(t.Context(), greet{ID: int64(i)}); err != nil {
						t.Error(err)
					}
				})
			}
			pushes.Wait()
			b.AssertCount(0)
			a.AssertCount(20)
			if got := a.RunUntilEmpty(mux()); len(got) != 20 {
				t.Errorf("%d were run", len(got))
			}
		})
	}
}

func TestF2_NewRefusesAWrongConfig(t *testing.T) {
	r := watch(t, func(t testing.TB) { sqlqueuetest.New(t, sqlqueue.Config{Queue: "a,b"}) })
	if len(r.says) != 1 || !strings.Contains(r.says[0], "has a comma") || !r.ended {
		t.Errorf("got %q", r.says)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		sqlqueuetest.New(b, sqlqueue.Config{})
	}
}
