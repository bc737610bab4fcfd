package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// step drives a bulk operation as the page does.
func (s *site) steps(target string, form url.Values) (done, steps int) {
	s.t.Helper()
	for {
		var answer struct {
			Done, Left int
			Cursor     int64
			Finished   bool
		}
		w := s.post(200, target, form)
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			s.t.Fatal(err)
		}
		done, steps = done+answer.Done, steps+1
		if answer.Finished {
			return done, steps
		}
		form.Set("cursor", fmt.Sprint(answer.Cursor))
	}
}

func field(page, name string) string {
	_, rest, _ := strings.Cut(page, `name="`+name+`" value="`)
	v, _, _ := strings.Cut(rest, `"`)
	return v
}

func TestBulk(t *testing.T) {
	s := open(t, dashboard.Config{})
	var jobs []sqlqueue.Pushable
	for i := range 2500 {
		jobs = append(jobs, sqlqueue.Named([]string{"a", "b"}[i%2], i))
	}
	if _, err := s.q.PushMany(t.Context(), jobs, sqlqueue.OnQueue("mail")); err != nil {
		t.Fatal(err)
	}
	s.reserve("mail", 2)
	page := s.get("/bulk/cancel?q=queue:mail+name:a")
	s.has(page, "<b>1,249</b>")
	form := url.Values{"cut": {field(page, "cut")}, "cursor": {field(page, "cursor")}}
	s.post(422, "/steps/cancel?q=queue:mail+name:a", form)
	s.has(s.post(422, "/bulk/cancel?q=queue:mail+name:a", form).Body.String(), "into the field to continue")
	s.push("mail", "a", "\"comes later\"")
	form.Set("confirm", "cancel")
	if done, _ := s.steps("/steps/cancel?q=queue:mail+name:a", form); done != 1249 {
		t.Errorf("%d cancelled", done)
	}
	left, err := s.o.CountJobs(t.Context(), operator.JobFilter{Queue: "mail"}, 10_000)
	if err != nil || left != 1252 {
		t.Errorf("%d are left, %v", left, err)
	}
	page = s.get("/bulk/clear?q=queue:mail")
	form = url.Values{"cut": {field(page, "cut")}, "cursor": {"0"}, "confirm": {"clear"}}
	page = s.post(200, "/bulk/clear?q=queue:mail", form).Body.String()
	s.has(page, "Finished.", "1250 done")
	for _, wrong := range []string{
		"/bulk/clear", "/bulk/clear?q=queue:a+name:b", "/bulk/release?q=state:ready", "/bulk/cancel?q=nonsense",
	} {
		if w := s.do(request("GET", wrong, nil)); w.Code != 400 {
			t.Errorf("%s: %d", wrong, w.Code)
		}
	}
	s.has(s.get("/bulk/release?id=1&id=2"), "<b>2</b>", "id:1,2")
	form = url.Values{"cut": {form.Get("cut")}, "cursor": {"0"}}
	if done, _ := s.steps("/steps/release?q=id:1,2", form); done != 2 {
		t.Errorf("%d released", done)
	}
	s.push("more", "x", "1")
	s.fail("mail", 2, "boom", "")
	s.fail("more", 1, "bang", "")
	page = s.get("/bulk/retry?q=queue:mail")
	form = url.Values{"cut": {field(page, "cut")}, "cursor": {field(page, "cursor")}}
	if done, steps := s.steps("/steps/retry?q=queue:mail", form); done != 2 || steps != 1 {
		t.Errorf("%d retried in %d steps", done, steps)
	}
	page = s.get("/bulk/forget")
	form = url.Values{"cut": {field(page, "cut")}, "cursor": {field(page, "cursor")}, "confirm": {"forget"}}
	if done, _ := s.steps("/steps/forget", form); done != 1 {
		t.Errorf("%d forgotten", done)
	}
	s.post(422, "/steps/retry", url.Values{"cut": {"never"}})
}
