package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// counted is what workers have written of the queue "default", all minutes together.
func (b *bench) counted() (sum driver.Count) {
	b.t.Helper()
	const query = `SELECT coalesce(sum(pushed), 0), coalesce(sum(done), 0), coalesce(sum(failed), 0), coalesce(sum(released), 0)
		FROM job_counts WHERE queue = 'default'`
	if err := b.db.QueryRowContext(b.t.Context(), query).Scan(&sum.Pushed, &sum.Done, &sum.Failed, &sum.Released); err != nil {
		b.t.Fatal(err)
	}
	return sum
}

func TestCountsAreWrittenEveryTenSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return nil })
		b.pushMany(3)
		b.push(sqlqueue.OnQueue("mail"))
		pushed := time.Now()
		pass(3*time.Minute + 7*time.Second)
		r := b.start(worker.Config{Queues: []string{"default", "mail"}})
		started := time.Now()
		pass(8 * time.Second)
		if got := b.counted(); got != (driver.Count{}) {
			t.Errorf("after eight seconds %+v is written", got)
		}
		pass(2*time.Second + 100*time.Millisecond)
		if got := b.counted(); got != (driver.Count{Pushed: 3, Done: 3}) {
			t.Errorf("after ten seconds %+v is written", got)
		}
		counts, err := operator.New(b.q).Counts(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		then, now := pushed.Truncate(time.Minute).UTC(), started.Truncate(time.Minute).UTC()
		want := []driver.Count{
			{Minute: then, Queue: "default", Pushed: 3},
			{Minute: then, Queue: "mail", Pushed: 1},
			{Minute: now, Queue: "default", Done: 3},
			{Minute: now, Queue: "mail", Done: 1},
		}
		if len(counts.Minutes) != len(want) {
			t.Fatalf("got %+v, want %+v", counts.Minutes, want)
		}
		for i, got := range counts.Minutes {
			if got != want[i] {
				t.Errorf("got %+v, want %+v", got, want[i])
			}
		}

		b.push()
		pass(time.Second)
		if got := b.counted(); got.Done != 3 {
			t.Errorf("a second later %+v is written: each exchange costs more by that", got)
		}
		r.stop()
		if got := b.counted(); got != (driver.Count{Pushed: 4, Done: 4}) {
			t.Errorf("at the worker's end %+v is written", got)
		}
	})
}

// TestCountsOfOldPushes: minutes that are deleted at once are not written.
func TestCountsOfOldPushes(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return nil })
		b.push()
		pass(operator.CountsKept)
		b.push()
		b.drain(worker.Config{})
		if got := b.counted(); got != (driver.Count{Pushed: 1, Done: 2}) {
			t.Errorf("got %+v", got)
		}
		if rows := b.rowsOfCounts(); rows != 1 {
			t.Errorf("%d rows are written, want 1", rows)
		}
	})
}

func (b *bench) rowsOfCounts() (n int) {
	b.t.Helper()
	if err := b.db.QueryRowContext(b.t.Context(), "SELECT count(*) FROM job_counts").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestOldCountsAreDeleted: once a minute, as long as a worker runs.
func TestOldCountsAreDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return nil })
		write := func(ago ...time.Duration) {
			t.Helper()
			theirs := driver.Beat{Worker: driver.Worker{ID: "another"}, Leave: true}
			for _, d := range ago {
				theirs.Counts = append(theirs.Counts, driver.Count{
					Minute: time.Now().Add(-d).Truncate(time.Minute), Queue: "default", Done: 1,
				})
			}
			if err := b.q.Beat(t.Context(), theirs); err != nil {
				t.Fatal(err)
			}
		}
		write(49*time.Hour, 47*time.Hour)
		b.start(worker.Config{})
		pass(time.Second)
		if rows := b.rowsOfCounts(); rows != 1 {
			t.Errorf("a worker has started, and there are %d rows, want 1", rows)
		}
		write(49 * time.Hour)
		pass(70 * time.Second)
		if rows := b.rowsOfCounts(); rows != 1 {
			t.Errorf("a minute later there are %d rows, want 1", rows)
		}
	})
}

func TestCountsOfOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		outcome error
		tell    error // by the callback of failed jobs
		other   bool  // the job has a name that no handler has
		want    driver.Count
	}{
		"processed":                     {nil, nil, false, driver.Count{Pushed: 1, Done: 1}},
		"discarded":                     {worker.Discard(), nil, false, driver.Count{Pushed: 1, Done: 1}},
		"failed":                        {worker.Fail(errors.New("no")), nil, false, driver.Count{Pushed: 1, Failed: 1}},
		"failed, then discarded":        {worker.Fail(errors.New("no")), worker.Discard(), false, driver.Count{Pushed: 1, Done: 1}},
		"failed, then kept":             {worker.Fail(errors.New("no")), worker.Keep(), false, driver.Count{}},
		"released":                      {worker.Release(time.Hour), nil, false, driver.Count{Released: 1}},
		"released after an error":       {errors.New("no"), nil, false, driver.Count{Released: 1}},
		"snoozed":                       {worker.Snooze(time.Hour), nil, false, driver.Count{}},
		"of a name that no handler has": {nil, nil, true, driver.Count{}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { return test.outcome })
				if test.other {
					b.raw(`{"job":"other"}`)
				} else {
					b.push()
				}
				b.drain(worker.Config{
					Backoff:  worker.FixedBackoff(time.Hour),
					OnFailed: func(context.Context, *worker.Job[json.RawMessage], error) error { return test.tell },
				})
				if got := b.counted(); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			})
		})
	}
}

// TestCountsOfWhatIsGivenBack: a job that a worker reserved and did not start is none that ended.
func TestCountsOfWhatIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		began, stop := make(chan struct{}, 20), make(chan struct{})
		b.handle(func(context.Context, *raw) error {
			began <- struct{}{}
			<-stop
			return nil
		})
		b.pushMany(20)
		r := b.start(worker.Config{Concurrency: 1})
		<-began
		r.cancel()
		pass(time.Second)
		close(stop)
		if err := r.ended(); err != nil {
			t.Fatal(err)
		}
		left, err := operator.New(b.q).Jobs(t.Context(), operator.JobFilter{})
		if err != nil {
			t.Fatal(err)
		}
		done := int64(20 - len(left))
		if got := b.counted(); done == 20 || got != (driver.Count{Pushed: done, Done: done}) {
			t.Errorf("%d were done, and %+v is written", done, got)
		}
	})
}

// TestCountsAreKeptWhileTheDatabaseIsAway: what a beat that failed did not write is written by a later one, and not twice.
func TestCountsAreKeptWhileTheDatabaseIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return nil })
		b.pushMany(5)
		failures := 0
		b.store.interceptBeats(func(_ context.Context, beat *driver.Beat) error {
			if len(beat.Counts) > 0 && failures < 3 {
				failures++
				return errors.New("the database is away")
			}
			return nil
		})
		b.start(worker.Config{})
		pass(11 * time.Second)
		b.pushMany(2)
		pass(time.Minute)
		if got := b.counted(); failures != 3 || got != (driver.Count{Pushed: 7, Done: 7}) {
			t.Errorf("after %d failures %+v is written", failures, got)
		}
	})
}

// TestCountsOfTwoExchangesAtOnce: a job that is settled by a second exchange is counted once, also if that fails at first.
func TestCountsOfTwoExchangesAtOnce(t *testing.T) {
	const jobs = 8000
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(time.Millisecond); return nil })
		b.pushMany(jobs)
		q, tr := b.watchTraffic(func(n int) (before, after error) {
			if n%3 == 0 {
				return errors.New("the database is away"), nil
			}
			return nil, nil
		})
		tr.loose = true
		if err := b.startOn(q, worker.Config{Concurrency: 20, StopWhenEmpty: true}).ended(); err != nil {
			t.Fatal(err)
		}
		if got := b.counted(); tr.pipelined < 3 || got != (driver.Count{Pushed: jobs, Done: jobs}) {
			t.Errorf("with %d second exchanges %+v is written", tr.pipelined, got)
		}
	})
}

// TestCountsOfWhatEndsMeanwhile: what is counted while a beat is under way that fails is added to what that has not written.
func TestCountsOfWhatEndsMeanwhile(t *testing.T) {
	const jobs = 12_000
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { pass(40 * time.Millisecond); return nil })
		var failures, pipelined atomic.Int32
		var failing atomic.Bool
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			pass(50 * time.Millisecond)
			if failing.Load() && len(x.Settle) > 0 {
				pipelined.Add(1)
			}
			return nil
		}, nil)
		b.store.interceptBeats(func(_ context.Context, beat *driver.Beat) error {
			if len(beat.Counts) > 0 && failures.Load() < 2 {
				failures.Add(1)
				failing.Store(true)
				pass(400 * time.Millisecond)
				failing.Store(false)
				return errors.New("the database is away")
			}
			return nil
		})
		q := b.q.Bind(func(s driver.Store) (driver.Store, error) { return manyWriters{s}, nil })
		b.push()
		b.startOn(q, worker.Config{Concurrency: 300})
		pass(9500 * time.Millisecond)
		if _, err := b.q.PushMany(t.Context(), slices.Repeat([]sqlqueue.Pushable{sqlqueue.Named("job", nil)}, jobs)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := b.counted(); failures.Load() != 2 || pipelined.Load() == 0 || got != (driver.Count{Pushed: jobs + 1, Done: jobs + 1}) {
			t.Errorf("after %d failures, and with %d second exchanges, %+v is written", failures.Load(), pipelined.Load(), got)
		}
	})
}
