package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// wentWrong has a worker tell of runs that went wrong.
func (s *site) wentWrong(errs ...driver.RunError) {
	s.t.Helper()
	w := driver.Worker{ID: "w1", Name: "app-1/worker", Queues: []string{"mail"}}
	if err := s.q.Beat(s.t.Context(), driver.Beat{Worker: w, Errors: errs}); err != nil {
		s.t.Fatal(err)
	}
}

func TestErrors(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/errors"), "No attempt failed")
	id := s.push("mail", "send", "{}")
	now := time.Now()
	run := driver.RunError{JobID: id, Queue: "mail", Name: "send", Attempt: 1, Outcome: "released", Took: 1500 * time.Millisecond, At: now}
	other, old := run, run
	run.Error, run.Stack = "no answer from 10.0.0.1 with password=hunter2", "main.go:7"
	other.Error, other.JobID, other.Outcome = "disk full <b>", id+100, "failed"
	old.Error, old.At = "long ago", now.Add(-5*time.Hour)
	s.wentWrong(old, run, other, other)
	page := s.get("/errors")
	s.has(page, "no answer from * with password=••••", "disk full &lt;b&gt;", `href="failed?q=queue%3amail%20name%3asend%20error%3a`,
		"2 failed attempts in the last 1h", `aria-current="true">1h`)
	s.hasNot(page, "hunter2", "long ago")
	s.has(s.get("/errors?range=24h"), "long ago", `aria-current="true">24h`)

	all, err := s.o.Errors(t.Context(), operator.ErrorFilter{JobID: id})
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	page = s.get(fmt.Sprintf("/errors/%d", all[0].ID))
	s.has(page, "10.0.0.1", "main.go:7", "1.5s", "app-1/worker", fmt.Sprintf(`href="../jobs/%d"`, id),
		fmt.Sprintf(`href="../errors/%d"`, all[1].ID), "retried")
	s.hasNot(page, "hunter2")
	s.has(s.get(fmt.Sprintf("/errors/%d", all[0].ID+1)), "it has ended", "failed permanently")
	page = s.get(fmt.Sprintf("/jobs/%d", id))
	s.has(page, "Failed attempts of this job", fmt.Sprintf(`href="../errors/%d"`, all[0].ID), "••••")
	s.hasNot(page, "hunter2", "disk full")
	if w := s.do(request("GET", "/errors/999", nil)); w.Code != 404 {
		t.Errorf("an unknown one: %d", w.Code)
	}
	s.has(s.get("/api/v1/errors?job="+fmt.Sprint(id)), `"took_ms":1500`, "password=••••")
	s.has(s.get("/api/v1/errorgroups"), `"runs":2,"jobs":1,"ended":2`, "password=••••")
	for _, wrong := range []string{"errors?job=x", "errors?before=0", "operations?before=x"} {
		if w := s.do(request("GET", "/api/v1/"+wrong, nil)); w.Code < 400 || w.Code > 422 {
			t.Errorf("%s: %d", wrong, w.Code)
		}
	}
}

// TestActivity: every change is written down, by the name that Access gives.
func TestActivity(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/activity"), "Nobody has changed anything")
	ann := serve(t, s.q, s.d, as(dashboard.Admin))
	id := s.push("mail", "send", "{}")
	s.push("mail", "send", `{"n": 1}`)
	s.push("images", "resize", "{}")
	s.fail("images", 1, "boom", "")
	s.schedule("report", "1 hour")
	s.beat()
	for _, change := range []string{
		"/queue/pause?name=mail", fmt.Sprintf("/jobs/%d/cancel", id), "/failed/1/retry", "/workers/concurrency?worker=w1",
		"/schedules/pause?name=report", "/queue/limit?name=mail",
	} {
		ann.post(303, change, url.Values{"n": {"3"}, "running": {"3"}})
	}
	s.post(303, "/queue/resume?name=mail", nil)
	nameless := serve(t, s.q, s.d, dashboard.Config{Access: func(*http.Request) (dashboard.User, error) {
		return dashboard.User{Role: dashboard.Operator}, nil
	}})
	nameless.post(303, "/queue/restart?name=mail", nil)
	found, err := s.o.Operations(t.Context(), operator.OperationFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, of := range found {
		got = append(got, of.Who+" "+of.Action+" by "+of.Via)
	}
	want := "unnamed control by dashboard, localhost control by dashboard, ann limit by dashboard, ann pause schedule by dashboard, " +
		"ann set concurrency by dashboard, ann retry by dashboard, ann cancel by dashboard, ann control by dashboard"
	if strings.Join(got, ", ") != want {
		t.Errorf("written down is %q", got)
	}
	s.has(s.get("/activity"), "<b><bdi>ann</bdi></b>", "set concurrency", `href="queue?name=mail"`, "{&#34;ids&#34;:[1]}")
	s.has(s.get("/api/v1/operations?limit=1"), `"who":"unnamed","via":"dashboard","action":"control"`)
}
