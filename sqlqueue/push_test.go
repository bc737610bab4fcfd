package sqlqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// rows is a Store that only keeps what is pushed to it.
type rows struct {
	driver.Store
	pushed []driver.NewJob
	err    error
}

func (r *rows) Push(_ context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.pushed = append(r.pushed, jobs...)
	answer := make([]driver.Pushed, len(jobs))
	for i := range answer {
		answer[i].ID = int64(i + 1)
	}
	return answer, nil
}

func newQueue(t *testing.T, config sqlqueue.Config) (*sqlqueue.Queue, *rows) {
	t.Helper()
	store := &rows{}
	q, err := sqlqueue.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	return q, store
}

type invoice struct {
	OrderID int64 `json:"order_id"`
}

func (invoice) JobName() string { return "send_invoice" }

func TestPushOptions(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	plain := driver.NewJob{Queue: "default", Payload: []byte(`{"job":"send_invoice","data":{"order_id":42}}`)}
	row := func(change func(*driver.NewJob)) []driver.NewJob {
		changed := plain
		change(&changed)
		return []driver.NewJob{changed}
	}
	text := func(payload string) []driver.NewJob {
		return row(func(j *driver.NewJob) { j.Payload = []byte(payload) })
	}
	job := invoice{42}
	for _, test := range []struct {
		name    string
		job     sqlqueue.Pushable
		options []sqlqueue.PushOption
		want    []driver.NewJob
	}{
		{"typed", job, nil, []driver.NewJob{plain}},
		{"typed, by pointer", &job, nil, []driver.NewJob{plain}},
		{"named", sqlqueue.Named("send_invoice", map[string]int{"order_id": 42}), nil, []driver.NewJob{plain}},
		{"named without data", sqlqueue.Named("x", nil), nil, text(`{"job":"x","data":null}`)},
		{"a scalar", sqlqueue.Named("x", 1.5), nil, text(`{"job":"x","data":1.5}`)},
		{"raw", sqlqueue.Named("x", json.RawMessage(`[1,  2]`)), nil, text(`{"job":"x","data":[1,2]}`)},
		{"text as it is", sqlqueue.Named("<x>", "a&b 日本"), nil, text(`{"job":"<x>","data":"a&b 日本"}`)},
		{"queue", job, options(sqlqueue.OnQueue("mail")), row(func(j *driver.NewJob) { j.Queue = "mail" })},
		{
			"queues", job, options(sqlqueue.OnQueue("mail", "sms")),
			append(row(func(j *driver.NewJob) { j.Queue = "mail" }), row(func(j *driver.NewJob) { j.Queue = "sms" })...),
		},
		{"delay", job, options(sqlqueue.Delay(time.Hour)), row(func(j *driver.NewJob) { j.Delay = time.Hour })},
		{"negative delay", job, options(sqlqueue.Delay(-time.Hour)), []driver.NewJob{plain}},
		{"at", job, options(sqlqueue.At(at)), row(func(j *driver.NewJob) { j.At = at })},
		{"delay after at", job, options(sqlqueue.At(at), sqlqueue.Delay(time.Hour)), row(func(j *driver.NewJob) { j.Delay = time.Hour })},
		{"at after delay", job, options(sqlqueue.Delay(time.Hour), sqlqueue.At(at)), row(func(j *driver.NewJob) { j.At = at })},
		{"no delay after at", job, options(sqlqueue.At(at), sqlqueue.Delay(0)), []driver.NewJob{plain}},
		{"priority", job, options(sqlqueue.Priority(-32768)), row(func(j *driver.NewJob) { j.Priority = -32768 })},
		{"unique", job, options(sqlqueue.Unique("a, b")), row(func(j *driver.NewJob) { j.UniqueKey = "a, b" })},
		{
			"settings", sqlqueue.Named("x", nil),
			options(sqlqueue.Tries(0), sqlqueue.Timeout(time.Minute), sqlqueue.BackoffList(time.Second, 2*time.Second),
				sqlqueue.RetryUntil(at)),
			text(`{"job":"x","data":null,"tries":0,"timeout":60,"backoff":[1,2],"retry_until":"2030-01-02T03:04:05Z"}`),
		},
		{
			"its own beat the call's", sqlqueue.With(job, sqlqueue.OnQueue("own"), sqlqueue.Delay(time.Hour)),
			options(sqlqueue.OnQueue("call"), sqlqueue.At(at), sqlqueue.Priority(3)),
			row(func(j *driver.NewJob) { j.Queue, j.Delay, j.Priority = "own", time.Hour, 3 }),
		},
		{
			"the outer of its own beat the inner",
			sqlqueue.With(sqlqueue.With(job, sqlqueue.OnQueue("inner"), sqlqueue.Priority(1)), sqlqueue.OnQueue("outer")), nil,
			row(func(j *driver.NewJob) { j.Queue, j.Priority = "outer", 1 }),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, store := newQueue(t, sqlqueue.Config{})
			id, err := q.Push(t.Context(), test.job, test.options...)
			if err != nil || id != 1 {
				t.Fatalf("got id %d, %v", id, err)
			}
			if !slices.EqualFunc(store.pushed, test.want, sameRow) {
				t.Errorf("got %s, want %s", show(store.pushed), show(test.want))
			}
		})
	}
}

func options(o ...sqlqueue.PushOption) []sqlqueue.PushOption { return o }

func sameRow(a, b driver.NewJob) bool {
	return a.Queue == b.Queue && a.Priority == b.Priority && string(a.Payload) == string(b.Payload) && a.Delay == b.Delay &&
		a.At.Equal(b.At) && a.UniqueKey == b.UniqueKey
}

func show(jobs []driver.NewJob) string {
	var text strings.Builder
	for _, j := range jobs {
		fmt.Fprintf(&text, "\n%s %d %s +%v %v %q", j.Queue, j.Priority, j.Payload, j.Delay, j.At, j.UniqueKey)
	}
	return text.String()
}

func TestPushManyAnswersInOrder(t *testing.T) {
	q, store := newQueue(t, sqlqueue.Config{Queue: "usual"})
	ids, err := q.PushMany(t.Context(), []sqlqueue.Pushable{
		invoice{1}, sqlqueue.With(invoice{2}, sqlqueue.OnQueue("a", "b")), invoice{3},
	})
	if err != nil || !slices.Equal(ids, []int64{1, 2, 3, 4}) {
		t.Errorf("got %v, %v", ids, err)
	}
	var queues []string
	for _, row := range store.pushed {
		queues = append(queues, row.Queue)
	}
	if want := []string{"usual", "a", "b", "usual"}; !slices.Equal(queues, want) {
		t.Errorf("queues %q, want %q", queues, want)
	}
}

func TestLater(t *testing.T) {
	q, store := newQueue(t, sqlqueue.Config{})
	if _, err := q.Later(t.Context(), time.Hour, invoice{}, sqlqueue.Delay(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := store.pushed[0].Delay; got != time.Hour {
		t.Errorf("delay is %v, want an hour", got)
	}
}

type nameless struct{}

func (nameless) JobName() string { return "" }

type unmarshalable struct{}

func (unmarshalable) JobName() string              { return "broken" }
func (unmarshalable) MarshalJSON() ([]byte, error) { return nil, errors.New("cannot say") }

// TestPushRefuses: what is wrong is said, and nothing of the call is written.
func TestPushRefuses(t *testing.T) {
	long := strings.Repeat("ä", 192)
	for _, test := range []struct {
		name    string
		job     sqlqueue.Pushable
		options []sqlqueue.PushOption
		want    string
	}{
		{"nil", nil, nil, "the job is nil"},
		{"nil, with options", sqlqueue.With(nil, sqlqueue.Tries(1)), nil, "the job is nil"},
		{"a nil pointer", (*invoice)(nil), nil, "the job is a nil *sqlqueue_test.invoice"},
		{"no name", nameless{}, nil, "empty name"},
		{"no name given", sqlqueue.Named("", 1), nil, "empty name"},
		{"a function", sqlqueue.Named("x", func() {}), nil, `data of job "x"`},
		{"a channel", sqlqueue.Named("x", make(chan int)), nil, `data of job "x"`},
		{"not a number", sqlqueue.Named("x", math.NaN()), nil, `data of job "x"`},
		{"an error of its own", unmarshalable{}, nil, "cannot say"},
		{"broken raw JSON", sqlqueue.Named("x", json.RawMessage(`{"a":`)), nil, `data of job "x"`},
		{"no queues", invoice{}, options(sqlqueue.OnQueue()), "has no queue"},
		{"an empty queue", invoice{}, options(sqlqueue.OnQueue("mail", "")), "the queue is empty"},
		{"a long queue", invoice{}, options(sqlqueue.OnQueue(long)), "has 192 characters"},
		{"an empty key", invoice{}, options(sqlqueue.Unique("")), "the unique key is empty"},
		{"a long key", invoice{}, options(sqlqueue.Unique(long)), "has 192 characters"},
		{"too urgent", invoice{}, options(sqlqueue.Priority(-32769)), "priority is -32769"},
		{"too relaxed", invoice{}, options(sqlqueue.Priority(32768)), "priority is 32768"},
		{"too far", invoice{}, options(sqlqueue.Delay(101 * 365 * 24 * time.Hour)), "a hundred years"},
		{"too early", invoice{}, options(sqlqueue.At(time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC))), "out of range"},
		{"too late", invoice{}, options(sqlqueue.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))), "out of range"},
		{"the zero time", invoice{}, options(sqlqueue.Delay(time.Hour), sqlqueue.At(time.Time{})), "At has the zero time"},
		{"no waits", invoice{}, options(sqlqueue.BackoffList()), "BackoffList names no wait"},
		{"a nil option", invoice{}, options(nil), "option of the push is nil"},
		{"negative tries", invoice{}, options(sqlqueue.Tries(-1)), "tries is -1"},
		{"negative timeout", invoice{}, options(sqlqueue.Timeout(-time.Second)), "timeout is -1s"},
		{"negative backoff", invoice{}, options(sqlqueue.BackoffList(1, -time.Second)), "backoff has -1s"},
		{"sync without handlers", invoice{}, options(sqlqueue.Sync()), "needs handlers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, store := newQueue(t, sqlqueue.Config{})
			if id, err := q.Push(t.Context(), test.job, test.options...); id != 0 || err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d, %v; want %q", id, err, test.want)
			}
			jobs := []sqlqueue.Pushable{invoice{1}, test.job}
			if test.job != nil {
				jobs[1] = sqlqueue.With(test.job, test.options...)
			}
			ids, err := q.PushMany(t.Context(), jobs)
			if ids != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("among others: got %v, %v; want %q", ids, err, test.want)
			}
			if len(store.pushed) > 0 {
				t.Errorf("pushed %s", show(store.pushed))
			}
		})
	}
}

func TestPushSaysWhichJob(t *testing.T) {
	q, _ := newQueue(t, sqlqueue.Config{})
	_, err := q.PushMany(t.Context(), []sqlqueue.Pushable{invoice{}, sqlqueue.Named("", nil), invoice{}})
	if err == nil || !strings.Contains(err.Error(), "job 2 of 3") {
		t.Errorf("got %v", err)
	}
}

func TestPushReturnsTheStoresError(t *testing.T) {
	q, store := newQueue(t, sqlqueue.Config{})
	store.err = fmt.Errorf("connection reset: %w", sqlqueue.ErrOutcomeUnknown)
	id, err := q.Push(t.Context(), invoice{})
	if id != 0 || !errors.Is(err, sqlqueue.ErrOutcomeUnknown) || !strings.HasPrefix(err.Error(), "sqlqueue: push: ") {
		t.Errorf("got %d, %v", id, err)
	}
}

// upper is a Codec that is not the default.
type upper struct{}

func (upper) Marshal(v any) (json.RawMessage, error) {
	return json.Marshal(strings.ToUpper(fmt.Sprint(v)))
}
func (upper) Unmarshal(data json.RawMessage, v any) error { return json.Unmarshal(data, v) }

func TestCodec(t *testing.T) {
	q, store := newQueue(t, sqlqueue.Config{Codec: upper{}})
	if _, err := q.Push(t.Context(), sqlqueue.Named("x", "loud")); err != nil {
		t.Fatal(err)
	}
	if got, want := string(store.pushed[0].Payload), `{"job":"x","data":"LOUD"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// runner keeps the jobs that run in sync mode.
type runner struct {
	ran []sqlqueue.Job
	err error
}

func (r *runner) RunJob(_ context.Context, _ *sqlqueue.Queue, job sqlqueue.Job) error {
	r.ran = append(r.ran, job)
	return r.err
}

// TestSync is MISSION A10.
func TestSync(t *testing.T) {
	for _, config := range []bool{true, false} {
		run := &runner{}
		q, store := newQueue(t, sqlqueue.Config{Sync: config, Runner: run})
		var sync []sqlqueue.PushOption
		if !config {
			sync = options(sqlqueue.Sync())
		}
		id, err := q.Push(t.Context(), invoice{42}, append(sync, sqlqueue.OnQueue("a", "b"), sqlqueue.Priority(3))...)
		if id != 0 || err != nil || len(run.ran) != 2 {
			t.Fatalf("got %d, %v; ran %d jobs, want one for each queue", id, err, len(run.ran))
		}
		j := run.ran[1]
		if j.Queue != "b" || j.Attempts != 1 || j.Priority != 3 || string(j.Payload) != `{"job":"send_invoice","data":{"order_id":42}}` {
			t.Errorf("ran %+v", j)
		}
		for name, option := range map[string]sqlqueue.PushOption{"delay": sqlqueue.Delay(time.Second), "at": sqlqueue.At(time.Now())} {
			if _, err := q.Push(t.Context(), invoice{}, append(sync, option)...); err == nil ||
				!strings.Contains(err.Error(), "cannot be delayed") {
				t.Errorf("%s: got %v, want an error", name, err)
			}
		}
		if _, err := q.Later(t.Context(), time.Second, invoice{}, sync...); err == nil {
			t.Error("a delayed job ran in sync mode, or was dropped")
		}
		run.err = errors.New("it broke")
		if _, err := q.Push(t.Context(), invoice{}, sync...); !errors.Is(err, run.err) {
			t.Errorf("got %v, want the handler's error", err)
		}
		if len(run.ran) != 3 || len(store.pushed) != 0 {
			t.Errorf("ran %d jobs, want 3; stored %d", len(run.ran), len(store.pushed))
		}
	}
}

func TestSyncBesideStored(t *testing.T) {
	run := &runner{}
	q, store := newQueue(t, sqlqueue.Config{Runner: run})
	_, err := q.PushMany(t.Context(), []sqlqueue.Pushable{invoice{}, sqlqueue.With(invoice{}, sqlqueue.Sync())})
	if err == nil || len(run.ran)+len(store.pushed) > 0 {
		t.Errorf("got %v; ran %d, stored %d", err, len(run.ran), len(store.pushed))
	}
}
