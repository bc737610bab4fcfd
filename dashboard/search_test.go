package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
)

// TestSearchesAtOnce: of searches that no index helps only a few run at once; who has to wait too long is told so, and all else goes on.
func TestSearchesAtOnce(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.push("mail", "a", `{"x": 1}`)
	s.fail("mail", 1, "boom", "")
	costly := []string{"/jobs?q=data.x:1", "/failed?q=queue:mail", "/bulk/cancel?q=name:a", "/api/v1/jobs?q=name:a", "/api/v1/groups"}
	leave := s.h.TakeSearches()
	for _, target := range costly {
		w := s.do(request("GET", target, nil))
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", target, w.Code, start(w.Body.String()))
		}
		s.has(w.Body.String(), "2 searches without an index are running already")
	}
	for _, target := range []string{"/", "/jobs?q=queue:mail", "/failed", "/api/v1/jobs?q=state:ready"} {
		s.get(target)
	}
	leave()
	for _, target := range costly {
		s.get(target)
	}
}

// TestViews: searches that the application has named stand on the page that they are of, and nowhere else.
func TestViews(t *testing.T) {
	mail := dashboard.View{Name: "<b>Mail</b>", Page: "jobs", Query: "queue:mail state:delayed"}
	s := open(t, dashboard.Config{Views: []dashboard.View{mail, {Name: "No answer", Page: "failed", Query: `error:"no answer"`}}})
	const link = `<a href="jobs?q=queue%3amail%20state%3adelayed"`
	s.has(s.get("/jobs"), link+">&lt;b&gt;Mail&lt;/b&gt;</a>")
	s.has(s.get("/jobs?q=queue%3Amail+state%3Adelayed"), link+` aria-current="true">`)
	s.hasNot(s.get("/jobs"), "No answer")
	s.has(s.get("/failed"), `<a href="failed?q=error%3a%22no%20answer%22">No answer</a>`)
	for want, view := range map[string]dashboard.View{
		"has no name":                          {Page: "jobs"},
		`the page "names": use jobs or failed`: {Name: "a", Page: "names"},
		`the view "a":`:                        {Name: "a", Page: "jobs", Query: "state:nonsense"},
		`the view "b":`:                        {Name: "b", Page: "failed", Query: "state:delayed"},
	} {
		if _, err := dashboard.New(s.q, dashboard.Config{Views: []dashboard.View{view}}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", view, err, want)
		}
	}
}
