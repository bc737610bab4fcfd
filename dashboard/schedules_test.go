package dashboard_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// schedule sets a schedule, as a program does.
func (s *site) schedule(name, every string) {
	s.t.Helper()
	if err := s.q.Schedule(s.t.Context(), sqlqueue.Schedule{
		Name: name, Every: every, Job: sqlqueue.With(sqlqueue.Named("make_report", []byte("{}")), sqlqueue.OnQueue("mail")),
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) exec(statement string, a ...any) {
	s.t.Helper()
	if _, err := s.d.ExecContext(s.t.Context(), statement, a...); err != nil {
		s.t.Fatal(err)
	}
}

func scheduleTyped(change map[string]string) url.Values {
	form := url.Values{
		"name": {"report/7 & <b>"}, "when": {"30 2 * * *"}, "zone": {"Asia/Shanghai"}, "queue": {"mail"}, "job": {"make_report"},
		"data": {`{"for": "sales", "token": "s3cret"}`}, "missed": {"all"}, "catchup": {"2h"}, "nooverlap": {"1"},
	}
	for name, value := range change {
		form.Set(name, value)
	}
	return form
}

func TestSchedules(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/schedules"), "Nothing is scheduled", `href="schedules/new"`)
	s.has(s.get("/schedules/new"), `name="when"`, `value="UTC"`)

	for field, wrong := range map[string][2]string{
		"when": {"30 25 * * *", "would be right"}, "zone": {"Mars/Olympus", "Mars/Olympus"}, "data": {`{"for": `, "is not JSON"},
		"job": {" ", "name is empty"}, "queue": {"a,b", "comma"},
		"catchup": {"soon", "is not a duration"}, "priority": {"x", "is not a number"},
		"name": {"a,b", "comma"},
	} {
		page := s.post(422, "/schedules/new", scheduleTyped(map[string]string{field: wrong[0]})).Body.String()
		s.has(page, wrong[1])
		if field != "data" {
			s.has(page, "sales")
		}
	}
	page := s.post(200, "/schedules/new", scheduleTyped(map[string]string{"look": "1"})).Body.String()
	if n := strings.Count(page, "02:30:00 CST"); n != 10 {
		t.Errorf("%d next times are shown without JavaScript: %s", n, start(page))
	}
	w := s.post(303, "/schedules/new", scheduleTyped(nil))
	name := "report/7 & <b>"
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "../schedules/show?name=report%2F7+%26+%3Cb%3E&") {
		t.Errorf("goes to %s", got)
	}
	s.has(s.post(422, "/schedules/new", scheduleTyped(nil)).Body.String(), "exists already")
	of, err := s.o.Schedule(t.Context(), name)
	if err != nil || of.Cron != "30 2 * * *" || of.Missed != "all" || of.CatchUp != 2*time.Hour || of.Overlap != "skip" ||
		of.Origin != "dashboard" {
		t.Fatalf("%+v, %v", of, err)
	}

	target := "/schedules/show?name=" + url.QueryEscape(name)
	page = s.get(target)
	s.has(page, "02:30:00 CST", "make_report", `value="2h"`, "••••", "run each of them")
	s.hasNot(page, "s3cret")
	s.hasNot(s.get("/api/v1/schedules"), "s3cret")
	s.has(s.get("/api/v1/schedules"), `"cron":"30 2 * * *"`, `"payload":{"job":"make_report"`)
	s.has(s.get("/schedules"), "30 2 * * *", "report/7 &amp; &lt;b&gt;", ">never<")

	edited := scheduleTyped(map[string]string{
		"when": "every 2 weeks on mon at 08:00", "data": `{"for": "all", "token": "••••"}`, "version": versionIn(page),
	})
	s.post(303, target, edited)
	if of, err = s.o.Schedule(t.Context(), name); err != nil || of.Every != "2 weeks on mon at 08:00" || of.Cron != "" {
		t.Errorf("%+v, %v", of, err)
	}
	s.has(string(of.Payload), `"all"`, "s3cret")
	s.has(s.post(422, target, edited).Body.String(), "changed by somebody else", "&#34;all&#34;")

	s.post(303, "/schedules/pause?name="+url.QueryEscape(name), nil)
	s.has(s.get("/schedules"), `class="badge paused"`, "schedules/resume?name=report%2f7")
	s.post(303, "/schedules/resume?name="+url.QueryEscape(name), nil)
	s.post(303, "/schedules/run?name="+url.QueryEscape(name), nil)
	s.has(s.post(409, "/schedules/run?name="+url.QueryEscape(name), nil).Body.String(), "is taken by another job")
	s.post(303, "/schedules/remove?name="+url.QueryEscape(name), nil)
	for _, gone := range []string{"pause", "resume", "run", "remove", "show"} {
		s.post(404, "/schedules/"+gone+"?name="+url.QueryEscape(name), nil)
	}
	if _, err := s.o.Schedule(t.Context(), name); !errors.Is(err, operator.ErrNoSchedule) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestScheduleOfAProgram: what a program sets when it starts is shown, paused and run, but changed only there.
func TestScheduleOfAProgram(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.schedule("ping", "10 minutes")
	page := s.get("/schedules/show?name=ping")
	s.has(page, "has set this schedule", "every 10 minutes")
	s.hasNot(page, `name="when"`)
	s.has(s.post(409, "/schedules/show?name=ping", scheduleTyped(nil)).Body.String(), "change it there")
	s.has(s.get("/schedules/times?name=ping&when=1h&zone=Europe/Berlin"), `class="times"`, " CE")
	s.has(s.get("/schedules/times?when=every+banana"), "would be right")
	if n := strings.Count(s.get("/schedules/times?when=@daily&zone=UTC"), "00:00:00 UTC"); n != 10 {
		t.Errorf("%d times", n)
	}
}

// TestLastOutcome: the list says what became of the last job of each schedule.
func TestLastOutcome(t *testing.T) {
	s := open(t, dashboard.Config{})
	outcomes := map[string]string{"waits": "ready", "runs": "running", "fails": "failed", "is done": "ended"}
	for name := range outcomes {
		s.schedule(name, "1 hour")
	}
	s.exec("UPDATE job_schedules SET next_at = next_at - ?", 2*time.Hour.Microseconds())
	if n, _, err := s.q.RunSchedules(t.Context()); n != len(outcomes) || err != nil {
		t.Fatalf("%d pushed, %v", n, err)
	}
	all, err := s.o.Schedules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	for _, of := range all {
		last[of.Name] = of.LastJobID
	}
	s.exec("UPDATE jobs SET queue = 'other' WHERE id = ?", last["runs"])
	s.reserve("other", 1)
	s.exec("DELETE FROM jobs WHERE id IN (?, ?)", last["fails"], last["is done"])
	s.exec("INSERT INTO job_errors (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at) "+
		"VALUES (?, 'mail', 'make_report', 1, 'failed', 'boom', '', 'w', 1, 0)", last["fails"])
	page := s.get("/schedules")
	for name, outcome := range outcomes {
		_, row, _ := strings.Cut(page, `<tr id="s-`+name+`"`)
		row, _, _ = strings.Cut(row, "</tr>")
		if !strings.Contains(row, ">"+outcome+"</span>") {
			t.Errorf("%s: not %s: %s", name, outcome, row)
		}
	}
}
