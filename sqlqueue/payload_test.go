package sqlqueue_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestParsePayload(t *testing.T) {
	number := func(n int) *int { return &n }
	seconds := func(d time.Duration) *sqlqueue.Seconds { return (*sqlqueue.Seconds)(&d) }
	null := json.RawMessage("null")
	for _, test := range []struct {
		payload string
		want    sqlqueue.Payload
		err     string
	}{
		{`{"job":"a"}`, sqlqueue.Payload{Job: "a", Data: null}, ""},
		{`{"job":"a","data":null}`, sqlqueue.Payload{Job: "a", Data: null}, ""},
		{" \t\r\n" + `{"job":"a","data":{"x":[1, 2]}}` + " \n", sqlqueue.Payload{Job: "a", Data: json.RawMessage(`{"x":[1, 2]}`)}, ""},
		{`{"job":"a","data":12345678901234567890}`, sqlqueue.Payload{Job: "a", Data: json.RawMessage(`12345678901234567890`)}, ""},
		{`{"job":"a","colour":"red","attempts":[]}`, sqlqueue.Payload{Job: "a", Data: null}, ""},
		{`{"job":"a\u0000b"}`, sqlqueue.Payload{Job: "a\x00b", Data: null}, ""},
		{`{"job":"a\"b","data":1}`, sqlqueue.Payload{Job: `a"b`, Data: json.RawMessage("1")}, ""},
		{`{"job":"ä","data":1}`, sqlqueue.Payload{Job: "ä", Data: json.RawMessage("1")}, ""},
		{`{"job":"a","data": 1 }`, sqlqueue.Payload{Job: "a", Data: json.RawMessage("1")}, ""},
		{`{"job":"a","data":{"x":"}"},"tries":3}`, sqlqueue.Payload{Job: "a", Data: json.RawMessage(`{"x":"}"}`), Tries: number(3)}, ""},
		{`{"job":"a","data":1,"job":"b"}`, sqlqueue.Payload{}, `two members "job"`},
		{`{"job":"a","tries":0}`, sqlqueue.Payload{Job: "a", Data: null, Tries: number(0)}, ""},
		{`{"job":"a","tries":null,"timeout":null,"backoff":[]}`, sqlqueue.Payload{Job: "a", Data: null, Backoff: sqlqueue.Backoff{}}, ""},
		{`{"job":"a","tries":3,"other":2}`, sqlqueue.Payload{Job: "a", Data: null, Tries: number(3)}, ""},
		{`{"job":"a","timeout":1.5}`, sqlqueue.Payload{Job: "a", Data: null, Timeout: seconds(1500 * time.Millisecond)}, ""},
		{`{"job":"a","timeout":0}`, sqlqueue.Payload{Job: "a", Data: null, Timeout: seconds(0)}, ""},
		{`{"job":"a","backoff":5}`, sqlqueue.Payload{Job: "a", Data: null, Backoff: sqlqueue.Backoff{5 * time.Second}}, ""},
		{
			`{"job":"a","backoff":[1, 0.5]}`,
			sqlqueue.Payload{Job: "a", Data: null, Backoff: sqlqueue.Backoff{time.Second, time.Second / 2}},
			"",
		},
		{
			`{"job":"a","retry_until":"2030-01-02T03:04:05Z"}`,
			sqlqueue.Payload{Job: "a", Data: null, RetryUntil: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)},
			"",
		},

		{``, sqlqueue.Payload{}, "not an object"},
		{`   `, sqlqueue.Payload{}, "not an object"},
		{`null`, sqlqueue.Payload{}, "not an object"},
		{`[{"job":"a"}]`, sqlqueue.Payload{}, "not an object"},
		{`"a"`, sqlqueue.Payload{}, "not an object"},
		{`42`, sqlqueue.Payload{}, "not an object"},
		{`{"job":`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a"} x`, sqlqueue.Payload{}, "payload: "},
		{`{}`, sqlqueue.Payload{}, `no "job"`},
		{`{"data":1}`, sqlqueue.Payload{}, `no "job"`},
		{`{"job":"","data":1}`, sqlqueue.Payload{}, `no "job"`},
		{`{"job":"a","data":}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a","data":tru}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a","data":1}}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":null}`, sqlqueue.Payload{}, `no "job"`},
		{`{"job":""}`, sqlqueue.Payload{}, `no "job"`},
		{`{"job":5}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a","tries":-1}`, sqlqueue.Payload{}, "tries is -1"},
		{`{"job":"a","tries":"many"}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a","tries":1.5}`, sqlqueue.Payload{}, "payload: "},
		{`{"job":"a","timeout":-1}`, sqlqueue.Payload{}, "timeout is -1s"},
		{`{"job":"a","timeout":"10m"}`, sqlqueue.Payload{}, "not a number of seconds"},
		{`{"job":"a","timeout":1e30}`, sqlqueue.Payload{}, "more than a hundred years"},
		{`{"job":"a","timeout":-1e30}`, sqlqueue.Payload{}, "more than a hundred years"},
		{`{"job":"a","backoff":[1,-1]}`, sqlqueue.Payload{}, "backoff has -1s"},
		{`{"job":"a","backoff":"soon"}`, sqlqueue.Payload{}, "not a number of seconds"},
		{`{"job":"a","backoff":[[1]]}`, sqlqueue.Payload{}, "not a number of seconds"},
		{`{"job":"a","retry_until":"tomorrow"}`, sqlqueue.Payload{}, "payload: "},
	} {
		got, err := sqlqueue.ParsePayload([]byte(test.payload))
		switch {
		case test.err == "" && err != nil:
			t.Errorf("%s: %v", test.payload, err)
		case test.err == "" && !reflect.DeepEqual(got, test.want):
			t.Errorf("%s: got %+v, want %+v", test.payload, got, test.want)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: got error %v, want %q", test.payload, err, test.err)
		}
	}
}

// TestPayloadText: what other programs read, and what they may write instead.
func TestPayloadText(t *testing.T) {
	tries, timeout := 0, sqlqueue.Seconds(90*time.Second)
	whole := sqlqueue.Payload{
		Job: "a", Data: json.RawMessage(`{"b":1}`), Tries: &tries,
		Timeout: &timeout, Backoff: sqlqueue.Backoff{time.Second, 1500 * time.Millisecond},
		RetryUntil: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC),
	}
	const text = `{"job":"a","data":{"b":1},"tries":0,"timeout":90,"backoff":[1,1.5],"retry_until":"2030-01-02T03:04:05.000006Z"}`
	for _, test := range []struct {
		payload sqlqueue.Payload
		want    string
	}{
		{sqlqueue.Payload{Job: "a", Data: json.RawMessage("null")}, `{"job":"a","data":null}`},
		{whole, text},
	} {
		got, err := json.Marshal(test.payload)
		if err != nil || string(got) != test.want {
			t.Errorf("got %s, %v; want %s", got, err, test.want)
		}
		again, err := sqlqueue.ParsePayload(got)
		if err != nil || !reflect.DeepEqual(again, test.payload) {
			t.Errorf("read again: %+v, %v; want %+v", again, err, test.payload)
		}
	}
}

func TestBackoffAfter(t *testing.T) {
	list := sqlqueue.Backoff{1, 5, 10}
	for attempt, want := range map[int]time.Duration{math.MinInt: 1, 0: 1, 1: 1, 2: 5, 3: 10, 4: 10, math.MaxInt: 10} {
		if got := list.After(attempt); got != want {
			t.Errorf("after attempt %d: %d, want %d", attempt, got, want)
		}
	}
	if got := (sqlqueue.Backoff{}).After(3); got != 0 {
		t.Errorf("an empty backoff gives %v", got)
	}
}

// TestJSON: the default Codec writes text as it is, so that people can read it in the table.
func TestJSON(t *testing.T) {
	got, err := sqlqueue.JSON.Marshal(map[string]string{"html": "<b>&é</b>"})
	if want := `{"html":"<b>&é</b>"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	var back map[string]string
	if err := sqlqueue.JSON.Unmarshal(got, &back); err != nil || back["html"] != "<b>&é</b>" {
		t.Errorf("got %v, %v", back, err)
	}
	if _, err := sqlqueue.JSON.Marshal(func() {}); err == nil {
		t.Error("a function was marshalled")
	}
}
