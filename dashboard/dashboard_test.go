package dashboard_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestPages(t *testing.T) {
	s := open(t, dashboard.Config{Name: "shop", Colour: "red"})
	s.has(s.get("/"), "No queue has jobs yet", "shop")
	id := s.push("mail", "send_invoice", `{"order_id": 12345678901234567890, "customer": {"id": 17}}`)
	later := s.push("mail", "later", `{}`, sqlqueue.Delay(time.Hour), sqlqueue.Unique("once"))
	s.push("images", "resize", `[1,2]`)
	s.fail("images", 1, "boom at 10.0.0.17", "main.go:1\nmain.go:2")
	minute := time.Now().UTC().Truncate(time.Minute).Add(-2 * time.Minute)
	s.beat(operator.Count{Minute: minute, Queue: "mail", Done: 500, Failed: 3, Pushed: 400})

	page := s.get("/")
	s.has(page, `href="queue?name=mail"`, "of 10 slots, 1 workers", ">100<small>per minute", "<polyline")
	s.has(s.get("/queue?name=mail"), "Throughput", `action="queue/pause?name=mail&amp;from=queue"`, `jobs?q=queue%3amail%20state%3aready`)
	s.has(s.get("/queue?name=mail&range=24h"), `aria-current="true">24h`)
	s.has(s.get("/queue?name="), "All queues")
	s.has(s.get("/jobs"), "send_invoice", "12345678901234567890", `class="badge delayed"`)
	page = s.get("/jobs?q=" + url.QueryEscape("queue:mail state:ready data.customer.id:17"))
	s.has(page, "send_invoice")
	s.hasNot(page, ">later<")
	page = s.get(fmt.Sprintf("/jobs/%d", id))
	s.has(page, "12345678901234567890", "customer", `name="version"`, fmt.Sprintf(`action="%d/cancel"`, id))
	s.has(s.get(fmt.Sprintf("/jobs/%d", later)), "Run now", "once", "in 59m")
	s.has(s.get("/failed"), "boom at *", "main", `href="failed/1"`)
	s.has(s.get("/failed/1"), "boom at 10.0.0.17", "main.go:2", "Retry")
	s.has(s.get("/workers"), "app-1/worker", "running", `action="workers/concurrency?worker=w1"`)
	s.has(s.get("/push"), "Push a job", `value="mail"`)
	s.has(s.get(fmt.Sprintf("/push?job=%d", id)), "12345678901234567890", `value="send_invoice"`)
	s.has(s.get("/bulk/cancel?q=queue:mail"), "<b>2</b>", "Type “cancel” to continue")
	s.has(s.get("/bulk/retry"), "everything", "boom")
	for _, wrong := range []string{
		"/jobs/0", "/jobs/-1", "/jobs/99999999999999999999", "/jobs/1x", "/jobs/01", "/jobs/1/",
		"/nothing", "/api/v1/", "/assets/../dashboard.go", "/assets/nothing.js",
	} {
		if w := s.do(request("GET", wrong, nil)); w.Code != 404 {
			t.Errorf("%s: %d", wrong, w.Code)
		}
	}
	if w := s.do(request("GET", "/jobs/9223372036854775807", nil)); w.Code != 404 || !strings.Contains(w.Body.String(),
		"not there any more") {
		t.Errorf("an unknown job: %d %s", w.Code, w.Body)
	}
}

func TestQueueActions(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.push("mail", "a", "1")
	info := func(queue string) operator.QueueInfo {
		queues, err := s.o.Queues(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queues {
			if q.Queue == queue {
				return q
			}
		}
		return operator.QueueInfo{}
	}
	w := s.post(303, "/queue/pause?name=mail&from=queue", url.Values{"for": {"30m"}})
	if got := w.Header().Get("Location"); got != "../queue?name=mail&said=paused" {
		t.Errorf("goes to %s", got)
	}
	if c := info("mail").Control; !c.Paused || c.PausedUntil.IsZero() {
		t.Errorf("not paused for a while: %+v", c)
	}
	s.has(s.get("/queue?name=mail&said=paused"), ">Paused.</p>", "paused, 29m left")
	s.has(s.get("/failed?said=retried&n=1234"), ">Back in its queue: 1,234.</p>")
	s.post(303, "/queue/resume?name=mail", nil)
	if info("mail").Control.Paused {
		t.Error("not resumed")
	}
	s.post(303, "/queue/restart?name=", nil)
	s.post(303, "/queue/down?name=", nil)
	if c := info("").Control; c.Restarts != 1 || !c.Maintenance {
		t.Errorf("not restarted, or not down: %+v", c)
	}
	s.has(s.get("/"), "All queues: down")
	s.post(303, "/queue/up?name=", nil)
	s.post(422, "/queue/pause?name=a,b", nil)
	s.post(400, "/queue/pause", nil)
	s.has(s.post(400, "/queue/pause?name=mail", url.Values{"for": {"soon"}}).Body.String(), "is not a duration")

	s.beat()
	s.post(303, "/workers/concurrency?worker=w1", url.Values{"n": {"50"}})
	s.has(s.get("/workers"), `value="50"`, "default: 10")
	s.post(422, "/workers/concurrency?worker=w1", url.Values{"n": {"many"}})
	s.post(404, "/workers/concurrency?worker=gone", url.Values{"n": {"5"}})
}

var version = "name=\"version\" value=\""

func versionIn(page string) string {
	_, rest, _ := strings.Cut(page, version)
	v, _, _ := strings.Cut(rest, `"`)
	return v
}

func TestEdit(t *testing.T) {
	s := open(t, dashboard.Config{})
	id := s.push("mail", "send", `{"n": 1, "password": "hunter2", "url": "https://u:p@h/x"}`, sqlqueue.Tries(7))
	target := fmt.Sprintf("/jobs/%d", id)
	page := s.get(target)
	s.hasNot(page, "hunter2", "u:p")
	job := func() operator.Job {
		j, err := s.o.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	form := func() url.Values {
		j := job()
		return url.Values{
			"queue": {"mail"}, "name": {"send"}, "priority": {"0"}, "at": {j.AvailableAt.UTC().Format("2006-01-02 15:04:05")},
			"data":    {"{\n  \"n\": 1,\n  \"password\": \"••••\",\n  \"url\": \"https://••••@h/x\"\n}"},
			"version": {versionIn(s.get(target))},
		}
	}
	nothing := job()
	s.post(303, target, form())
	if j := job(); string(j.Payload) != string(nothing.Payload) || !j.AvailableAt.Equal(nothing.AvailableAt) {
		t.Errorf("saving nothing changed %s to %s", nothing.Payload, j.Payload)
	}
	f := form()
	f.Set("data", `{"n": 9223372036854775808, "password": "••••", "url": "https://••••@h/x"}`)
	f.Set("priority", "-5")
	f.Set("at", "10m")
	s.post(303, target, f)
	j := job()
	s.has(string(j.Payload), "9223372036854775808", "hunter2", "https://u:p@h/x", `"tries":7`)
	if j.Priority != -5 || time.Until(j.AvailableAt) < 9*time.Minute {
		t.Errorf("not changed: %+v", j)
	}
	for field, wrong := range map[string][2]string{
		"data":     {`{"n": <script>}`, "at line 1, character 7"},
		"priority": {"99999", "is not a number from"},
		"at":       {"someday", "is not a time"},
		"queue":    {"a,b", "has a comma"},
		"name":     {" ", "name is empty"},
	} {
		f := form()
		f.Set(field, wrong[0])
		page := s.post(422, target, f).Body.String()
		s.has(page, wrong[1])
		if field == "data" {
			s.has(page, "&lt;script&gt;")
		}
	}
	f = form()
	f.Set("data", `{"other": "••••"}`)
	s.has(s.post(422, target, f).Body.String(), "is not in the place of a hidden value")

	f = form() // somebody else is faster
	f.Set("data", `{"mine": 1}`)
	priority := 3
	if err := s.o.Edit(t.Context(), id, operator.JobEdit{Priority: &priority}); err != nil {
		t.Fatal(err)
	}
	page = s.post(422, target, f).Body.String()
	s.has(page, "changed by somebody else: priority.", "&#34;mine&#34;")
	f.Set("version", versionIn(page))
	s.post(303, target, f)
	s.has(string(job().Payload), `"mine":1`)

	s.post(303, target+"/run", nil)
	if time.Until(job().AvailableAt) > 0 {
		t.Error("it is not available now")
	}
	f = form()
	f.Set("data", `{"kept": true}`)
	s.reserve("mail", 1)
	s.has(s.post(422, target, f).Body.String(), "A worker is running this job", "kept")
	s.post(409, target+"/cancel", nil)
	s.post(303, target+"/release", nil)
	s.post(409, target+"/release", nil)
	s.post(303, target+"/cancel", nil)
	s.post(404, target+"/cancel", nil)
	s.has(s.post(404, target, f).Body.String(), "not there any more", "kept")
}

func TestPush(t *testing.T) {
	s := open(t, dashboard.Config{})
	form := url.Values{
		"queue": {"../../jobs?x"}, "name": {"a"}, "data": {`{"n": 1}`}, "when": {"1h"}, "priority": {"2"}, "tries": {"3"},
		"timeout": {"1m"}, "unique": {"k"},
	}
	w := s.post(303, "/push", form)
	if got := w.Header().Get("Location"); got != "./jobs/1?said=pushed" {
		t.Errorf("goes to %s", got)
	}
	j, err := s.o.Job(t.Context(), 1)
	if err != nil || j.Queue != "../../jobs?x" || j.Priority != 2 || j.UniqueKey != "k" || time.Until(j.AvailableAt) < 59*time.Minute {
		t.Fatalf("%+v, %v", j, err)
	}
	s.has(s.get("/"), `href="queue?name=..%2f..%2fjobs%3fx"`, `action="queue/pause?name=..%2f..%2fjobs%3fx"`)
	s.has(s.post(422, "/push", form).Body.String(), "is taken by another job")
	form.Set("unique", "")
	form.Set("data", `{"n": `)
	s.has(s.post(422, "/push", form).Body.String(), "is not JSON", `{&#34;n&#34;: `)
	form.Set("data", "{}")
	form.Set("name", "")
	s.post(422, "/push", form)

	id := s.push("mail", "pay", `{"token": "s3cret", "n": 1}`)
	page := s.get(fmt.Sprintf("/push?job=%d", id))
	s.has(page, "••••")
	s.hasNot(page, "s3cret")
	s.post(303, "/push", url.Values{"queue": {"mail"}, "name": {"pay"}, "data": {`{"token": "••••", "n": 2}`}, "job": {fmt.Sprint(id)}})
	if j, err = s.o.Job(t.Context(), id+1); err != nil || !strings.Contains(string(j.Payload), "s3cret") {
		t.Errorf("the copy has not what was hidden: %s, %v", j.Payload, err)
	}
	s.post(413, "/push", url.Values{"data": {strings.Repeat("x", 2<<20)}})
}

func TestFailed(t *testing.T) {
	s := open(t, dashboard.Config{})
	for range 3 {
		s.push("mail", "a", "{}", sqlqueue.Unique(fmt.Sprint(exchanges)))
		exchanges++
	}
	s.fail("mail", 3, `say "no" \ now`, "")
	page := s.get("/failed")
	_, q, _ := strings.Cut(page, `href="bulk/retry?q=`)
	q, _, _ = strings.Cut(q, `"`)
	s.has(s.get("/bulk/retry?q="+q), "<b>3</b>")
	s.has(s.get("/failed?q=error:nothing"), "No failed job matches")
	s.post(303, "/failed/1/retry", nil)
	s.post(404, "/failed/1/retry", nil)
	s.post(303, "/failed/2/forget", nil)
	s.has(s.get("/failed"), "failed/3")
	if w := s.do(request("GET", "/failed/2", nil)); w.Code != 404 {
		t.Errorf("a forgotten job: %d", w.Code)
	}
}

func TestJobsPaging(t *testing.T) {
	s := open(t, dashboard.Config{})
	for i := range 120 {
		s.push("mail", "a", fmt.Sprint(i))
	}
	page := s.get("/jobs?q=name:a")
	s.has(page, `href="jobs?q=name%3aa&amp;after=50"`)
	page = s.get("/jobs?q=name:a&after=100")
	s.has(page, "20 shown", "First page")
	s.hasNot(page, "amp;after=50", "amp;after=1")
	page = s.get("/jobs?sort=new&q=queue:mail")
	s.has(page, `href="jobs/120"`, `href="jobs?q=queue%3amail&amp;sort=new&amp;before=71"`, "the newest first")
	s.hasNot(page, `href="jobs/70"`)
	page = s.get("/jobs?sort=new&q=queue:mail&before=21")
	s.has(page, "20 shown", `href="jobs/1"`, "First page")
	s.hasNot(page, `href="jobs/21"`, "sort=new&amp;before=")
	s.hasNot(s.get("/jobs?sort=new&q=name:a"), "Newest first") // no index leads to them
	for query, says := range map[string]string{
		"word": "is not a condition", "queue:": "There is no value after", `name:"a`: "is not closed", "state:done": "is not a state",
		"color:red": "is not a key",
		"data..a:1": "is not a field", "id:x": "is not an id", "older:soon": "is not a duration", "data.password:x": "cannot be searched",
		strings.Repeat("1 ", 2500): "too long",
	} {
		s.has(s.get("/jobs?q="+url.QueryEscape(query)), says)
	}
	s.has(s.get("/jobs?q=7"), `href="jobs/7"`, "1 shown")
	s.has(s.get("/jobs?q=newer:1h+older:0s"), "50 shown")
}

func TestAPI(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.push("mail", "a", `{"secret": "x", "n": 12345678901234567890}`)
	s.push("mail", "b", `{}`)
	s.push("images", "c", `{}`)
	s.fail("images", 1, "postgres://u:p@h/db refused; password=abc", "")
	s.beat(operator.Count{Minute: time.Now().UTC().Truncate(time.Minute).Add(-time.Minute), Queue: "mail", Done: 10})
	for target, wanted := range map[string]string{
		"queues":                   `"queue":"mail","ready":2`,
		"counts?since=1h":          `"rates":[{"minutes":1,"pushed":0,"done":10`,
		"counts?since=2d":          `"minutes":[{"minute":"`,
		"jobs?q=name:a":            `"payload":{"job":"a","data":{"secret":"••••","n":12345678901234567890}}`,
		"jobs?limit=1&after=1":     `[{"id":2`,
		"jobs/1":                   `{"id":1,"queue":"mail"`,
		"failed":                   `"error":"postgres://••••@h/db refused; password=••••"`,
		"failed/1":                 `"job_id":3`,
		"groups":                   `"count":1`,
		"workers":                  `"concurrency":10`,
		"jobs?q=queue:nothing":     "[]",
		"failed?q=queue:nothing":   "[]",
		"counts?queue=nothing":     "[]",
		"groups?q=queue:nothing":   "[]",
		"jobs?q=name:a+state:nope": "",
	} {
		w := s.do(request("GET", "/api/v1/"+target, nil))
		if wanted == "" {
			if w.Code != 400 || !strings.HasPrefix(w.Body.String(), `{"error":`) {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
			continue
		}
		if w.Code != 200 || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), wanted) {
			t.Errorf("%s: %d, without %s: %s", target, w.Code, wanted, w.Body)
		}
	}
}

func TestUnchangedIsNotSent(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.push("mail", "a", "{}", sqlqueue.Delay(time.Hour))
	w := s.do(request("GET", "/?part=live", nil))
	s.hasNot(w.Body.String(), "<html")
	r := request("GET", "/?part=live", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	if w := s.do(r); w.Code != 304 || w.Body.Len() > 0 {
		t.Errorf("the same: %d with %d bytes", w.Code, w.Body.Len())
	}
	s.post(303, "/queue/pause?name=mail", nil)
	if w := s.do(r); w.Code != 200 {
		t.Errorf("another: %d", w.Code)
	}
}

// TestSizes holds the first page and a refresh below what was decided.
func TestSizes(t *testing.T) {
	s := open(t, dashboard.Config{})
	minute := time.Now().UTC().Truncate(time.Minute)
	for i := range 6 {
		queue := fmt.Sprintf("queue-%d", i)
		s.push(queue, "send", "{}")
		var counts []operator.Count
		for m := range 60 {
			counts = append(counts, operator.Count{
				Minute: minute.Add(-time.Duration(m) * time.Minute), Queue: queue,
				Done: int64(m * m % 97), Pushed: int64(m * 7 % 89), Failed: int64(m % 3),
			})
		}
		s.beat(counts...)
	}
	size := func(target string) (n int) {
		r := request("GET", target, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := s.do(r)
		n = w.Body.Len()
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, z); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	first := 0
	for _, target := range []string{"/", "/assets/style.css", "/assets/app.js", "/assets/theme.js", "/assets/icon.svg"} {
		first += size(target)
	}
	refresh := size("/?part=live")
	t.Logf("first page %d bytes, refresh %d bytes", first, refresh)
	if first > 25_000 || refresh > 6_000 {
		t.Errorf("the first page has %d bytes, a refresh %d: more than 25,000 and 6,000", first, refresh)
	}
}

func TestDatabaseAway(t *testing.T) {
	s := open(t, dashboard.Config{Refresh: 500 * time.Millisecond})
	s.push("mail", "a", "{}")
	s.get("/")
	if _, err := s.d.ExecContext(t.Context(), "ALTER TABLE jobs RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/jobs", "/jobs/1", "/queue?name=mail", "/api/v1/queues"} {
		var w *httptest.ResponseRecorder
		waitFor(t, "what was fresh is old", func() bool {
			w = s.do(request("GET", target, nil))
			return w.Code != 200
		})
		if w.Code != 503 || !strings.Contains(w.Body.String(), "has not answered since") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if _, err := s.d.ExecContext(t.Context(), "ALTER TABLE away RENAME TO jobs"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the page comes back", func() bool { return s.do(request("GET", "/", nil)).Code == 200 })
	_ = s.d.Close()
	s.post(503, "/queue/pause?name=mail", nil)
	s.post(503, "/push", url.Values{"queue": {"mail"}, "name": {"a"}, "data": {"{}"}})
}
