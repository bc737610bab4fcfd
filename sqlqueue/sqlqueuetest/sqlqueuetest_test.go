package sqlqueuetest_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

func TestF2_PushedListsWhatWasPushed(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{Queue: "mine", Prefix: "app_", Schema: "app"})
	if got := q.Pushed(); got != nil {
		t.Fatalf("a new queue has %v", got)
	}
	push(t, q.Queue, greet{Name: "A"})
	push(t, q.Queue, greet{Name: "B"}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Minute), sqlqueue.Priority(-3), sqlqueue.Unique("b"),
		sqlqueue.Tries(3), sqlqueue.Timeout(time.Second))
	if _, err := q.Push(t.Context(), greet{Name: "C"}, sqlqueue.OnQueue("mail"), sqlqueue.Unique("b")); err == nil {
		t.Error("the key was free")
	}
	if _, err := q.DB().ExecContext(t.Context(), `INSERT INTO jobs (payload) VALUES ('[]')`); err != nil {
		t.Fatal(err)
	}
	q.RunUntilEmpty(mux()) // what becomes of them does not matter

	got := q.Pushed()
	var lines []string
	for _, p := range got {
		lines = append(lines, p.String())
	}
	want := []string{
		`greet {"name":"A"} on queue "mine"`,
		`greet {"name":"B"} on queue "mail", delay 1m0s, priority -3, unique key "b", timeout 1, tries 3`,
		`  on queue "default"`,
	}
	if !slices.Equal(lines, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	b := got[1]
	if b.ID != 2 || b.Queue != "mail" || b.Priority != -3 || b.Delay != time.Minute || b.UniqueKey != "b" || *b.Tries != 3 {
		t.Errorf("got %+v", b)
	}
	if at := time.Until(b.AvailableAt); at > time.Minute || at < 0 {
		t.Errorf("available in %v", at)
	}
}

func TestF2_PushedAsReadsTheData(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{Codec: secret{}})
	push(t, q.Queue, greet{Name: "A"})
	push(t, q.Queue, count{})
	push(t, q.Queue, greet{Name: "B"})
	if got, want := sqlqueuetest.PushedAs[greet](q), []greet{{Name: "A"}, {Name: "B"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, sqlqueue.Named("greet", "no object"))
		sqlqueuetest.PushedAs[greet](q)
	}).want(t, `sqlqueuetest: PushedAs: data of job 1, greet "no object" on queue "default": `+
		`json: cannot unmarshal string into Go value of type sqlqueuetest_test.greet`)
}

// secret is a Codec whose JSON cannot be compared.
type secret struct{}

var salt int

func (secret) Marshal(v any) (json.RawMessage, error) {
	plain, err := sqlqueue.JSON.Marshal(v)
	if err != nil {
		return nil, err
	}
	salt++
	return json.Marshal(fmt.Sprintf("%d.%s", salt, base64.StdEncoding.EncodeToString(plain)))
}

func (secret) Unmarshal(data json.RawMessage, v any) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	_, text, _ = strings.Cut(text, ".")
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

func TestF2_AssertPushed(t *testing.T) {
	at := time.Now().Add(time.Hour)
	type options = []sqlqueue.PushOption
	for i, c := range []struct {
		job     greet
		options options
		pushed  bool
	}{
		{greet{Name: "A"}, nil, true},
		{greet{Name: "a"}, nil, false},
		{greet{Name: "A"}, options{sqlqueue.OnQueue("default"), sqlqueue.Delay(0), sqlqueue.Priority(0)}, true},
		{greet{Name: "A"}, options{sqlqueue.Delay(time.Minute)}, false},
		{greet{Name: "A"}, options{sqlqueue.Tries(3)}, false},
		{greet{Name: "B"}, nil, true},
		{greet{Name: "B"}, options{sqlqueue.OnQueue("mail")}, true},
		{greet{Name: "B"}, options{sqlqueue.OnQueue("mail", "sms")}, true},
		{greet{Name: "B"}, options{sqlqueue.OnQueue("chat")}, false},
		{greet{Name: "B"}, options{sqlqueue.Delay(time.Minute), sqlqueue.Tries(3)}, true},
		{greet{Name: "B"}, options{sqlqueue.Delay(0)}, false},
		{greet{Name: "B"}, options{sqlqueue.Tries(2)}, false},
		{greet{Name: "B"}, options{sqlqueue.Timeout(0)}, false},
		{greet{Name: "C"}, options{sqlqueue.At(at), sqlqueue.Priority(1), sqlqueue.Unique("one"), sqlqueue.Timeout(0)}, true},
		{greet{Name: "C"}, options{sqlqueue.At(at.Add(time.Second))}, false},
		{greet{Name: "C"}, options{sqlqueue.Priority(2)}, false},
		{greet{Name: "C"}, options{sqlqueue.Unique("two")}, false},
		{greet{Name: "D", ID: 9007199254740993}, nil, true},
		{greet{Name: "D", ID: 9007199254740992}, nil, false},
	} {
		prepare := func(t testing.TB) *sqlqueuetest.Queue {
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			push(t, q.Queue, greet{Name: "A"})
			push(t, q.Queue, greet{Name: "B"}, sqlqueue.OnQueue("mail", "sms"), sqlqueue.Delay(time.Minute), sqlqueue.Tries(3))
			push(t, q.Queue, greet{Name: "C"}, sqlqueue.At(at), sqlqueue.Priority(1), sqlqueue.Unique("one"), sqlqueue.Timeout(0))
			_, err := q.DB().ExecContext(t.Context(),
				`INSERT INTO jobs (payload) VALUES ('{"data": {"id": 9007199254740993, "name": "D"}, "job": "greet"}')`)
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		asserted := watch(t, func(t testing.TB) { prepare(t).AssertPushed(c.job, c.options...) })
		if holds := !asserted.Failed(); holds != c.pushed {
			t.Errorf("%d, %v: AssertPushed holds: %v, want %v", i, c.job, holds, c.pushed)
		}
		refuted := watch(t, func(t testing.TB) { prepare(t).AssertNotPushed(c.job, c.options...) })
		if holds := !refuted.Failed(); holds == c.pushed {
			t.Errorf("%d, %v: AssertNotPushed holds: %v, want %v", i, c.job, holds, !c.pushed)
		}
	}
}

func TestF2_AssertPushedOnEveryQueue(t *testing.T) {
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, count{}, sqlqueue.OnQueue("mail"))
		q.AssertPushed(count{}, sqlqueue.OnQueue("mail", "sms"))
	}).want(t, `count {} on queue "sms" was not pushed; pushed were
	job 1: count {} on queue "mail"`)
}

// The Config's queue, its Codec and its sync mode are also those of what is looked for.
func TestF2_AssertPushedKnowsTheConfig(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{Codec: secret{}, Runner: mux(), Sync: true})
	push(t, q.Queue, greet{Name: "A"})
	q.AssertNotPushed(greet{Name: "A"}) // but run
	for _, codec := range []sqlqueue.Codec{secret{}, typed{}} {
		q = sqlqueuetest.New(t, sqlqueue.Config{Codec: codec})
		push(t, q.Queue, greet{Name: "A"})
		q.AssertPushed(greet{Name: "A"})
		q.AssertNotPushed(greet{Name: "B"})
	}
}

// typed is a Codec that knows its types only.
type typed struct{}

func (typed) Marshal(v any) (json.RawMessage, error) {
	g, ok := v.(greet)
	if !ok {
		return nil, fmt.Errorf("a %T is unknown", v)
	}
	return json.Marshal([]string{g.Name})
}

func (typed) Unmarshal(_ json.RawMessage, v any) error { return fmt.Errorf("a %T is unknown", v) }

func TestF2_AssertionsTellWhatWasPushed(t *testing.T) {
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		q.AssertCount(0)
		q.AssertPushed(greet{Name: "A"})
		push(t, q.Queue, greet{Name: "B"}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Minute))
		q.AssertCount(1)
		q.AssertCount(2)
		q.AssertPushed(greet{Name: "A"}, sqlqueue.OnQueue("mail"), sqlqueue.Priority(1), sqlqueue.Delay(time.Hour), sqlqueue.Unique("u"))
		q.AssertNotPushed(greet{Name: "B"})
		q.AssertPushed(greet{Name: "B"}, sqlqueue.OnQueue("a,b"))
	}).want(t,
		`greet {"name":"A"} on any queue was not pushed; pushed were none`,
		`1 jobs were pushed, want 2; pushed were
	job 1: greet {"name":"B"} on queue "mail", delay 1m0s`,
		`greet {"name":"A"} on queue "mail", delay 1h0m0s, priority 1, unique key "u" was not pushed; pushed were
	job 1: greet {"name":"B"} on queue "mail", delay 1m0s`,
		`greet {"name":"B"} on any queue was pushed, as job 1: greet {"name":"B"} on queue "mail", delay 1m0s`,
		`sqlqueuetest: what is looked for cannot be pushed: sqlqueue: push: the queue "a,b" has a comma: `+
			`a queue's name has 1 to 191 characters, no comma and no space at either end`,
	)
}

func TestF2_RunOneTellsTheOutcome(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	broken := errors.New("broken")
	for _, c := range []struct {
		returns error
		want    string
	}{
		{nil, `processed`},
		{worker.Discard(), `processed: discarded`},
		{worker.Release(time.Minute), `released for 1m0s: released for 1m0s`},
		{worker.Snooze(time.Hour), `released for 1h0m0s: snoozed for 1h0m0s`},
		{worker.Fail(broken), `failed: broken`},
	} {
		id := push(t, q.Queue, greet{Name: "A"}, sqlqueue.OnQueue("mail"))
		got := q.RunOne(mux(c.returns))
		wantOutcomes(t, []sqlqueuetest.Result{got}, fmt.Sprintf(`greet (job %d, queue "mail", attempt 1) %s`, id, c.want))
		if got.Job.ID != id {
			t.Errorf("job %d was run, want %d", got.Job.ID, id)
		}
		if _, err := operator.New(q.Queue).Cancel(t.Context(), id); err != nil && !errors.Is(err, operator.ErrNotFound) {
			t.Fatal(err)
		}
	}

	push(t, q.Queue, greet{Name: "A"})
	q.Worker = worker.Config{Tries: 2, Backoff: worker.FixedBackoff(time.Second)}
	if got := q.RunOne(mux(broken)); got.Outcome != sqlqueuetest.Released || got.Delay != time.Second || !errors.Is(got.Err, broken) {
		t.Errorf("got %v, %+v", got, got)
	}
	q.Advance(time.Second)
	if got := q.RunOne(mux(broken)); got.Outcome != sqlqueuetest.Failed || got.Job.Attempts != 2 {
		t.Errorf("got %v", got)
	}

	id := push(t, q.Queue, count{})
	if got := q.RunOne(mux()); got.Outcome != sqlqueuetest.Released || !errors.Is(got.Err, worker.ErrNoHandler) || got.Job.ID != id {
		t.Errorf("without a handler: got %v", got)
	}
}

func TestF2_RunOneSeesALostJob(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	id := push(t, q.Queue, count{})
	m := worker.NewMux()
	m.HandleFunc("count", func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
		_, err := operator.New(q.Queue).Release(ctx, id) // as an operator does
		return err
	})
	if got := q.RunOne(m); got.Outcome != sqlqueuetest.Lost || !errors.Is(got.Err, sqlqueue.ErrReservationLost) {
		t.Errorf("got %v", got)
	}
}

func TestF2_RunOneRunsOne(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	push(t, q.Queue, greet{Name: "later"}, sqlqueue.Priority(1))
	push(t, q.Queue, greet{Name: "first"})
	if got := q.RunOne(mux()); got.Job.ID != 2 {
		t.Errorf("job %d was run, want 2: it has the smaller priority", got.Job.ID)
	}
	if jobs, err := operator.New(q.Queue).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Errorf("%v; left are %+v", err, jobs)
	}
}

func TestF2_RunOneNeedsAJob(t *testing.T) {
	r := watch(t, func(t testing.TB) { sqlqueuetest.New(t, sqlqueue.Config{}).RunOne(mux()) })
	r.want(t, "no job is due; there are none at all")
	if !r.ended {
		t.Error("the test goes on")
	}
	synctest.Test(t, func(t *testing.T) {
		watch(t, func(t testing.TB) {
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			push(t, q.Queue, greet{}, sqlqueue.Delay(time.Hour))
			reserve(t, q, push(t, q.Queue, greet{}, sqlqueue.Priority(-1)), -1)
			q.RunOne(mux())
		}).want(t, `no job is due; there are
	job 1 on queue "default", available in 59m59.999s: {"job":"greet","data":{"name":""}}
	job 2 on queue "default", reserved: {"job":"greet","data":{"name":""}}`)
	})
}

// reserve reserves the next job, as a worker does that then dies.
func reserve(t testing.TB, q *sqlqueuetest.Queue, id int64, expire time.Duration) {
	t.Helper()
	answer, err := q.Exchange(t.Context(), driver.Exchange{
		Number: "dead-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "default", Expire: max(expire, 0)}},
	})
	if err != nil || len(answer.Reserved) != 1 || answer.Reserved[0].ID != id {
		t.Fatalf("reserved %+v, %v", answer.Reserved, err)
	}
}

func TestF2_RunUntilEmpty(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	if got := q.RunUntilEmpty(mux()); got != nil {
		t.Errorf("with nothing there, %v were run", got)
	}
	m := mux(worker.Release(0))
	worker.Handle(m, func(ctx context.Context, _ *worker.Job[count]) error {
		_, err := q.Push(ctx, greet{Name: "pushed by a handler"}, sqlqueue.OnQueue("another"))
		return err
	})
	push(t, q.Queue, count{}, sqlqueue.OnQueue("b"))
	push(t, q.Queue, greet{Name: "delayed"}, sqlqueue.Delay(time.Minute))
	push(t, q.Queue, greet{Name: "released"}, sqlqueue.OnQueue("a"))
	wantOutcomes(t, q.RunUntilEmpty(m),
		`greet (job 3, queue "a", attempt 1) released for 0s: released for 0s`,
		`greet (job 3, queue "a", attempt 2) processed`,
		`count (job 1, queue "b", attempt 1) processed`,
		`greet (job 4, queue "another", attempt 1) processed`,
	)
	if jobs, err := operator.New(q.Queue).Jobs(t.Context(), operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].ID != 2 {
		t.Errorf("%v; left are %+v", err, jobs)
	}
}

func TestF2_WorkerHasTheSettings(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	var log strings.Builder
	q.Worker = worker.Config{
		Queues: []string{"b"}, Concurrency: 3, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Once: true, MaxJobs: 1, // these two do not count
	}
	together := make(chan struct{}, 2)
	m := worker.NewMux()
	worker.Handle(m, func(ctx context.Context, _ *worker.Job[greet]) error {
		together <- struct{}{}
		for len(together) < 2 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("a"))
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("b"))
	push(t, q.Queue, greet{}, sqlqueue.OnQueue("b"))
	if got := q.RunUntilEmpty(m); len(got) != 2 || got[0].Job.Queue != "b" || got[1].Job.Queue != "b" {
		t.Errorf("got %v, want the two jobs of queue b", got)
	}
	if !strings.Contains(log.String(), "msg=processed") {
		t.Errorf("the Logger got\n%s", log.String())
	}
}

func TestF2_LogsGoToTheTest(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, greet{})
		q.RunOne(mux())
	})
	if got := r.output.String(); !strings.Contains(got, "msg=processed") {
		t.Errorf("the test's output is\n%s", got)
	}
}

func TestF2_RunUntilEmptyEnds(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		q.Worker = worker.Config{Tries: -1, Backoff: worker.FixedBackoff(0), Logger: slog.New(slog.DiscardHandler)}
		push(t, q.Queue, greet{})
		m := worker.NewMux()
		worker.Handle(m, func(context.Context, *worker.Job[greet]) error { return errors.New("again") })
		q.RunUntilEmpty(m)
	})
	r.want(t, `still not empty after 1000 runs; the last: greet (job 1, queue "default", attempt 1000) released for 0s: again`)
	if !r.ended {
		t.Error("the test goes on")
	}
}

func TestF2_WrongHandlersEndTheTest(t *testing.T) {
	r := watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		push(t, q.Queue, greet{})
		q.RunOne(worker.NewMux())
	})
	r.want(t, "sqlqueuetest: worker: the mux has no handlers")
	if !r.ended {
		t.Error("the test goes on")
	}
}

func TestF2_AHandlerEndsTheTest(t *testing.T) {
	for name, run := range map[string]func(q *sqlqueuetest.Queue, m *worker.Mux){
		"RunOne":        func(q *sqlqueuetest.Queue, m *worker.Mux) { q.RunOne(m) },
		"RunUntilEmpty": func(q *sqlqueuetest.Queue, m *worker.Mux) { q.RunUntilEmpty(m) },
	} {
		watch(t, func(t testing.TB) {
			q := sqlqueuetest.New(t, sqlqueue.Config{})
			q.Worker.Backoff = worker.FixedBackoff(time.Hour) // on a slow machine the job would be due again before the run ends
			push(t, q.Queue, greet{})
			m := worker.NewMux()
			worker.Handle(m, func(context.Context, *worker.Job[greet]) error {
				t.Fatalf("not what %s expects", name)
				return nil
			})
			run(q, m)
			t.Errorf("the test goes on")
		}).want(t, "not what "+name+" expects")
	}
}

func TestF2_AHandlerThatOnlyBreaksDoesNotEndTheTest(t *testing.T) {
	watch(t, func(t testing.TB) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		q.Worker.Backoff = worker.FixedBackoff(time.Second)
		push(t, q.Queue, greet{})
		push(t, q.Queue, greet{})
		m := worker.NewMux()
		worker.Handle(m, func(_ context.Context, job *worker.Job[greet]) error {
			if job.ID == 1 {
				runtime.Goexit() // and the test has not failed
			}
			t.Errorf("the handler has found something")
			panic("and more")
		})
		t.Errorf("%v", q.RunOne(m))
		t.Errorf("%v", q.RunOne(m).Err)
	}).want(t,
		`greet (job 1, queue "default", attempt 1) released for 1s: the handler called runtime.Goexit`,
		"the handler has found something",
		"panic: and more",
	)
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
	if job, err := operator.New(q.Queue).Job(t.Context(), id); err != nil || time.Since(job.ReservedAt) < 59*time.Minute || time.Since(job.CreatedAt) < 59*time.Minute {
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
	if failed, err := operator.New(q.Queue).FailedJobs(t.Context(), operator.FailedFilter{OlderThan: 24 * time.Hour}); err != nil || len(failed) != 1 {
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
