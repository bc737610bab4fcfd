package sqlqueuetest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

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
