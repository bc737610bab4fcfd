package sqlqueue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func TestOptionsOfUniqueKeysBecomeColumns(t *testing.T) {
	const hour = time.Hour
	for what, test := range map[string]struct {
		options []PushOption
		want    driver.NewJob
	}{
		"until done":    {nil, driver.NewJob{}},
		"until started": {[]PushOption{UniqueUntilStarted()}, driver.NewJob{UntilStarted: true}},
		"replace":       {[]PushOption{Replace(), Delay(hour)}, driver.NewJob{UntilStarted: true, Replace: true, Delay: hour}},
		"debounce": {
			[]PushOption{Debounce(hour, 2*hour)},
			driver.NewJob{UntilStarted: true, Replace: true, Debounce: true, Delay: hour, Bound: 2 * hour},
		},
		"for a time": {[]PushOption{UniqueFor(hour), UniqueUntilStarted()}, driver.NewJob{UntilStarted: true, Once: hour}},
	} {
		t.Run(what, func(t *testing.T) {
			rows, err := queueFor(t).prepare(new(push), nil, Named("a", nil), append(test.options, Unique("k")))
			if err != nil {
				t.Fatal(err)
			}
			got := rows[0]
			got.Queue, got.Payload, got.UniqueKey = "", nil, ""
			if rows[0].UniqueKey != "k" || !sameRow(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func sameRow(a, b driver.NewJob) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestBadOptionsOfUniqueKeys(t *testing.T) {
	k := Unique("k")
	for want, options := range map[string][]PushOption{
		"need a key: add Unique":                              {Replace()},
		"need a key":                                          {UniqueUntilStarted()},
		"need a key: add Unique or UniqueByData":              {UniqueFor(time.Hour)},
		"UniqueFor does not go with Replace":                  {k, UniqueFor(time.Hour), Replace()},
		"UniqueFor has 0s: it must be above 0":                {k, UniqueFor(0)},
		"UniqueFor is":                                        {k, UniqueFor(1e6 * time.Hour)},
		"Debounce waits 0s: it must be above 0":               {k, Debounce(0, 0)},
		"Debounce waits 1m0s, but at most 1s":                 {k, Debounce(time.Minute, time.Second)},
		"the wait of Debounce is":                             {k, Debounce(1e6*time.Hour, 0)},
		"leave out Delay and At":                              {k, Debounce(time.Minute, 0), Delay(time.Minute)},
		`UniqueByData("x") needs data that is an object`:      {UniqueByData("x")},
		"UniqueByData has an empty field":                     {UniqueByData("a", "")},
		"UniqueByData: the data has none of the members b, c": {UniqueByData("b", "c")},
	} {
		data := any(map[string]int{"a": 1})
		if strings.Contains(want, "object") {
			data = []int{1}
		}
		if _, err := queueFor(t).prepare(new(push), nil, Named("job", data), options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestKeysByData(t *testing.T) {
	key := func(name, data string, fields ...string) string {
		t.Helper()
		rows, err := queueFor(t).prepare(new(push), nil, Named(name, json.RawMessage(data)), []PushOption{UniqueByData(fields...)})
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].UniqueKey
	}
	base := key("a", `{"id":1,"at":{"x":1,"y":2},"other":1}`, "id", "at")
	if len(base) != 64 {
		t.Errorf("the key %q is no SHA-256", base)
	}
	for _, same := range []string{
		key("a", `{"at":{"y":2,"x":1},"id":1,"other":2}`, "id", "at"),
		key("a", `{"id":1,"at":{"x":1,"y":2}}`, "at", "id", "id"),
		key("a", `{"id":1,"at":{"x":1,"y":2}}`),
	} {
		if same != base {
			t.Errorf("got %s, want %s", same, base)
		}
	}
	seen := map[string]bool{}
	different := []string{
		base, key("b", `{"id":1,"at":{"x":1,"y":2}}`), key("a", `{"id":1}`, "id", "at"), key("a", `{"id":1,"at":null}`, "id", "at"),
		key("a", `{"id":"1"}`), key("a", `{"id":9007199254740993}`), key("a", `{"id":9007199254740992}`), key("a", `{"id":[1,2]}`),
		key("a", `{"id":[2,1]}`), key("a", `"id"`), key("a", `null`),
	}
	for _, k := range different {
		seen[k] = true
	}
	if len(seen) != len(different) {
		t.Errorf("%d keys, want %d different ones", len(seen), len(different))
	}
	job := With(Named("a", map[string]int{"id": 1}), Unique("mine"))
	rows, err := queueFor(t).prepare(new(push), nil, job, []PushOption{UniqueByData()})
	if err != nil || rows[0].UniqueKey != "mine" {
		t.Errorf("a later Unique did not count: %v, %v", rows, err)
	}
}

func queueFor(t *testing.T) *Queue {
	t.Helper()
	q, err := New(nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}
