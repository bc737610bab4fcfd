package dashboard_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
)

var editable = regexp.MustCompile(`(?s)value="[^"]*"|<textarea.*?</textarea>`)

// TestHostileNamesAndData shows names, data and errors that try to become something else, and acts on them.
func TestHostileNamesAndData(t *testing.T) {
	s := open(t, dashboard.Config{})
	for i, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
		`../../jobs`, `{{.Base}}`, `a/b?c#d&e=f`,
		"\u202Eevil\u202C", `%2e%2e%2f`, `</title><b>`, "日本語 queue", strings.Repeat("x", 191), `a"b\c`, `queue:mail name:x`,
	} {
		data := fmt.Sprintf(`{"<b>k": "</textarea><script>%d</script>", "deep": %s1%s, "n": 1e999999,
			"rtl": "\u202E", "nul": "\u0000", "lone": "\ud800"}`,
			i, strings.Repeat("[", 300), strings.Repeat("]", 300))
		id := s.push(name, name, data)
		pages := s.get("/") + s.get("/jobs") + s.get(fmt.Sprintf("/jobs/%d", id)) + s.get("/queue?name="+url.QueryEscape(name)) +
			s.get(fmt.Sprintf("/push?job=%d", id)) + s.get("/bulk/cancel?id="+fmt.Sprint(id))
		s.hasNot(pages, "<script>alert", "<script>0", "<img", "onerror=alert(1)>", "<b>k", "</title><b>", `href="javascript`, "ZgotmplZ")
		s.hasNot(editable.ReplaceAllString(pages, ""), "\u202E") // but in fields, whose text must be exact
		_, pause, _ := strings.Cut(s.get("/"), `action="queue/pause?name=`)
		for found := false; !found; { // the button of this queue pauses this queue
			var encoded string
			encoded, pause, found = strings.Cut(pause, `"`)
			if raw, err := url.QueryUnescape(encoded); err == nil && raw == name {
				s.post(303, "/queue/pause?name="+encoded, nil)
			} else if _, pause, found = strings.Cut(pause, `action="queue/pause?name=`); !found {
				t.Fatalf("no button pauses %q", name)
			} else {
				found = false
			}
		}
		s.post(303, "/queue/resume?name="+url.QueryEscape(name), nil)
		_, q, _ := strings.Cut(s.get("/queue?name="+url.QueryEscape(name)), `href="jobs?q=`)
		q, _, _ = strings.Cut(q, `"`)
		s.has(s.get("/jobs?q="+q), "1 shown")
		s.fail(name, 1, `<svg onload=alert(1)> `+name, "<script>stack</script>\x1b[31m")
	}
	for id := 1; id <= 14; id++ {
		s.hasNot(s.get(fmt.Sprintf("/failed/%d", id)), "<svg onload", "<script>stack", "\x1b", "\u202E")
	}
	s.hasNot(s.get("/failed")+s.get("/bulk/forget"), "<svg onload", "<script>alert", "\u202E")
	for _, q := range []string{
		"/jobs?q=<script>", "/failed?q=%22%3E<b>", "/jobs?q=%00", "/queue?name=%3Cscript%3E",
		"/queue?name=%ff%00", "/?said=<b>&n=<b>", "/?range=<b>", "/jobs?q=queue:%ff", "/failed?q=name:%00%ff",
	} {
		w := s.do(request("GET", strings.ReplaceAll(strings.ReplaceAll(q, "<", "%3C"), ">", "%3E"), nil))
		if w.Code != 200 || strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), "<b>&") {
			t.Errorf("%s: %d %s", q, w.Code, start(w.Body.String()))
		}
	}
}

// TestSecretsAreHidden looks for one secret in every output.
func TestSecretsAreHidden(t *testing.T) {
	s := open(t, dashboard.Config{Redact: func(job string, path []string, value []byte) bool {
		return job == "send" && strings.Join(path, ".") == "customer.name" && string(value) == `"hunter2 Miller"`
	}})
	data := `{"n": 1, "Pass\u0077ord": "hunter2", "api-key": {"a": ["hunter2"]}, "nested": [{"access_token": "hunter2"}],
		"dsn": "postgres://joe:hunter2@db/x",
		"customer": {"name": "hunter2 Miller", "city": "Ulm"}, "creditCardNo": 42424242424242}`
	id := s.push("mail", "send", data)
	s.push("mail", "send", `{"url": "https://x/`+strings.Repeat("x", 480)+`://joe:hunter2@h"}`) // is cut in lists, within the address
	s.push("images", "send", data)
	s.fail("images", 1, "dial postgres://joe:hunter2@db: refused, token=hunter2, Authorization: Bearer hunter2hunter2",
		"at mysql://joe:hunter2@db")
	for _, target := range []string{
		"/jobs", fmt.Sprintf("/jobs/%d", id), fmt.Sprintf("/push?job=%d", id), "/failed", "/failed/1", "/push?failed=1",
		"/bulk/cancel", "/bulk/retry",
		"/api/v1/jobs", fmt.Sprintf("/api/v1/jobs/%d", id), "/api/v1/failed", "/api/v1/failed/1", "/api/v1/groups",
	} {
		page := s.get(target)
		s.hasNot(page, "hunter", "4242", "joe:")
		s.has(page, "••••")
	}
	page := s.get(fmt.Sprintf("/jobs/%d", id))
	s.has(page, "Ulm")
	form := url.Values{ // under another name it would be shown
		"queue": {"mail"}, "name": {"other"}, "priority": {"0"}, "at": {"now"}, "version": {versionIn(page)},
		"data": {`{"customer": {"name": "••••"}}`},
	}
	s.has(s.post(422, fmt.Sprintf("/jobs/%d", id), form).Body.String(), "would show the hidden values")
	form.Set("job", fmt.Sprint(id))
	form.Del("at")
	s.has(s.post(422, "/push", form).Body.String(), "would show the hidden values")
	s.has(s.get("/jobs?q="+url.QueryEscape(`name:send data.customer.name:"\"hunter2 Miller\""`)), "cannot be searched")
	s.has(s.get("/jobs?q=data.access_token:hunter2"), "cannot be searched")
	s.has(s.get("/failed?q=error:token=••••"), "cannot be searched")
}

// TestLongData shows a megabyte, and does not take long for it.
func TestLongData(t *testing.T) {
	s := open(t, dashboard.Config{})
	id := s.push("mail", "a", `{"a": "`+strings.Repeat("x", 1<<20)+`", "list": [`+strings.Repeat("1,", 20_000)+`1]}`)
	begin := time.Now()
	var page string
	for _, path := range []string{"/jobs", fmt.Sprintf("/jobs/%d", id)} {
		waitFor(t, path, func() bool {
			w := s.do(request("GET", path, nil))
			page = w.Body.String()
			return w.Code == 200 // and not 503 after 5 s, on a busy machine
		})
	}
	s.has(page, "more bytes are not shown here")
	if took := time.Since(begin); took > time.Minute { // on a busy machine, too; looking at the megabyte for each of its bytes takes hours
		t.Errorf("took %v", took)
	}
}
