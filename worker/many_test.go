package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// row is a job that is worked on with others.
type row struct {
	N int `json:"n"`
}

func (row) JobName() string { return "row" }

func (b *bench) rows(first, last int, options ...sqlqueue.PushOption) (ids []int64) {
	b.t.Helper()
	var jobs []sqlqueue.Pushable
	for n := first; n <= last; n++ {
		jobs = append(jobs, row{n})
	}
	ids, err := b.q.PushMany(b.t.Context(), jobs, options...)
	if err != nil {
		b.t.Fatal(err)
	}
	return ids
}

// numbers are those of the jobs of a call, in order.
func numbers(jobs []*worker.Job[row]) (all []int) {
	for _, job := range jobs {
		all = append(all, job.Data.N)
	}
	slices.Sort(all)
	return all
}

// A call comes when there are enough jobs, or when the first has waited for long enough.
func TestManyJobsAreGathered(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		began := time.Now()
		worker.HandleMany(b.mux, 4, time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			calls.add("%v after %v", numbers(jobs), time.Since(began).Round(100*time.Millisecond))
			return nil
		})
		b.rows(1, 10)
		r := b.start(worker.Config{Concurrency: 4})
		within(t, time.Minute, "done", func() bool { return b.count() == 0 })
		r.stop()
		calls.want(t, "[1 2 3 4] after 0s", "[5 6 7 8] after 0s", "[9 10] after 1s")
		b.logged("processed", 10)
	})
}

// count is how many jobs there are.
func (b *bench) count() (n int) {
	b.t.Helper()
	if err := b.db.QueryRowContext(b.t.Context(), "SELECT count(*) FROM jobs").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// Each error decides about its own job.
func TestManyErrorsDecideEachAboutItsJob(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		says := []error{
			nil, errBroken, worker.Release(time.Minute), worker.Snooze(2 * time.Minute), worker.Fail(errBroken), worker.Discard(),
			fmt.Errorf("around: %w", worker.Release(3*time.Minute)),
		}
		worker.HandleMany(b.mux, 10, time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			errs := make([]error, len(jobs))
			for i, job := range jobs {
				errs[i] = says[job.Data.N]
			}
			return errs
		})
		ids := b.rows(0, len(says)-1)
		b.raw(`{"job": "row", "data": "no row"}`)
		b.drain(worker.Config{Concurrency: 10, Backoff: worker.FixedBackoff(time.Hour)})
		b.gone(ids[0])
		b.waits(ids[1], 1, time.Hour)
		b.waits(ids[2], 1, time.Minute)
		b.waits(ids[3], 0, 2*time.Minute)
		b.failed(ids[4])
		b.gone(ids[5])
		b.waits(ids[6], 1, 3*time.Minute)
		if n := len(b.failures()); n != 2 {
			t.Errorf("%d jobs have failed, want the one that said so and the one whose data is no row", n)
		}
	})
}

// What goes wrong with a call is the error of each of its jobs, and of no other.
func TestManyCallsThatGoWrong(t *testing.T) {
	for name, c := range map[string]struct {
		call func(jobs []*worker.Job[row]) []error
		want string
	}{
		"panic":  {func([]*worker.Job[row]) []error { panic("no table") }, "panic: no table"},
		"Goexit": {func([]*worker.Job[row]) []error { runtime.Goexit(); return nil }, "the handler called runtime.Goexit"},
		"too few": {
			func([]*worker.Job[row]) []error { return make([]error, 2) },
			"the handler returned 2 errors for 3 jobs: it must return one for each job, or nil if all are done",
		},
		"too many": {
			func([]*worker.Job[row]) []error { return make([]error, 4) },
			"the handler returned 4 errors for 3 jobs: it must return one for each job, or nil if all are done",
		},
		"none": {
			func([]*worker.Job[row]) []error { return []error{} },
			"the handler returned 0 errors for 3 jobs: it must return one for each job, or nil if all are done",
		},
		"an outcome": {func(jobs []*worker.Job[row]) []error { return slices.Repeat([]error{errBroken}, len(jobs)) }, "broken"},
		"its slice": {func(jobs []*worker.Job[row]) []error {
			defer clear(jobs)
			return slices.Repeat([]error{errBroken}, len(jobs))
		}, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				worker.HandleMany(b.mux, 3, time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
					return c.call(jobs)
				}, worker.Settings{Tries: 1})
				b.handle(answers(nil))
				other := b.push()
				ids := b.rows(1, 3)
				b.drain(worker.Config{Concurrency: 4})
				for _, id := range ids {
					if f := b.failed(id); f.Error != c.want || name == "panic" && !strings.Contains(f.Stack, "TestManyCallsThatGoWrong") {
						t.Errorf("job %d has failed with %q, stack %q", id, f.Error, f.Stack)
					}
				}
				b.gone(other)
			})
		})
	}
}

// Middleware is around each job, and the handler's context has what it gave to the first.
func TestManyJobsHaveTheirMiddleware(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		type key struct{}
		var seen notes
		b.mux.Use(func(next worker.Handler) worker.Handler {
			return func(ctx context.Context, job *raw) error {
				err := next(context.WithValue(ctx, key{}, string(job.Data)), job)
				seen.add("%s: %v", job.Data, err)
				return nil
			}
		})
		worker.HandleMany(b.mux, 2, time.Second, func(ctx context.Context, _ []*worker.Job[row]) []error {
			seen.add("call of %v", ctx.Value(key{}))
			return []error{errBroken, nil}
		})
		b.rows(1, 2)
		b.drain(worker.Config{Concurrency: 2})
		got := seen.all()
		slices.Sort(got[1:])
		first, second := `{"n":1}`, `{"n":2}`
		if got[0] == "call of "+second { // it came first
			first, second = second, first
		}
		want := []string{first + ": broken", second + ": <nil>"}
		slices.Sort(want)
		if !slices.Equal(got, append([]string{"call of " + first}, want...)) {
			t.Errorf("got %q", got)
		}
	})
}

// A worker that stops does not wait for more jobs.
func TestManyJobsAreNotGatheredByAWorkerThatStops(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		worker.HandleMany(b.mux, 10, 50*time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			calls.add("%v", numbers(jobs))
			return nil
		})
		b.rows(1, 3)
		r := b.start(worker.Config{Concurrency: 10})
		within(t, time.Second, "reserved", func() bool { return b.reserved() == 3 })
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("it ended after %v", took)
		}
		calls.want(t, "[1 2 3]")
		if n := b.count(); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
}

func (b *bench) reserved() (n int) {
	b.t.Helper()
	if err := b.db.QueryRowContext(b.t.Context(), "SELECT count(*) FROM jobs WHERE reserved_by IS NOT NULL").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// The timeout of any of its jobs, and the end of the worker's grace, end the context of a call.
func TestManyJobsTimeOutTogether(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var begun, calls notes
		began := time.Now()
		worker.HandleMany(b.mux, 3, time.Second, func(ctx context.Context, jobs []*worker.Job[row]) []error {
			begun.add("%v", numbers(jobs))
			<-ctx.Done()
			calls.add("%v after %v: %v", numbers(jobs), time.Since(began).Round(time.Second), context.Cause(ctx))
			return slices.Repeat([]error{ctx.Err()}, len(jobs))
		})
		short := b.rows(1, 1, sqlqueue.Timeout(10*time.Second))
		b.rows(2, 3)
		r := b.start(worker.Config{Concurrency: 3, Grace: 5 * time.Second, Timeout: time.Minute, Backoff: worker.FixedBackoff(time.Hour)})
		within(t, time.Minute, "all wait", func() bool { return len(calls.all()) == 1 && b.reserved() == 0 })
		calls.want(t, "[1 2 3] after 10s: timed out after 10s")
		if job := b.job(short[0]); job == nil || job.Exceptions != 1 {
			t.Errorf("the job that timed out is %+v", job)
		}
		last := b.rows(4, 6)
		within(t, time.Minute, "they are called", func() bool { return len(begun.all()) == 2 })
		begun.want(t, "[1 2 3]", "[4 5 6]")
		r.cancel()
		var unfinished *worker.UnfinishedError
		if err := r.ended(); !errors.As(err, &unfinished) || len(unfinished.Interrupted) != len(last) {
			t.Errorf("Run: %v", err)
		}
		if got := calls.all(); len(got) != 2 || !strings.HasSuffix(got[1], "worker stopped") {
			t.Errorf("the calls are %q", got)
		}
	})
}

// A job that times out while it waits for others is not handed to the handler.
func TestManyJobsTimeOutBeforeTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		worker.HandleMany(b.mux, 5, 30*time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			calls.add("%v", numbers(jobs))
			return nil
		})
		short := b.rows(1, 1, sqlqueue.Timeout(10*time.Second), sqlqueue.Tries(1))
		b.rows(2, 3)
		b.drain(worker.Config{Concurrency: 5})
		calls.want(t, "[2 3]")
		if f := b.failed(short[0]); f.Error != "timed out after 10s" {
			t.Errorf("it failed with %q", f.Error)
		}
	})
}

// A job whose reservation is lost does not end the call of the others.
func TestManyJobsOutliveALostReservation(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls, told notes
		worker.HandleMany(b.mux, 3, time.Second, func(ctx context.Context, jobs []*worker.Job[row]) []error {
			select {
			case <-ctx.Done():
				calls.add("%v: %v", numbers(jobs), context.Cause(ctx))
			case <-time.After(30 * time.Second):
				calls.add("%v", numbers(jobs))
			}
			return nil
		})
		ids := b.rows(1, 3)
		r := b.start(worker.Config{Concurrency: 3, Expire: 6 * time.Second, StuckAfter: time.Hour, Events: worker.Events{
			Lost:      func(job worker.JobInfo) { told.add("lost %d", job.ID) },
			Processed: func(job worker.JobInfo, _ worker.Result) { told.add("done %d", job.ID) },
		}})
		remove := func(id int64) {
			if _, err := b.db.ExecContext(t.Context(), `DELETE FROM jobs WHERE id = ?`, id); err != nil {
				t.Fatal(err)
			}
		}
		within(t, time.Minute, "reserved", func() bool { return b.reserved() == 3 })
		pass(2 * time.Second)
		remove(ids[1])
		within(t, time.Minute, "done", func() bool { return b.count() == 0 && len(told.all()) == 3 })
		calls.want(t, "[1 2 3]")
		got := told.all()
		slices.Sort(got)
		if want := []string{
			fmt.Sprintf("done %d", ids[0]), fmt.Sprintf("done %d", ids[2]), fmt.Sprintf("lost %d", ids[1]),
		}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}

		ids = b.rows(4, 6)
		within(t, time.Minute, "reserved", func() bool { return b.reserved() == 3 })
		pass(2 * time.Second)
		for _, id := range ids {
			remove(id)
		}
		within(t, time.Minute, "ended", func() bool { return len(calls.all()) == 2 })
		r.stop()
		if got := calls.all(); !strings.Contains(got[1], sqlqueue.ErrReservationLost.Error()) {
			t.Errorf("the calls are %q", got)
		}
	})
}

// A handler may complete its jobs in its own transaction, and give them results.
func TestManyJobsAreCompletedInATransaction(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		worker.HandleMany(b.mux, 3, time.Second, func(ctx context.Context, jobs []*worker.Job[row]) []error {
			errs := make([]error, len(jobs))
			tx, err := b.db.BeginTx(ctx, nil)
			if err != nil {
				return slices.Repeat([]error{err}, len(jobs))
			}
			defer func() { _ = tx.Rollback() }()
			q := sqlitequeue.WithTx(b.q, tx)
			for i, job := range jobs {
				errs[i] = errors.Join(job.SetResult(job.Data.N), q.Hold(ctx, job), q.Delete(ctx, job))
			}
			if err := tx.Commit(); err != nil {
				return slices.Repeat([]error{err}, len(jobs))
			}
			return errs
		})
		var results notes
		b.handle(func(_ context.Context, job *raw) error {
			var n int
			err := job.ParentResult(&n)
			results.add("%d %v", n, err)
			return nil
		})
		b.rows(1, 3, sqlqueue.Then(sqlqueue.Named("job", nil)))
		b.drain(worker.Config{Concurrency: 3})
		got := results.all()
		slices.Sort(got)
		if !slices.Equal(got, []string{"1 <nil>", "2 <nil>", "3 <nil>"}) {
			t.Errorf("the jobs after them got %q", got)
		}
		b.logged("dropped: returned after its reservation was lost", 0)
	})
}

// In sync mode, and for another process, a job is a call by itself, at once.
func TestManyJobsWithoutAWorker(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var calls notes
		worker.HandleMany(b.mux, 10, 30*time.Second, func(_ context.Context, jobs []*worker.Job[row]) []error {
			calls.add("%v", numbers(jobs))
			return []error{errBroken}
		})
		began := time.Now()
		q, err := sqlitequeue.New(b.db, sqlqueue.Config{Sync: true, Runner: b.mux})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Push(t.Context(), row{1}); !errors.Is(err, errBroken) {
			t.Errorf("Push: %v", err)
		}
		mux := b.mux
		b.mux = mux.Remote(func(ctx context.Context, _ worker.JobInfo, request []byte) ([]byte, error) {
			return mux.RunPacked(ctx, request, nil, nil), nil
		})
		id := b.rows(2, 2, sqlqueue.Tries(1))[0]
		b.drain(worker.Config{})
		if f := b.failed(id); f.Error != "broken" {
			t.Errorf("it failed with %q", f.Error)
		}
		calls.want(t, "[1]", "[2]")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestManyIsRegisteredWrongly(t *testing.T) {
	handler := func(context.Context, []*worker.Job[row]) []error { return nil }
	for name, c := range map[string]struct {
		register func(mux *worker.Mux)
		want     string
	}{
		"most": {func(m *worker.Mux) { worker.HandleMany(m, 0, 0, handler) }, `the handler of "row": most is 0: it must be at least 1`},
		"wait": {
			func(m *worker.Mux) { worker.HandleMany(m, 1, -1, handler) }, `the handler of "row": wait is -1ns: it must be zero or more`,
		},
		"nil": {func(m *worker.Mux) { worker.HandleMany[row](m, 1, 0, nil) }, `the handler of "row" is nil`},
		"twice": {
			func(m *worker.Mux) { worker.HandleMany(m, 1, 0, handler); worker.HandleMany(m, 1, 0, handler) }, `"row" has two handlers`,
		},
		"timeout": {
			func(m *worker.Mux) { worker.HandleMany(m, 1, time.Minute, handler) },
			`the handler of "row": wait is 1m0s: it must be shorter than the timeout, 1m0s`,
		},
		"settings": {
			func(m *worker.Mux) {
				worker.HandleMany(m, 1, time.Second, handler, worker.Settings{Timeout: time.Second})
			},
			`the handler of "row": wait is 1s: it must be shorter than the timeout, 1s`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				c.register(b.mux)
				err := worker.New(b.q, b.mux, worker.Config{}).Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Run: %v, want %q", err, c.want)
				}
			})
		})
	}
}
