package operator_test

import (
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
		"no key":       {nil, "names none"},
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
		"the subscription's name is empty":        func(s *operator.Subscription) { s.Name = "" },
		"has a comma":                             func(s *operator.Subscription) { s.Name = "a,b" },
		"has 192 characters":                      func(s *operator.Subscription) { s.Name = strings.Repeat("é", 192) },
		"the queue is empty":                      func(s *operator.Subscription) { s.Queue = "" },
		"the URL is malformed":                    func(s *operator.Subscription) { s.URL = "https://user:" + secret + "@exa mple.com/%zz" },
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
	if err := operator.New(q).Subscribe(t.Context(), good); err == nil || !strings.Contains(err.Error(), `queue "mail" has the subscription "mailer"`) ||
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
		"panic: index out of range [5] with length 3":       "panic: index out of range [5] with length 3",
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
