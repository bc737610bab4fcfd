package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// remembers is a handler that notes the job's name, and what it has heard of the job before.
func remembers(names *[]string) func(context.Context, *worker.Job[json.RawMessage]) error {
	return func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		says := job.Name
		if parent := job.Parent(); parent != nil {
			if parent.ID == 0 {
				return errors.New("the parent has no id")
			}
			says += fmt.Sprintf("(%s%s)", parent.Result, parent.Error)
		}
		*names = append(*names, says)
		if job.Name == "bad" {
			return worker.Fail(errors.New("no luck"))
		}
		return job.SetResult(job.Name)
	}
}

func TestChain(t *testing.T) {
	job := func(name string, options ...sqlqueue.PushOption) sqlqueue.Pushable {
		return sqlqueue.With(sqlqueue.Named(name, nil), options...)
	}
	for name, of := range map[string]struct {
		job  sqlqueue.Pushable
		want []string
	}{
		"then":    {job("a", sqlqueue.Then(job("b"), job("c"))), []string{"a", `b("a")`, `c("a")`}},
		"a chain": {sqlqueue.Chain(job("a"), job("b"), job("c"), job("d")), []string{"a", `b("a")`, `c("b")`, `d("c")`}},
		"a tree": {
			sqlqueue.Chain(job("a"), job("b", sqlqueue.Then(job("x"))), job("c")), []string{"a", `b("a")`, `x("b")`, `c("b")`},
		},
		"a chain alone": {sqlqueue.Chain(job("a")), []string{"a"}},
		"fails": {
			sqlqueue.Chain(job("a"), job("bad", sqlqueue.Catch(job("sorry")), sqlqueue.Then(job("never"))), job("c")),
			[]string{"a", `bad("a")`, "sorry(no luck)"},
		},
		"delayed": {
			job("a", sqlqueue.Then(job("late", sqlqueue.Delay(time.Minute)), job("soon"))), []string{"a", `soon("a")`, `late("a")`},
		},
		"in order of priority": {
			job("a", sqlqueue.Then(job("second"), job("first", sqlqueue.Priority(-1)))), []string{"a", `first("a")`, `second("a")`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var ran []string
				b.mux.HandleAll(remembers(&ran))
				if _, err := b.q.Push(t.Context(), of.job); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				if err := worker.New(b.q, b.mux, worker.Config{Concurrency: 1}).Run(ctx); err != nil {
					t.Error(err)
				}
				if !slices.Equal(ran, of.want) {
					t.Errorf("ran %q, want %q", ran, of.want)
				}
			})
		})
	}
}

// A chain that stands still because a job has failed goes on when that is retried and done.
func TestChainAfterRetry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		fails := true
		var ran []string
		b.mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			if ran = append(ran, job.Name); job.Name == "b" && fails {
				return worker.Fail(errors.New("no luck"))
			}
			return nil
		})
		run := func() {
			if err := worker.New(b.q, b.mux, worker.Config{StopWhenEmpty: true}).Run(t.Context()); err != nil {
				t.Error(err)
			}
		}
		chain := sqlqueue.Chain(sqlqueue.Named("a", nil), sqlqueue.Named("b", nil), sqlqueue.Named("c", nil))
		if _, err := b.q.Push(t.Context(), chain); err != nil {
			t.Fatal(err)
		}
		run()
		fails = false
		o := operator.New(b.q)
		if n, err := o.Retry(t.Context(), operator.FailedFilter{}); err != nil || n != 1 {
			t.Errorf("retried %d: %v", n, err)
		}
		run()
		if want := []string{"a", "b", "b", "c"}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	})
}

// A handler that completes its job in its own transaction pushes what comes next there, once.
func TestChainCompletedByItsHandler(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var ran []string
		rollBack := true
		b.mux.HandleAll(func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
			if ran = append(ran, job.Name); job.Name != "a" {
				return nil
			}
			if err := job.SetResult(7); err != nil {
				return err
			}
			tx, err := b.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if err := sqlitequeue.WithTx(b.q, tx).Delete(ctx, job); err != nil {
				return err
			}
			if rollBack {
				rollBack = false
				return worker.Release(0)
			}
			return tx.Commit()
		})
		if _, err := b.q.Push(t.Context(), sqlqueue.Chain(sqlqueue.Named("a", nil), sqlqueue.Named("b", nil))); err != nil {
			t.Fatal(err)
		}
		if err := worker.New(b.q, b.mux, worker.Config{StopWhenEmpty: true}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []string{"a", "a", "b"}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	})
}

// Jobs that are to come may be written by any program. A payload that is wrong fails its job before it runs.
func TestChainOfAnotherProgram(t *testing.T) {
	for payload, want := range map[string]string{
		`{"job":"a","data":{},"then":[{"job":"b"},[{"job":"c","data":1},{"job":"d"}]]}`: "",
		`{"job":"a","then":[{"data":{}}]}`:                                              `then: job 1: payload has no "job"`,
		`{"job":"a","then":{"job":"b"}}`:                                                "payload: json",
		`{"job":"a","then":[{"job":"b","queue":"x,y"}]}`:                                `then: job 1: the queue "x,y" has a comma`,
		`{"job":"a","catch":[{"job":"b","delay":-1}]}`:                                  "catch: job 1: delay is -1s",
		`{"job":"a","then":[[]]}`:                                                       "list of steps is empty",
		`{"job":"a","then":[[[{"job":"b"}]]]}`:                                          "has a list in it",
		`{"job":"a","then":[{"job":"b","job":"c"}]}`:                                    `two members "job"`,
		`{"job":"a","then":` + strings.Repeat(`[{"job":"b","then":`, 11) + `[]` + strings.Repeat(`}]`, 11) + `}`: "more than " +
			"10 levels",
		`{"job":"a","then":` + strings.Repeat(`[{"then":`, 400) + `[]` + strings.Repeat(`}]`, 400) + `,"then2":null}`: "levels of JSON",
	} {
		t.Run("wrong: "+want, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var ran []string
				b.mux.HandleAll(remembers(&ran))
				b.raw(payload)
				if err := worker.New(b.q, b.mux, worker.Config{StopWhenEmpty: true, Concurrency: 1}).Run(t.Context()); err != nil {
					t.Error(err)
				}
				failed, err := operator.New(b.q).FailedJobs(t.Context(), operator.FailedFilter{})
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case want == "" && !slices.Equal(ran, []string{"a", `b("a")`, `c("a")`, `d("c")`}):
					t.Errorf("ran %q, failed %v", ran, failed)
				case want != "" && (len(ran) > 0 || len(failed) != 1 || !strings.Contains(failed[0].Error, want)):
					t.Errorf("ran %q, failed %+v, want the error %q", ran, failed, want)
				}
			})
		})
	}
}

func TestResultTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			return worker.Fail(job.SetResult(strings.Repeat("x", 64<<10)))
		})
		b.push()
		if err := worker.New(b.q, b.mux, worker.Config{StopWhenEmpty: true}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		failed, err := operator.New(b.q).FailedJobs(t.Context(), operator.FailedFilter{})
		if err != nil || len(failed) != 1 || !strings.Contains(failed[0].Error, "the result has 65538 bytes: it may have 65536") {
			t.Errorf("%v %+v", err, failed)
		}
	})
}

func TestChainInSyncMode(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var ran []string
		mux := worker.NewMux()
		mux.HandleAll(func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			ran = append(ran, job.Name)
			return nil
		})
		q, err := sqlitequeue.New(b.db, sqlqueue.Config{Sync: true, Runner: mux})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Push(t.Context(),
			sqlqueue.Chain(sqlqueue.Named("a", nil), sqlqueue.Named("b", nil), sqlqueue.Named("c", nil))); err != nil {
			t.Fatal(err)
		}
		if want := []string{"a", "b", "c"}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	})
}
