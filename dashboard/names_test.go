package dashboard_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// ran has a worker count runs of a name.
func (s *site) ran(ago time.Duration, queue, name string, done, failed int64, took time.Duration) {
	s.t.Helper()
	n := &driver.NameCount{Minute: time.Now().Add(-ago).Truncate(time.Minute), Queue: queue, Name: name, Done: done, Failed: failed}
	for range done + failed {
		n.Run.Add(took)
		n.Wait.Add(took / 10)
	}
	w := driver.Worker{ID: "w1", Name: "app-1/worker", Queues: []string{"mail"}}
	if err := s.q.Beat(s.t.Context(), driver.Beat{Worker: w, Names: []*driver.NameCount{n}}); err != nil {
		s.t.Fatal(err)
	}
}

// measure measures the queues, as a worker does.
func (s *site) measure() {
	s.t.Helper()
	store, err := s.q.Store(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := sqldb.Of(store)
	if err == nil {
		err = db.Upkeep(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/names"), "No job has run in this time")
	s.has(s.get("/names/show?queue=mail&name=send"), "No job has run in this time")
	s = serve(t, s.q, s.d, dashboard.Config{}) // without what it has read
	s.ran(5*time.Minute, "mail", "send", 99, 1, 20*time.Millisecond)
	s.ran(5*time.Minute, "mail", "slow", 10, 0, 90*time.Second)
	s.ran(5*time.Minute, "images", "resize", 50, 0, time.Millisecond)
	s.ran(20*time.Hour, "images", "long ago", 1000, 0, time.Second)
	s.ran(5*time.Minute, "", "", 3, 0, time.Second)
	page := s.get("/names")
	s.has(page, `href="names/show?queue=mail&amp;name=send&amp;range=1h"`, "100 <span", "1 %",
		"(other names)", `aria-current="true">1h`, "99 done, 1 went wrong in the last 1h")
	s.hasNot(page, "long ago")
	order := func(query string, names ...string) {
		t.Helper()
		page, last := s.get("/names?"+query), -1
		for _, name := range names {
			at := strings.Index(page, "name="+strings.ReplaceAll(url.QueryEscape(name), "+", "%20")+"&")
			if at < last || at < 0 {
				t.Errorf("%s: %s is not in its place", query, name)
			}
			last = at
		}
	}
	order("", "send", "resize", "slow")
	order("sort=run95", "slow", "send", "resize")
	order("sort=share", "send", "resize")
	order("sort=name", "resize", "send", "slow")
	order("sort=nonsense&range=24h", "long ago", "send", "slow")
	order("queue=mail", "send", "slow")
	s.hasNot(s.get("/names?queue=mail"), "resize")

	page = s.get("/names/show?queue=mail&name=slow&range=24h")
	s.has(page, "p95", "Wait", `class="line-b"`, `href="../queue?name=mail"`, "../jobs?q=name%3aslow", "As a table")
	s.has(s.get("/names/show?queue=&name="), "(other names)")
	s.has(s.get("/api/v1/names?queue=mail"), `"name":"send","done":99,"failed":1`, `"run_seconds":{"p50":0.0`)
	s.has(s.get("/api/v1/nametrend?queue=mail&name=send"), `"done":99`)

	s.push("mail", "send", "{}")
	s.push("mail/42", "send", "{}")
	s.measure()
	s.has(s.get("/api/v1/sizes?queue=mail"), `"measured":true,"ready":2`)
	for _, span := range []string{"1h", "24h", "48h", "7d", "30d"} {
		s.has(s.get("/?range="+span), "Sizes", `aria-current="true">`+span, "Throughput")
		s.has(s.get("/queue?name=mail%2F42&range="+span), "Sizes", "Ready up to 2", `href="names?queue=mail"`)
	}
	s.has(s.get("/?range=7d"), " done, ", " in 7d")
}

// TestHostileNamesOfJobs: names of jobs are text, whatever is in them.
func TestHostileNamesOfJobs(t *testing.T) {
	s := open(t, dashboard.Config{})
	for i, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `../../jobs?x=1&y#z`, "\u202Egnp.exe", "javascript:alert(1)",
		"{{.}}", strings.Repeat("漢", 191),
	} {
		s.ran(time.Minute, fmt.Sprint(name[:min(len(name), 30)], i), name, 1, 0, time.Second)
		for _, span := range []string{"1h", "7d"} {
			serve := serve(t, s.q, s.d, dashboard.Config{})
			pages := serve.get("/names?range="+span) +
				serve.get("/names/show?range="+span+"&queue="+url.QueryEscape(name)+"&name="+url.QueryEscape(name))
			s.hasNot(pages, "<script>alert", "<img", "\u202E", `href="javascript`, "ZgotmplZ")
			s.has(strings.ToLower(pages), "name="+strings.ToLower(strings.ReplaceAll(url.QueryEscape(name), "+", "%20")))
		}
	}
}
