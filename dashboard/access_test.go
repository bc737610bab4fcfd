package dashboard_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// TestRights asks every route as every role by every method.
func TestRights(t *testing.T) {
	needs := map[string]dashboard.Role{}
	for _, r := range dashboard.Routes() {
		needs[r.Method+" "+r.Pattern] = r.Least
	}
	if len(needs) < 40 {
		t.Fatalf("only %d routes", len(needs))
	}
	patterns := map[string]bool{}
	for _, r := range dashboard.Routes() {
		patterns[r.Pattern] = true
	}
	s := open(t, dashboard.Config{})
	s.push("mail", "a", "{}")
	for _, readOnly := range []bool{false, true} {
		for role := dashboard.Role(0); role <= dashboard.Admin+1; role++ {
			config := as(role)
			config.ReadOnly = readOnly
			s := serve(t, s.q, s.d, config)
			for pattern := range patterns {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
					asked := method
					if method == "HEAD" {
						asked = "GET"
					}
					least, there := needs[asked+" "+pattern]
					var form url.Values
					if method == "POST" {
						form = url.Values{}
					}
					w := s.do(request(method, strings.Replace(pattern, "{id}", "999", 1)+"?name=mail", form))
					allowed := role >= least && role <= dashboard.Admin && (!readOnly || least == dashboard.Viewer)
					switch {
					case role == 0 || role > dashboard.Admin && w.Code == 403:
						if w.Code != 403 {
							t.Errorf("nobody: %s %s: %d", method, pattern, w.Code)
						}
					case !there:
						if w.Code != 405 || w.Header().Get("Allow") == "" {
							t.Errorf("%s %s: %d, not 405", method, pattern, w.Code)
						}
					case allowed == (w.Code == 403), w.Code >= 500:
						t.Errorf("role %d, read-only %t: %s %s: %d", role, readOnly, method, pattern, w.Code)
					}
				}
			}
		}
	}
}

var languageForm = regexp.MustCompile(`(?s)<form method="post" action="[./]*language".*?</form>`)

// TestButtons looks whether pages show only buttons that work for who sees them.
func TestButtons(t *testing.T) {
	s := open(t, dashboard.Config{})
	id := s.push("mail", "a", "{}")
	s.push("images", "b", "{}")
	s.fail("images", 1, "boom", "")
	s.beat()
	s.schedule("report", "1 hour")
	if _, err := s.q.Batch("import").Push(t.Context(), sqlqueue.Named("row", 1)); err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?:action|formaction|href)="([^"#]*)"`)
	for role := dashboard.Viewer; role <= dashboard.Admin; role++ {
		s := serve(t, s.q, s.d, as(role))
		for _, page := range []string{
			"/", "/queue?name=mail", "/jobs", fmt.Sprintf("/jobs/%d", id), "/done", "/failed", "/failed/1", "/workers", "/schedules",
			"/schedules/show?name=report", "/batches", "/batches/1", "/errors", "/activity", "/names", "/names/show?queue=mail&name=a",
			"/subscriptions", "/settings",
		} {
			body := languageForm.ReplaceAllString(s.get(page), "")
			if role == dashboard.Viewer && (strings.Contains(strings.Replace(body, "<button>Search<", "", 1), "<button>") ||
				strings.Contains(body, `method="post"`)) {
				t.Errorf("a viewer sees buttons on %s", page)
			}
			base, _ := url.Parse("http://localhost" + page)
			for _, found := range target.FindAllStringSubmatch(body, -1) {
				if strings.HasSuffix(strings.Split(found[1], "?")[0], "bulk/release") && role == dashboard.Viewer {
					t.Errorf("a viewer sees %s", found[1])
				}
				to, err := base.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
				if err != nil {
					t.Fatal(err)
				}
				method, form := "GET", url.Values(nil)
				if strings.HasPrefix(found[0], "action") && !strings.Contains(found[1], "bulk/") && found[1] != "jobs" &&
					found[1] != "done" && found[1] != "failed" {
					method, form = "OPTIONS", nil // changes nothing, and is refused by 405 where the right is there
				}
				if w := s.do(request(method, to.RequestURI(), form)); method == "GET" && w.Code != 200 {
					t.Errorf("role %d: %s leads to %s: %d", role, page, to, w.Code)
				}
			}
		}
	}
}

func TestClosedUnlessOpened(t *testing.T) {
	s := open(t, dashboard.Config{Hosts: []string{"queue.test"}})
	accessed := serve(t, s.q, s.d, as(dashboard.Viewer))
	refusing := serve(t, s.q, s.d, dashboard.Config{Access: func(*http.Request) (dashboard.User, error) {
		return dashboard.User{Role: dashboard.Admin}, errors.New("no session: secret reason")
	}})
	for _, c := range []struct {
		name, peer, host, header string
		status, withAccess       int
	}{
		{"this machine", "127.0.0.1:1", "localhost:8080", "", 200, 200},
		{"this machine, IPv6", "[::1]:1", "[::1]:8080", "", 200, 200},
		{"by address", "127.0.0.1:1", "127.0.0.1", "", 200, 200},
		{"by a name that was allowed", "127.0.0.1:1", "Queue.test:80", "", 200, 403},
		{"rebinding", "127.0.0.1:1", "evil.example:8080", "", 403, 403},
		{"rebinding by address", "127.0.0.1:1", "192.168.1.7:8080", "", 403, 403},
		{"no host", "127.0.0.1:1", "", "", 403, 403},
		{"another machine", "192.168.1.7:1", "localhost:8080", "", 403, 200},
		{"another machine by its name", "192.168.1.7:1", "shop.example", "", 403, 200},
		{"a proxy", "127.0.0.1:1", "localhost", "X-Forwarded-For", 403, 200},
		{"a proxy's standard header", "127.0.0.1:1", "shop.example", "Forwarded", 403, 200},
		{"a proxy's other header", "127.0.0.1:1", "localhost", "X-Real-Ip", 403, 200},
		{"no address", "@", "localhost", "", 403, 200},
	} {
		r := request("GET", "/", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		if c.header != "" {
			r.Header.Set(c.header, "203.0.113.9")
		}
		if w := s.do(r); w.Code != c.status {
			t.Errorf("%s: %d, not %d", c.name, w.Code, c.status)
		}
		if w := accessed.do(r); w.Code != c.withAccess {
			t.Errorf("%s, with an Access function: %d, not %d", c.name, w.Code, c.withAccess)
		}
		if w := refusing.do(r); w.Code != 403 || strings.Contains(w.Body.String(), "secret reason") {
			t.Errorf("%s, refused: %d %s", c.name, w.Code, w.Body)
		}
	}
	r := request("GET", "/assets/app.js", nil)
	r.RemoteAddr = "192.168.1.7:1"
	if w := s.do(r); w.Code != 403 {
		t.Errorf("an asset for another machine: %d", w.Code)
	}
}

func TestOtherSitesForms(t *testing.T) {
	s := open(t, dashboard.Config{TrustedOrigins: []string{"https://admin.example"}})
	for _, c := range []struct {
		name, header, value string
		status              int
	}{
		{"cross-site", "Sec-Fetch-Site", "cross-site", 403},
		{"same-site", "Sec-Fetch-Site", "same-site", 403},
		{"foreign origin", "Origin", "https://evil.example", 403},
		{"no origin", "Origin", "null", 403},
		{"trusted origin", "Origin", "https://admin.example", 303},
		{"same origin", "Origin", "http://localhost", 303},
		{"no browser", "Accept", "*/*", 303},
	} {
		r := request("POST", "/queue/pause?name=mail", url.Values{})
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set(c.header, c.value)
		if w := s.do(r); w.Code != c.status {
			t.Errorf("%s: %d, not %d", c.name, w.Code, c.status)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := open(t, dashboard.Config{})
	for _, target := range []string{"/", "/jobs/1", "/nothing", "/api/v1/queues", "/assets/app.js"} {
		h := s.do(request("GET", target, nil)).Header()
		for name, wanted := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
				"img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
				"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types sqlqueue",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if h.Get(name) != wanted {
				t.Errorf("%s: %s is %q", target, name, h.Get(name))
			}
		}
		if !strings.HasPrefix(target, "/assets/") && !strings.Contains(h.Get("Cache-Control"), "no-store") {
			t.Errorf("%s may be stored: %q", target, h.Get("Cache-Control"))
		}
	}
	framed := serve(t, s.q, s.d, dashboard.Config{FrameAncestors: []string{"'self'", "https://admin.example"}})
	h := framed.do(request("GET", "/", nil)).Header()
	if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'self' https://admin.example;") ||
		h.Get("X-Frame-Options") != "" {
		t.Errorf("not to be framed: %v", h)
	}
	for _, wrong := range []dashboard.Config{
		{FrameAncestors: []string{"https://a; script-src *"}},
		{Colour: "pink"},
		{Refresh: time.Millisecond},
		{Path: "admin"},
		{TrustedOrigins: []string{"admin"}},
	} {
		if _, err := dashboard.New(s.q, wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
	if _, err := dashboard.New(nil, dashboard.Config{}); err == nil {
		t.Error("no queue is taken")
	}
}

// TestMounted looks whether links lead to pages wherever the dashboard is mounted.
func TestMounted(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.push("mail", "a", "{}")
	withPath := serve(t, s.q, s.d, dashboard.Config{Path: "/x/y/"})
	stripped, plain, jobs, nested := http.NewServeMux(), http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	stripped.Handle("/admin/queue/", http.StripPrefix("/admin/queue", s.h))
	plain.Handle("/admin/queue/", s.h)
	jobs.Handle("/jobs/", http.StripPrefix("/jobs", s.h))
	inner := http.NewServeMux()
	inner.Handle("/queue/", s.h)
	nested.Handle("/admin/", http.StripPrefix("/admin", inner))
	link := regexp.MustCompile(`(?:href|src)="([^"#]+)"`)
	for _, c := range []struct {
		name, at string
		h        http.Handler
	}{
		{"at the root", "/", s.h},
		{"stripped", "/admin/queue/", stripped},
		{"not stripped", "/admin/queue/", plain},
		{"called like a page", "/jobs/", jobs},
		{"nested", "/admin/queue/", nested},
		{"another router", "/x/y/", withPath.h},
	} {
		for _, page := range []string{"", "jobs", "jobs/1", "queue?name=mail", "api/v1/queues", "bulk/cancel?q=name:a"} {
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, request("GET", c.at+page, nil))
			if w.Code != 200 {
				t.Errorf("%s: %s: %d", c.name, c.at+page, w.Code)
				continue
			}
			base, _ := url.Parse("http://localhost" + c.at + page)
			for _, found := range link.FindAllStringSubmatch(w.Body.String(), -1) {
				to, err := base.Parse(strings.ReplaceAll(found[1], "&amp;", "&"))
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				c.h.ServeHTTP(w, request("GET", to.RequestURI(), nil))
				if w.Code != 200 {
					t.Errorf("%s: %s links to %s: %d", c.name, c.at+page, to, w.Code)
				}
			}
		}
	}
}

// TestNoUnsafeTypes holds the promise that everything on a page is escaped by its place.
func TestNoUnsafeTypes(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	unsafe := regexp.MustCompile(`template\.(HTML|HTMLAttr|JS|JSStr|CSS|URL|Srcset)\b`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := unsafe.Find(text); found != nil && name != "access_test.go" {
			t.Errorf("%s has %s", name, found)
		}
	}
	pages, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`\{\{-? ?(?:if )?t "([^"]+)"|\(t "([^"]+)"`)
	inline := regexp.MustCompile(` (style|on[a-z]+)="|<style|<script>|javascript:`)
	for _, name := range pages {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range said.FindAllStringSubmatch(string(text), -1) {
			if !dashboard.HasText(found[1] + found[2]) {
				t.Errorf("%s: there is no text %q", name, found[1]+found[2])
			}
		}
		if found := inline.Find(text); found != nil {
			t.Errorf("%s has %s, which the policy forbids", name, found)
		}
	}
}
