package operator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestFieldsRefuse(t *testing.T) {
	q := openSQLite(t)
	for name, test := range map[string]struct {
		path []string
		want string
	}{
		"no key":       {nil, "has no key"},
		"an empty key": {[]string{"a", ""}, `the key ""`},
		"a quote":      {[]string{`a"b`}, `the key "a\"b"`},
		"a backslash":  {[]string{`a\b`}, `the key "a\\b"`},
		"a NUL":        {[]string{"a\x00"}, `the key "a\x00"`},
		"no UTF-8":     {[]string{"a\xff"}, `the key "a\xff"`},
	} {
		filter := operator.JobFilter{Fields: []operator.Field{{Path: []string{"good"}}, {Path: test.path, Value: "x"}}}
		_, jobs := operator.New(q).Jobs(t.Context(), filter)
		_, count := operator.New(q).CountJobs(t.Context(), filter, 10)
		_, cancel := operator.New(q).CancelAll(t.Context(), filter)
		for operation, err := range map[string]error{"jobs": jobs, "count jobs": count, "cancel": cancel} {
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "sqlqueue: "+operation+": ") {
				t.Errorf("%s: %s: got %v, want %q", name, operation, err, test.want)
			}
		}
	}
}

func TestLimitsOfLooksRefuse(t *testing.T) {
	q := openSQLite(t)
	ctx := t.Context()
	many := make([]int64, 1001)
	_, count := operator.New(q).CountJobs(ctx, operator.JobFilter{}, 0)
	_, countIDs := operator.New(q).CountJobs(ctx, operator.JobFilter{IDs: many}, 10)
	_, window := operator.New(q).Window(ctx, 0, 0)
	_, groups := operator.New(q).FailedGroups(ctx, operator.FailedFilter{}, 0)
	_, groupIDs := operator.New(q).FailedGroups(ctx, operator.FailedFilter{IDs: many}, 10)
	_, queues := operator.New(q).Queues(ctx, -1)
	_, none := operator.New(q).Counts(ctx, 0)
	_, long := operator.New(q).Counts(ctx, operator.CountsKept+1)
	for want, err := range map[string]error{
		"count jobs: a count up to 0": count, "count jobs: 1001 ids": countIDs, "window: a window of 0 jobs": window,
		"failed groups: groups of 0 failed jobs": groups, "failed groups: 1001 ids": groupIDs, "queues: a count up to -1": queues,
		"counts: counts of the last 0s": none, "counts: counts of the last 48h0m0.000000001s": long,
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "sqlqueue: "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := operator.New(q).Counts(ctx, operator.CountsKept); err != nil {
		t.Error(err)
	}
}

// TestSubscribeRefuses: what is refused is told without the URL, in which there may be a password.
func TestSubscribeRefuses(t *testing.T) {
	q := openSQLite(t)
	const secret = "hunter2"
	good := operator.Subscription{Name: "mailer", URL: "https://example.com", Queue: "mail", Secret: secret}
	for want, change := range map[string]func(*operator.Subscription){
		"the subscription's name is empty": func(s *operator.Subscription) { s.Name = "" },
		"has a comma":                      func(s *operator.Subscription) { s.Name = "a,b" },
		"has 192 characters":               func(s *operator.Subscription) { s.Name = strings.Repeat("é", 192) },
		"the queue is empty":               func(s *operator.Subscription) { s.Queue = "" },
		"the URL is malformed": func(s *operator.Subscription) {
			s.URL = "https://user:" + secret + "@exa mple.com/%zz"
		},
		`the URL's scheme is "ftp"`:               func(s *operator.Subscription) { s.URL = "ftp://user:" + secret + "@example.com" },
		`the URL's scheme is "user"`:              func(s *operator.Subscription) { s.URL = "user:" + secret + "@example.com" },
		`the URL's scheme is ""`:                  func(s *operator.Subscription) { s.URL = secret },
		"the URL has no host":                     func(s *operator.Subscription) { s.URL = "https:///" + secret },
		"the URL has no host: use https://host/p": func(s *operator.Subscription) { s.URL = "https:?" + secret },
	} {
		s := good
		change(&s)
		err := operator.New(q).Subscribe(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "sqlqueue: subscribe: ") {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if got, err := operator.New(q).Subscriptions(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("something was written: %+v, %v", got, err)
	}
	if err := operator.New(q).Subscribe(t.Context(), good); err != nil {
		t.Error(err)
	}
	good.Name = "other"
	if err := operator.New(q).Subscribe(t.Context(), good); err == nil ||
		!strings.Contains(err.Error(), `queue "mail" has the subscription "mailer"`) ||
		strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

// TestLikeErrors: errors that differ in ids, times and addresses only are one group, those of different kinds are not.
func TestLikeErrors(t *testing.T) {
	q := openSQLite(t)
	for text, want := range map[string]string{
		"":                         "",
		"connection refused":       "connection refused",
		"exit status 1":            "exit status 1",
		"exit status 75: no route": "exit status 75: no route",
		"HTTP 404.":                "HTTP 404.",
		"HTTP 4040":                "HTTP *",
		"order 12345 is gone":      "order * is gone",
		"dial tcp 10.0.0.7:25: connection refused":          "dial tcp * connection refused",
		"dial tcp [::1]:5432: connect":                      "dial tcp [*]* connect",
		"id 5f3c9b2e-1c2d-4e5f-8a9b-0c1d2e3f4a5b not found": "id * not found",
		"at 2026-11-20T19:08:28Z: late":                     "at * late",
		"took 1.5s":                                         "took *",
		"user bob42@example.com":                            "user *@example.com",
		`parsing "x1": bad`:                                 `parsing "*": bad`,
		"строка 12345, 行 67890":                             "строка *, 行 *",
		"panic: index out of range [5] with length 3":       "panic: index out of range [*] with length *",
		"order 7 of customer 12: code 23":                   "order * of customer * code 23",
	} {
		failWith(t, q, text)
		groups, err := operator.New(q).FailedGroups(t.Context(), operator.FailedFilter{}, 10)
		if err != nil || len(groups) != 1 || groups[0].Error != want || groups[0].Count != 1 {
			t.Fatalf("%q: got %+v, %v; want %q", text, groups, err, want)
		}
		if n, err := operator.New(q).Forget(t.Context(), operator.FailedFilter{Error: groups[0].Error}); n != 1 || err != nil {
			t.Fatalf("%q: by its group %d were found, %v", text, n, err)
		}
	}
}

var failures int

func failWith(t *testing.T, q *sqlqueue.Queue, text string) {
	t.Helper()
	if _, err := q.Push(t.Context(), invoice{}); err != nil {
		t.Fatal(err)
	}
	failures++
	j := reserve(t, q, 1, "f-"+time.Duration(failures).String())[0]
	settle := []driver.Settlement{{Reservation: j.Reservation(), Outcome: driver.Fail, Error: text}}
	if _, err := q.Exchange(t.Context(), driver.Exchange{Settle: settle}); err != nil {
		t.Fatal(err)
	}
}

// What few of very many jobs pass is found, counted and changed, also where no index helps.
func TestSearchAmongManyJobs(t *testing.T) {
	operator.SetWindow(t, 1000)
	q := openSQLite(t)
	o := operator.New(q)
	execute(t, q, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
		INSERT INTO jobs (queue, payload) SELECT 'q', CASE WHEN i % 500 = 17 THEN '{"job":"rare","data":{"n":1}}' `+
		`ELSE '{"job":"a","data":{"n":2}}' END FROM n`)
	rare := operator.JobFilter{Name: "rare"}
	for _, test := range []struct {
		filter operator.JobFilter
		limit  int
		want   []int64
		more   operator.More
		told   []int
	}{
		{rare, 10, []int64{17, 517, 1_017}, operator.NoMore, []int{2, 3}},
		{rare, 3, []int64{17, 517, 1_017}, operator.MaybeMore, []int{2, 3}},
		{rare, 2, []int64{17, 517}, operator.MaybeMore, []int{2}},
		{rare, 1, []int64{17}, operator.HasMore, []int{1}},
		{operator.JobFilter{Name: "rare", Until: 1_016}, 10, []int64{17, 517}, operator.NoMore, []int{2, 2}},
		{operator.JobFilter{Name: "rare", Until: 516}, 10, []int64{17}, operator.NoMore, []int{1}},
		{operator.JobFilter{Name: "rare", After: 517}, 10, []int64{1_017}, operator.NoMore, []int{1}},
		{operator.JobFilter{Name: "rare", IDs: []int64{16, 17}}, 10, []int64{17}, operator.NoMore, []int{1}},
		{
			operator.JobFilter{Fields: []operator.Field{{Path: []string{"n"}, Value: "1"}}},
			10,
			[]int64{17, 517, 1_017},
			operator.NoMore,
			[]int{2, 3},
		},
		{operator.JobFilter{Queue: "q", After: 1_199}, 10, []int64{1_200}, operator.NoMore, []int{1}},
		{operator.JobFilter{Name: "nobody"}, 10, nil, operator.NoMore, []int{0, 0}},
	} {
		var told []int
		jobs, more, err := o.SearchJobs(t.Context(), test.filter, test.limit, func(n int) { told = append(told, n) })
		if got := idsOf(jobs); err != nil || !slices.Equal(got, test.want) || more != test.more || !slices.Equal(told, test.told) {
			t.Errorf("%+v, %d: %v, %v, told %v, %v; want %v, %v, told %v",
				test.filter, test.limit, got, more, told, err, test.want, test.more, test.told)
		}
	}
	if jobs, more, err := o.SearchJobs(t.Context(), operator.JobFilter{Queue: "q"}, 1100); err != nil || len(jobs) != 1100 ||
		more != operator.HasMore || jobs[1099].ID != 1100 {
		t.Errorf("of many: %d, %v, %v", len(jobs), more, err)
	}
	var told []int
	note := func(n int) { told = append(told, n) }
	if n, err := o.CountJobs(t.Context(), operator.JobFilter{Name: "a"}, 1_100, note); n != 1_100 || err != nil ||
		!slices.Equal(told, []int{998, 1_100}) {
		t.Errorf("counted %d, %v, told %v", n, err, told)
	}
	told = nil
	if n, err := o.CancelAll(t.Context(), rare, note); n != 3 || err != nil || !slices.Equal(told, []int{2, 3}) {
		t.Errorf("cancelled %d, %v, told %v", n, err, told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if n, err := o.CancelAll(ctx, operator.JobFilter{Name: "a"}, func(int) { cancel() }); n != 1000 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled %d after the context had ended, %v", n, err)
	}
}

// A search for failed jobs takes any limit.
func TestSearchFailed(t *testing.T) {
	q := openSQLite(t)
	execute(t, q, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at) `+
		`SELECT i, 'q', 0, '{"job":"a"}', 1, '', '', 1, 1 FROM n`)
	for limit, want := range map[int]operator.More{2499: operator.HasMore, 2500: operator.NoMore, 5000: operator.NoMore} {
		last := 0
		jobs, more, err := operator.New(q).SearchFailed(t.Context(), operator.FailedFilter{}, limit, func(n int) { last = n })
		if n := min(limit, 2500); err != nil || len(jobs) != n || last != n || more != want || jobs[0].ID != 2500 {
			t.Errorf("%d: %d, told %d, %v, %v", limit, len(jobs), last, more, err)
		}
	}
}

func idsOf(jobs []operator.Job) (ids []int64) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}
