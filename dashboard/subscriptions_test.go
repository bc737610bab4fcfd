package dashboard_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
)

func TestSubscriptions(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/subscriptions"), "subscribe here")
	form := func(name, queue, to string) url.Values {
		return url.Values{"name": {name}, "queue": {queue}, "url": {to}}
	}
	for _, wrong := range [][4]string{
		{"a,b", "orders", "https://example.com/", "comma"},
		{"shop", "a,b", "https://example.com/", "comma"},
		{"shop", "orders", "ftp://example.com/", "use http or https"},
		{"shop", "orders", "https:///x", "no host"},
	} {
		s.has(s.post(422, "/subscriptions", form(wrong[0], wrong[1], wrong[2])).Body.String(), wrong[3])
	}
	page := s.post(200, "/subscriptions", form("shop <b>", "orders", "https://u:hunter2@example.com/T0KEN")).Body.String()
	s.hasNot(page, "T0KEN", "hunter2")
	_, secret, _ := strings.Cut(page, "<pre>whsec_")
	secret, _, _ = strings.Cut(secret, "<")
	all, err := s.o.Subscriptions(t.Context())
	if err != nil || len(all) != 1 || all[0].URL != "https://u:hunter2@example.com/T0KEN" || len(secret) < 40 ||
		all[0].Secret != "whsec_"+strings.ReplaceAll(secret, "&#43;", "+") {
		t.Fatalf("%q, %+v, %v", secret, all, err)
	}
	s.has(s.post(422, "/subscriptions", form("shop <b>", "orders", "https://example.org/")).Body.String(), "exists already")
	s.has(s.post(422, "/subscriptions", form("other", "orders", "https://example.org/")).Body.String(), "a queue has one at most")
	unsigned := form("plain", "mail", "https://example.org/")
	unsigned.Set("unsigned", "1")
	s.hasNot(s.post(200, "/subscriptions", unsigned).Body.String(), "whsec_")

	s.push("orders", "sent", "{}")
	for _, page := range []string{s.get("/subscriptions"), s.get("/api/v1/subscriptions")} {
		s.has(page, "https://example.com", "orders", "https://example.org")
		s.hasNot(page, "T0KEN", "hunter2", "whsec_", secret)
	}
	s.has(s.get("/subscriptions"), ">unsigned</span>", `subscriptions/remove?name=shop%20%3cb%3e`)
	s.post(303, "/subscriptions/remove?name="+url.QueryEscape("shop <b>"), nil)
	s.post(404, "/subscriptions/remove?name="+url.QueryEscape("shop <b>"), nil)
}

func TestSettings(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/settings"), "localhost", "admin", "delete permanently", "authorization", "2d", "400d")
	viewer := serve(t, s.q, s.d, as(dashboard.Viewer))
	page := viewer.get("/settings")
	viewer.has(page, "<dd>ann</dd>", "viewer", "<dd>view</dd>")
	viewer.hasNot(page, "delete permanently")
}
