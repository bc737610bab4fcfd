package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// send posts a form as the page that is open would, with fields and their values, and returns the status of the page that follows.
func (b *tab) send(path string, fields ...string) int {
	b.t.Helper()
	pairs := slices.AppendSeq([][]string{}, slices.Chunk(fields, 2))
	return is[int](b, `fetch(%s, {method: "POST", body: new URLSearchParams(%s)}).then((r) => r.status)`, path, pairs)
}

// forms are the addresses to which the open page sends forms, without the dashboard's own.
func (b *tab) forms() []string {
	b.t.Helper()
	return is[[]string](b, `[...document.querySelectorAll("form[method=post]")].map((f) => f.action.replace(location.origin, "")).
		filter((a) => !a.endsWith("/language"))`)
}

// TestRoles: whoever may only look is shown no button that changes something, and may not send what those buttons send.
func TestRoles(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		id := s.push("mail", "remind", `{"n": 1}`)
		site := func(config dashboard.Config, role dashboard.Role) string {
			config.Access = func(*http.Request) (dashboard.User, error) { return dashboard.User{Name: "ann", Role: role}, nil }
			return serve(t, s.handler(config))
		}
		paths := []string{
			"", "queue?name=mail", "queue?name=tenants", "jobs", fmt.Sprintf("jobs/%d", id), "failed", "failed/1", "workers", "schedules",
			"schedules/show?name=report", "batches", "batches/1", "subscriptions", "settings",
		}
		visible := func(root string) (all []string) {
			b := newTab(t)
			for _, path := range paths {
				b.open(root + path)
				all = append(all, b.forms()...)
			}
			return all
		}
		asAdmin := visible(site(dashboard.Config{}, dashboard.Admin))
		if len(asAdmin) < len(paths) {
			t.Fatalf("an admin is shown only %q", asAdmin)
		}
		for name, root := range map[string]string{
			"viewer": site(dashboard.Config{}, dashboard.Viewer), "read-only": site(dashboard.Config{ReadOnly: true}, dashboard.Admin),
		} {
			if shown := visible(root); shown != nil {
				t.Errorf("%s is shown %q", name, shown)
			}
			b := newTab(t)
			b.open(root)
			for _, path := range append(asAdmin, "/push", "/steps/cancel", "/steps/forget") {
				if status := b.send(path); status != http.StatusForbidden {
					t.Errorf("%s sends %s: %d", name, path, status)
				}
			}
			b.heard() // the answers of 403
		}
		for _, path := range visible(site(dashboard.Config{}, dashboard.Operator)) {
			if strings.Contains(path, "forget") || strings.Contains(path, "remove") || strings.Contains(path, "subscri") {
				t.Errorf("an operator is shown %s", path)
			}
		}
	})
}

// TestSearchGoesOn: a search that no index helps says how far it got, and finds the last of many jobs.
func TestSearchGoesOn(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		if _, err := s.db.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
			INSERT INTO jobs (queue, payload) SELECT 'mail', '{"job":"a","data":{"n":' || i || '}}' FROM n`); err != nil {
			t.Fatal(err)
		}
		b := newTab(t)
		b.open(s.url + "jobs?q=data.n:250000")
		for !strings.Contains(b.text("main"), "1 shown") {
			b.shows("Searched jobs up to id")
			b.follow(`.pager a[href*="after="]`)
		}
		b.shows(`"n":250000`)
	})
}

// TestCharts: a chart of one busy minute and many idle ones, of nothing, and of a billion stays in its frame, and keys read it.
func TestCharts(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.push("idle", "a", `{}`)
		b := newTab(t)
		inFrame := func(queue string) {
			t.Helper()
			b.open(s.url + "queue?name=" + queue)
			odd := is[[]string](b, `[...document.querySelectorAll("#chart polyline, #chart polygon, .spark polyline")].
				map((e) => [e.getAttribute("points"), e.ownerSVGElement.viewBox.baseVal]).`+
				`filter(([p, v]) => !p.trim().split(/\s+/).every((at) => {
					const [x, y] = at.split(",").map(Number); `+
				`return x >= 0 && x <= v.width && y >= 0 && y <= v.height; })).map(([p]) => p)`)
			if len(odd) > 0 {
				t.Errorf("%s: points out of the chart: %q", queue, odd)
			}
			b.accessible("chart of " + queue)
		}
		inFrame("idle")
		minute := time.Now().UTC().Truncate(time.Minute).Add(-3 * time.Minute)
		if err := s.q.Beat(t.Context(), driver.Beat{Worker: driver.Worker{ID: "w1", Queues: []string{"busy"}}, Counts: []operator.Count{
			{Queue: "busy", Minute: minute, Done: 1_000_000_000, Failed: 1, Pushed: 2},
		}}); err != nil {
			t.Fatal(err)
		}
		s.push("busy", "a", `{}`)
		s.url = serve(t, s.handler(dashboard.Config{}))
		inFrame("busy")
		b.until(`document.activeElement === (document.querySelector("#chart").focus(), document.querySelector("#chart"))`)
		for range 10 {
			b.run(chromedp.KeyEvent(kb.ArrowLeft))
			if strings.Contains(b.text("#readout"), "1,000,000,000 done, 1 failed, 2 pushed") {
				return
			}
		}
		t.Errorf("keys do not lead to the busy minute: %s", b.text("#readout"))
	})
}

// TestHiddenValues: what is hidden is on no page and in no JSON, and an edit that leaves it as it is keeps it.
func TestHiddenValues(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		const secret = "s3cr3t"
		data := `{"n": 1, "api_token": "` + secret + `", "deep": [{"password": "` + secret + `"}]}`
		id := s.push("mail", "remind", data)
		s.push("broken", "remind", data)
		s.fail("broken", 1, "dial postgres://app:"+secret+"@db: refused", "password="+secret)
		worker := driver.Worker{ID: "w1", Queues: []string{"mail"}}
		run := driver.RunError{
			JobID: id, Queue: "mail", Name: "remind", Attempt: 1, Outcome: "released", Error: "password=" + secret, At: time.Now(),
		}
		if err := s.q.Beat(t.Context(), driver.Beat{Worker: worker, Errors: []driver.RunError{run}}); err != nil {
			t.Fatal(err)
		}
		if err := s.q.Schedule(t.Context(), sqlqueue.Schedule{
			Name: "report", Every: "1 hour", Job: sqlqueue.Named("remind", map[string]string{"token": secret}), Origin: "dashboard",
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.o.Subscribe(t.Context(), operator.Subscription{
			Name: "shop", Queue: "orders", URL: "https://a:" + secret + "@shop.example/" + secret, Secret: secret,
		}); err != nil {
			t.Fatal(err)
		}
		b := newTab(t)
		for _, path := range []string{
			"", "queue?name=mail", "jobs", "jobs?q=name:remind", fmt.Sprintf("jobs/%d", id), "failed", "failed/1", "errors", "errors/1",
			fmt.Sprintf("push?job=%d", id), "push?failed=1", "schedules", "schedules/show?name=report", "subscriptions", "activity",
			"bulk/cancel?q=queue:mail", "bulk/retry", "api/v1/jobs", fmt.Sprintf("api/v1/jobs/%d", id), "api/v1/failed", "api/v1/failed/1",
			"api/v1/groups", "api/v1/errors", "api/v1/errorgroups", "api/v1/schedules", "api/v1/subscriptions", "api/v1/operations",
		} {
			b.open(s.url + path)
			if is[bool](b, `document.documentElement.outerHTML.includes(%s)`, secret) {
				t.Errorf("/%s shows a secret", path)
			}
		}
		b.open(s.url + "jobs?q=data.api_token:" + secret)
		b.shows("hidden, so it cannot be searched")
		b.heard() // an answer of 403
		b.open(fmt.Sprintf("%sjobs/%d", s.url, id))
		b.click("summary.head")
		is[bool](b,
			`((e) => { e.value = e.value.replace('"n": 1', '"n": 2'); return true; })(document.querySelector("textarea[name=data]"))`)
		b.follow("form.fields button")
		b.shows("Saved.")
		if got := string(s.job(id).Payload); strings.Count(got, secret) != 2 ||
			!strings.Contains(strings.ReplaceAll(got, " ", ""), `"n":2`) {
			t.Errorf("the data is now %s", got)
		}
	})
}

// TestEverythingIsRecorded: each change on the page is in the list of changes, with who made it.
func TestEverythingIsRecorded(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		root := serve(t, s.handler(dashboard.Config{Access: anyone}))
		b := newTab(t)
		b.open(root)
		id := s.push("mail", "remind", `{"n": 1}`)
		now := fmt.Sprint(time.Now().Add(time.Hour / 100).UnixMicro())
		for _, change := range []struct {
			action string // as the list calls it
			path   string
			fields []string
		}{
			{"control", "/queue/pause?name=mail", nil},
			{"control", "/queue/restart?name=mail", nil},
			{"limit", "/queue/limit?name=mail", []string{"running", "3"}},
			{"limit", "/queue/unlimit?name=mail&limit=mail", nil},
			{"edit", fmt.Sprintf("/jobs/%d/run", id), nil},
			{"cancel", fmt.Sprintf("/jobs/%d/cancel", id), nil},
			{"push", "/push", []string{"queue", "mail", "name", "hello", "data", "{}"}},
			{"retry", "/failed/1/retry", nil},
			{"forget", "/failed/2/forget", nil},
			{"set concurrency", "/workers/concurrency?worker=w1", []string{"n", "3"}},
			{
				"set schedule", "/schedules/new",
				[]string{"name", "new", "when", "@daily", "zone", "UTC", "queue", "mail", "job", "a", "data", "{}", "missed", "one"},
			},
			{"pause schedule", "/schedules/pause?name=new", nil},
			{"resume schedule", "/schedules/resume?name=new", nil},
			{"run schedule", "/schedules/run?name=new", nil},
			{"remove schedule", "/schedules/remove?name=new", nil},
			{"subscribe", "/subscriptions", []string{"name", "s2", "queue", "orders", "url", "https://shop.example/"}},
			{"unsubscribe", "/subscriptions/remove?name=s2", nil},
			{"retry", "/steps/retry?q=queue:exports", []string{"cut", now, "cursor", "1000"}},
			{"cancel", "/steps/cancel?q=queue:mail", []string{"cut", now, "cursor", "0", "confirm", "cancel"}},
			{"cancel batch", "/batches/1/cancel", nil},
		} {
			last, err := s.o.Operations(t.Context(), operator.OperationFilter{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			if status := b.send(change.path, change.fields...); status != http.StatusOK {
				t.Errorf("%s: status %d", change.path, status)
			}
			found, err := s.o.Operations(t.Context(), operator.OperationFilter{})
			if err != nil {
				t.Fatal(err)
			}
			found = slices.DeleteFunc(found, func(o operator.Operation) bool { return o.ID <= last[0].ID })
			if !slices.ContainsFunc(found, func(o operator.Operation) bool {
				return o.Action == change.action && o.Who == "ann" && o.Via == "dashboard"
			}) {
				t.Errorf("%s is recorded as %+v, not as %s", change.path, found, change.action)
			}
		}
		b.heard()
		b.open(root + "activity")
		b.shows("cancel batch")
		b.shows("set schedule")
	})
}

// TestPalette: Ctrl-K leads to pages, queues and jobs, and keeps searches.
func TestPalette(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		id := s.push("mail", "palette", `{"n": 1}`)
		b := newTab(t)
		to := func(text string) {
			t.Helper()
			b.until(`document.readyState === "complete"`)
			b.run(chromedp.KeyEvent("k", chromedp.KeyModifiers(input.ModifierCtrl)))
			b.until(`document.querySelector("#palette").open`)
			b.keys(text)
		}
		b.open(s.url)
		to("tenants/1")
		b.until(`document.querySelector("[aria-selected=true]")?.textContent === "Queue: tenants/1"`)
		b.accessible("palette")
		b.keys(kb.Enter)
		b.until(`location.pathname === "/queue" && location.search === "?name=tenants%2F1"`)
		to(fmt.Sprint(id))
		b.keys(kb.Enter)
		b.shows(fmt.Sprintf("Job %d", id))
		to("queue:mail name:palette")
		b.keys(kb.Enter)
		b.shows("1 shown")
		to("save")
		b.keys(kb.Enter)
		b.open(s.url + "workers")
		to("name:palette")
		b.until(`document.querySelector("[aria-selected=true]").textContent === "Jobs: queue:mail name:palette"`)
		b.keys(kb.Enter)
		b.shows("1 shown")
		to("remove saved")
		b.keys(kb.Enter)
		b.until(`localStorage.getItem("sqlqueue-views") === "[]"`)
	})
}

// TestChinese: the pages are in Chinese for a browser that asks for it, and in the language that somebody chooses from then on.
func TestChinese(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		root := strings.Replace(s.url, "127.0.0.1", "localhost", 1)
		b := newTab(t, inChinese)
		b.open(root + "jobs?q=queue:mail")
		b.shows("任务")
		b.until(`document.documentElement.lang === "zh"`)
		_, undo := s.finish()
		b.look(looks[0]) // every page is longest where it is narrow
		for _, path := range []string{
			"", "queue?name=tenants", "jobs/8", "failed", "errors", "workers", "schedules/new?when=@daily", "batches/1", "subscriptions",
			"settings", "bulk/cancel?q=queue:mail", "names", "names/show?queue=mail&name=send_invoice", "done", "activity", undo,
		} {
			b.open(root + path)
			b.accessible("/" + path + " in Chinese")
			b.show(path, looks[0], "zh")
			b.until(`((nav) => [...nav.querySelectorAll("[aria-current]")].every((e) => { // where one is shows in the navigation
				const at = e.getBoundingClientRect(), all = nav.getBoundingClientRect();
				return at.left > all.left - 1 && at.right < all.right + 1;
			}))(document.querySelector("nav.main"))`)
		}
		b.look(looks[1])
		b.open(root + "workers")
		b.shows("前") // so long ago
		b.open(root)
		is[bool](b, `document.querySelector("#chart").focus(), true`)
		for range 10 { // a refresh may come between
			b.run(chromedp.KeyEvent(kb.ArrowLeft))
			if strings.Contains(b.text("#readout"), "：完成 ") {
				break
			}
		}
		if text := b.text("#readout"); !strings.Contains(text, "：完成 ") {
			t.Errorf("the chart says %q", text)
		}
		b.open(root + "jobs?q=queue:mail")
		b.follow("form.lang button")
		b.shows("All that match:")
		b.until(`location.search === "?q=queue%3Amail" && document.documentElement.lang === "en"`)
		b.open(root + "failed")
		b.shows("Failed jobs by error")
		b.follow("form.lang button")
		b.shows("按错误分组的失败任务")
	})
}

// TestOlderAndNewer: beside workers of an older program, which write fewer columns, and on tables of a later one, the pages work.
func TestOlderAndNewer(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		for _, statement := range []string{
			`INSERT INTO job_workers (id, name, host, pid, queues, concurrency, started_at, seen_at)
				SELECT 'old', 'old-worker', 'app-1', 7, 'mail', 3, t, t ` +
				`FROM (SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS t)`,
			`INSERT INTO sqlqueue_migrations (version_id, is_applied) VALUES (99, 1)`,
			`CREATE TABLE job_of_tomorrow (id INTEGER PRIMARY KEY)`,
			`ALTER TABLE jobs ADD COLUMN colour TEXT`,
		} {
			if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.q.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := s.push("mail", "remind", `{"n": 1}`)
		b := newTab(t)
		b.open(s.url + "workers")
		b.shows("old-worker")
		b.until(`document.querySelector("#w-old .badge.alive")`)
		b.open(fmt.Sprintf("%sjobs/%d", s.url, id))
		b.click(".ask summary")
		b.follow("form[action$=cancel] button")
		b.follow("form[action*=restore] button")
		b.shows("1 done")
	})
}
