package dashboard_test

import (
	"net/http"
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
