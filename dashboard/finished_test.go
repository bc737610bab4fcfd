package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestDone(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/done"), "No job that is done is kept", "sqlqueue keep QUEUE 24h")
	s.post(303, "/queue/keep?name=reports", url.Values{"for": {"7d"}})
	s.has(s.get("/queue?name=reports"), `value="7d"`, "kept for 7d", "done?queue=reports")
	s.has(s.get("/api/v1/keeps"), `{"queue":"reports","keep_seconds":604800}`)

	id, err := s.q.Push(t.Context(), sqlqueue.Named("report", map[string]string{"password": "hunter2"}), sqlqueue.OnQueue("reports"))
	if err != nil {
		t.Fatal(err)
	}
	mux := worker.NewMux()
	mux.HandleFunc("report", func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		return job.SetResult(map[string]string{"link": "<b>report</b>", "token": "hunter3"})
	})
	if err := worker.New(s.q, mux, worker.Config{Queues: []string{"reports"}, StopWhenEmpty: true}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.hasNot(s.get("/done"), `class="pager"`)
	for _, path := range []string{"/done", "/done?queue=reports", "/done?name=report", fmt.Sprint("/jobs/", id)} {
		page := s.get(path)
		s.has(page, "report", "&lt;b&gt;report&lt;/b&gt;")
		s.hasNot(page, "hunter", "<b>report")
	}
	s.has(s.get(fmt.Sprint("/jobs/", id)), "Result", "Kept until", "in 6d")
	s.hasNot(s.get("/done?queue=other"), "jobs/")
	for _, path := range []string{"/api/v1/done", fmt.Sprint("/api/v1/done/", id)} {
		answer := s.get(path)
		s.has(answer, `"outcome":"done"`, `"result":{"link":`)
		s.hasNot(answer, "hunter")
	}
	s.post(303, "/queue/keep?name=reports", url.Values{"for": {""}})
	s.hasNot(s.get("/queue?name=reports"), "kept for")
	s.post(400, "/queue/keep?name=reports", url.Values{"for": {"soon"}})
}

func TestProgress(t *testing.T) {
	s := open(t, dashboard.Config{})
	id := s.push("default", "import", "{}")
	answer, err := s.q.Exchange(t.Context(), driver.Exchange{
		Number: "0123456789abcdef-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "default", Expire: time.Minute}},
	})
	if err != nil || len(answer.Reserved) != 1 {
		t.Fatalf("%+v, %v", answer, err)
	}
	s.hasNot(s.get(fmt.Sprint("/jobs/", id)), "<progress")
	if _, err := s.q.Exchange(t.Context(), driver.Exchange{Touch: []driver.Touch{{
		Reservation: answer.Reserved[0].Reservation(), Expire: time.Minute, Progress: &driver.Progress{Fraction: 0.25, Text: "<i>rows"},
	}}}); err != nil {
		t.Fatal(err)
	}
	s.has(s.get(fmt.Sprint("/jobs/", id)), `<progress value="250" max="1000"`, "25 %", "&lt;i&gt;rows")
	s.has(s.get(fmt.Sprint("/api/v1/jobs/", id)), `"progress":{"fraction":0.25`)
}
