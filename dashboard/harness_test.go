package dashboard_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a dashboard over a database of its own.
type site struct {
	t *testing.T
	q *sqlqueue.Queue
	o *operator.Operator
	h *dashboard.Dashboard
	d *sql.DB
}

func open(t *testing.T, config dashboard.Config) *site {
	t.Helper()
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	return serve(t, q.Queue, q.DB(), config)
}

func serve(t *testing.T, q *sqlqueue.Queue, db *sql.DB, config dashboard.Config) *site {
	t.Helper()
	h, err := dashboard.New(q, config)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t, q, operator.New(q), h, db}
}

// as is a Config whose visitors have a role.
func as(role dashboard.Role) dashboard.Config {
	return dashboard.Config{Access: func(*http.Request) (dashboard.User, error) { return dashboard.User{Name: "ann", Role: role}, nil }}
}

// request is one from a browser on the same machine.
func request(method, target string, form url.Values) *http.Request {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequestWithContext(context.Background(), method, "http://localhost"+target, body)
	r.RemoteAddr = "127.0.0.1:5555"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func (s *site) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

// get returns a page, which must be there.
func (s *site) get(target string) string {
	s.t.Helper()
	s.h.Spoil()
	w := s.do(request("GET", target, nil))
	if w.Code != 200 {
		s.t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
	}
	return w.Body.String()
}

func (s *site) post(status int, target string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	w := s.do(request("POST", target, form))
	if w.Code != status {
		s.t.Fatalf("POST %s: %d, not %d: %s", target, w.Code, status, w.Body)
	}
	return w
}

func (s *site) has(page string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			s.t.Errorf("the page has no %q: %s", text, start(page))
		}
	}
}

func (s *site) hasNot(page string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			s.t.Errorf("the page has %q: %s", text, start(page))
		}
	}
}

// start is what a failing test shows of a page.
func start(page string) string {
	if _, main, ok := strings.Cut(page, "<main"); ok {
		page = main
	}
	const most = 1500
	return page[:min(len(page), most)]
}

func (s *site) push(queue, name, data string, options ...sqlqueue.PushOption) int64 {
	s.t.Helper()
	id, err := s.q.Push(s.t.Context(), sqlqueue.Named(name, json.RawMessage(data)), append(options, sqlqueue.OnQueue(queue))...)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

var exchanges int

// reserve reserves n jobs of a queue.
func (s *site) reserve(queue string, n int) []sqlqueue.Job {
	s.t.Helper()
	exchanges++
	answer, err := s.q.Exchange(s.t.Context(), driver.Exchange{
		Number: fmt.Sprintf("0123456789abcdef-%d", exchanges), Limit: n, Reserve: []driver.Reserve{{Queue: queue, Expire: time.Minute}},
	})
	if err != nil || len(answer.Reserved) != n {
		s.t.Fatalf("reserved %d of %d, %v", len(answer.Reserved), n, err)
	}
	return answer.Reserved
}

// fail has n jobs of a queue fail for good.
func (s *site) fail(queue string, n int, text, stack string) {
	s.t.Helper()
	var settle []driver.Settlement
	for _, job := range s.reserve(queue, n) {
		settle = append(settle, driver.Settlement{Reservation: job.Reservation(), Outcome: driver.Fail, Error: text, Stack: stack})
	}
	if _, err := s.q.Exchange(s.t.Context(), driver.Exchange{Number: "0123456789abcdef-0", Settle: settle}); err != nil {
		s.t.Fatal(err)
	}
}

// beat registers the worker w1, with what it has counted.
func (s *site) beat(counts ...operator.Count) {
	s.t.Helper()
	w := driver.Worker{ID: "w1", Name: "app-1/worker", Host: "app-1", PID: 42, Queues: []string{"mail", "default"}, Concurrency: 10}
	if err := s.q.Beat(s.t.Context(), driver.Beat{Worker: w, Counts: counts}); err != nil {
		s.t.Fatal(err)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
