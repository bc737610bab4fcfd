package operator_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestListsRefuse(t *testing.T) {
	q := openSQLite(t)
	many := make([]int64, 1001)
	for name, f := range map[string]operator.JobFilter{
		"limit is -1": {Limit: -1}, "limit is 1001": {Limit: 1001},
		"1001 ids at once": {IDs: many}, `unknown state "running"`: {State: "running"},
	} {
		if _, err := operator.New(q).Jobs(t.Context(), f); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("jobs: got %v, want %q", err, name)
		}
	}
	for name, f := range map[string]operator.FailedFilter{
		"limit is -1": {Limit: -1}, "limit is 1001": {Limit: 1001}, "1001 ids at once": {IDs: many},
	} {
		if _, err := operator.New(q).FailedJobs(t.Context(), f); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("failed jobs: got %v, want %q", err, name)
		}
	}
}

func TestDefaultLimit(t *testing.T) {
	q := openSQLite(t)
	if _, err := q.PushMany(t.Context(), make120()); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]int{0: 100, 1: 1, 1000: 120} {
		if jobs, err := operator.New(q).Jobs(t.Context(), operator.JobFilter{Limit: limit}); err != nil || len(jobs) != want {
			t.Errorf("limit %d: %d jobs, %v; want %d", limit, len(jobs), err, want)
		}
	}
}

func make120() []sqlqueue.Pushable {
	jobs := make([]sqlqueue.Pushable, 120)
	for i := range jobs {
		jobs[i] = invoice{int64(i)}
	}
	return jobs
}

func TestEditRefuses(t *testing.T) {
	q := openSQLite(t)
	id, err := q.Push(t.Context(), invoice{1})
	if err != nil {
		t.Fatal(err)
	}
	before, err := operator.New(q).Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	at := func(year int) *time.Time { t := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); return &t }
	for want, edit := range map[string]operator.JobEdit{
		"has a comma":          {Queue: text("a,b")},
		"the queue is empty":   {Queue: text("")},
		"priority is 32768":    {Priority: number(32768)},
		"priority is -32769":   {Priority: number(-32769)},
		"1969":                 {At: at(1969)},
		"9999":                 {At: at(9999)},
		`no "job"`:             {Name: text("")},
		"data: ":               {Data: func() {}},
		"error calling":        {Data: json.RawMessage(`{"a":`)},
		"data is not valid UT": {Data: json.RawMessage("\"\xff\"")},
	} {
		if err := operator.New(q).Edit(t.Context(), id, edit); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "sqlqueue: edit: ") {
			t.Errorf("%q: got %v", want, err)
		}
		if after, err := operator.New(q).Job(t.Context(), id); err != nil || string(after.Payload) != string(before.Payload) ||
			after.Queue != before.Queue {
			t.Errorf("%q: changed to %+v, %v", want, after, err)
		}
	}
}

func TestEditKeepsWhatItDoesNotChange(t *testing.T) {
	q := openSQLite(t)
	id, err := q.Push(t.Context(), invoice{1}, sqlqueue.Tries(3), sqlqueue.BackoffList(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	name := "send_reminder"
	for _, test := range []struct {
		edit operator.JobEdit
		want string
	}{
		{operator.JobEdit{Name: &name}, `{"job":"send_reminder","data":{"order_id":1},"tries":3,"backoff":[1]}`},
		{operator.JobEdit{Data: json.RawMessage("null")}, `{"job":"send_reminder","data":null,"tries":3,"backoff":[1]}`},
		{operator.JobEdit{Data: 5}, `{"job":"send_reminder","data":5,"tries":3,"backoff":[1]}`},
	} {
		if err := operator.New(q).Edit(t.Context(), id, test.edit); err != nil {
			t.Fatal(err)
		}
		if j, err := operator.New(q).Job(t.Context(), id); err != nil || string(j.Payload) != test.want {
			t.Errorf("got %s, %v; want %s", j.Payload, err, test.want)
		}
	}
}

// TestEditKeepsSettingsOfOthers: what a payload has for other programs, in whatever form, is still there after an edit, also
// where it is wrong.
func TestEditKeepsSettingsOfOthers(t *testing.T) {
	q := openSQLite(t)
	var store driver.Store
	q.Bind(func(s driver.Store) (driver.Store, error) { store = s; return s, nil })
	for before, after := range map[string]string{
		`{"trace":"a\u0000b","job":"old","data":1e400,"tries":"many"}`: `{"trace":"a\u0000b","job":"new","data":1e400,"tries":"many"}`,
		`{"job":"old","timeout":-1e400,"tries":1,"tries":2}`:           `{"job":"new","timeout":-1e400,"tries":1,"tries":2}`,
		`{"trace":{"z":1,"a":2},"job":"old","data":1}`:                 `{"trace":{"z":1,"a":2},"job":"new","data":1}`,
		`{"job":"old"}`: `{"job":"new"}`,
	} {
		ids, err := store.Push(t.Context(), []driver.NewJob{{Queue: "default", Payload: []byte(before)}})
		if err != nil {
			t.Fatal(err)
		}
		name := "new"
		if err := operator.New(q).Edit(t.Context(), ids[0].ID, operator.JobEdit{Name: &name}); err != nil {
			t.Errorf("%s: %v", before, err)
		}
		if j, err := operator.New(q).Job(t.Context(), ids[0].ID); err != nil || string(j.Payload) != after {
			t.Errorf("%s became %s, %v; want %s", before, j.Payload, err, after)
		}
	}
}

func TestControlRefuses(t *testing.T) {
	q := openSQLite(t)
	negative, long := -time.Second, 101*365*24*time.Hour
	for want, change := range map[string]operator.ControlChange{
		"pause and resume at once": {Pause: true, Resume: true},
		"a pause of -1s":           {Pause: true, PauseFor: negative},
		"a pause of 884760h":       {Pause: true, PauseFor: long},
		"an expire of -1s":         {Expire: &negative},
		"an expire of 884760h":     {Expire: &long},
	} {
		if err := operator.New(q).Control(t.Context(), "mail", change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", change, err, want)
		}
	}
	if err := operator.New(q).Control(t.Context(), "a,b", operator.ControlChange{Pause: true}); err == nil {
		t.Error("a queue of a wrong name was paused")
	}
	if queues, err := operator.New(q).Queues(t.Context(), 0); err != nil || len(queues) != 0 {
		t.Errorf("something was written: %+v, %v", queues, err)
	}
}

// TestRetryAndForgetInPages: more failed jobs than one transaction takes, by filter and by id, some of which are not there or not to be
// had.
func TestRetryAndForgetInPages(t *testing.T) {
	const n = 1100
	q := openSQLite(t)
	fill := func(number string) []int64 {
		t.Helper()
		if _, err := operator.New(q).Clear(t.Context(), "", true); err != nil {
			t.Fatal(err)
		}
		jobs := make([]sqlqueue.Pushable, n)
		for i := range jobs {
			jobs[i] = invoice{}
		}
		jobs[n/2] = sqlqueue.With(invoice{}, sqlqueue.Unique("taken"))
		if _, err := q.PushMany(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		var settle []driver.Settlement
		for _, j := range reserve(t, q, n, number) {
			settle = append(settle, driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail})
		}
		if _, err := q.Exchange(t.Context(), driver.Exchange{Settle: settle}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Push(t.Context(), invoice{}, sqlqueue.Unique("taken")); err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for f := (operator.FailedFilter{Limit: 1000}); ; f.Before = ids[len(ids)-1] {
			page, err := operator.New(q).FailedJobs(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range page {
				ids = append(ids, j.ID)
			}
			if len(page) < 1000 {
				return ids
			}
		}
	}

	var duplicate *sqlqueue.DuplicateError
	ids := fill("a-1")
	got, err := operator.New(q).Retry(t.Context(), operator.FailedFilter{})
	if got != n-1 || !errors.As(err, &duplicate) || len(duplicate.Duplicates) != 1 || errors.Is(err, operator.ErrNotFound) {
		t.Errorf("retry all: %d, %v; want %d and one duplicate", got, err, n-1)
	}
	left, err := operator.New(q).FailedJobs(t.Context(), operator.FailedFilter{})
	if err != nil || len(left) != 1 || duplicate.Duplicates[0].Failed != left[0].ID {
		t.Fatalf("left %+v, %v; the duplicate is %+v", left, err, duplicate)
	}
	if got, err := operator.New(q).Forget(t.Context(), operator.FailedFilter{}); got != 1 || err != nil {
		t.Errorf("forget the rest: %d, %v", got, err)
	}

	gone := ids[0]
	ids = fill("a-2")
	got, err = operator.New(q).Retry(t.Context(), operator.FailedFilter{IDs: append([]int64{gone}, ids...)})
	if got != n-1 || !errors.As(err, &duplicate) || len(duplicate.Duplicates) != 1 ||
		strings.Count(err.Error(), operator.ErrNotFound.Error()) != 1 {
		t.Errorf("retry by id: %d, %.300v; want %d, one duplicate, and one not found", got, err, n-1)
	}

	ids = fill("a-3")
	got, err = operator.New(q).Forget(t.Context(), operator.FailedFilter{IDs: append(ids, gone, gone)})
	if got != len(ids) || strings.Count(err.Error(), operator.ErrNotFound.Error()) != 2 {
		t.Errorf("forget by id: %d of %d, %.300v", got, len(ids), err)
	}
	if got, err := operator.New(q).Retry(t.Context(), operator.FailedFilter{IDs: []int64{}}); got != 0 || err != nil {
		t.Errorf("retry of no ids: %d, %v", got, err)
	}
}

func TestClearInPages(t *testing.T) {
	q := openSQLite(t)
	for range 10 {
		if _, err := q.PushMany(t.Context(), make120()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := operator.New(q).Clear(t.Context(), "default", false); n != 1200 || err != nil {
		t.Errorf("cleared %d, %v", n, err)
	}
}

func TestCancelInPages(t *testing.T) {
	q := openSQLite(t)
	var ids []int64
	for range 10 {
		pushed, err := q.PushMany(t.Context(), make120())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, pushed...)
	}
	n, err := operator.New(q).Cancel(t.Context(), append(ids, ids[0])...)
	if n != 1200 || !errors.Is(err, operator.ErrNotFound) {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if n, err := operator.New(q).Cancel(t.Context()); n != 0 || err != nil {
		t.Errorf("cancelled %d of none, %v", n, err)
	}
}

func TestReleaseAllInPages(t *testing.T) {
	q := openSQLite(t)
	for range 10 {
		if _, err := q.PushMany(t.Context(), make120()); err != nil {
			t.Fatal(err)
		}
	}
	reserve(t, q, 1150, "w-1")
	var told []int
	n, err := operator.New(q).ReleaseAll(t.Context(), operator.JobFilter{Queue: "default", Limit: 3}, func(n int) {
		told = append(told, n)
	})
	if n != 1150 || err != nil || !slices.Equal(told, []int{1000, 1150}) {
		t.Errorf("released %d, %v, and told of %v", n, err, told)
	}
	if left, err := operator.New(q).CountJobs(t.Context(), operator.JobFilter{State: operator.Ready}, 2000); left != 1200 || err != nil {
		t.Errorf("%d are ready, %v", left, err)
	}
	if _, err := operator.New(q).ReleaseAll(t.Context(), operator.JobFilter{State: operator.Ready}); err == nil {
		t.Error("jobs that are ready are released")
	}
}
