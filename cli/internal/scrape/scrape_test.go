package scrape

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

func TestAddressesAreLocalUnlessTheySayOtherwise(t *testing.T) {
	for text, want := range map[string]string{
		"9464": "127.0.0.1:9464", ":9464": "127.0.0.1:9464", "0": "127.0.0.1:0", "0.0.0.0:9464": "0.0.0.0:9464", "[::1]:1": "[::1]:1",
		"metrics.example.com:80": "metrics.example.com:80",
	} {
		if got, err := ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "localhost", "70000", "a:b", "::1:80", "-1"} {
		if got, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), "9464") {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestAPageIsScrapedByThisMachineOnly(t *testing.T) {
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	handler := LocalOnly(Page(q.Queue))
	ask := func(host, path string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+path, nil))
		return w.Code, w.Body.String()
	}
	for path, want := range map[string]string{"/metrics": "sqlqueue_up 1", "/livez": `{"ok":true}`, "/readyz": `{"ok":true}`} {
		if code, body := ask("127.0.0.1:8080", path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
		for _, host := range []string{"evil.example:8080", "192.168.1.7", "localhost.evil.example"} {
			if code, _ := ask(host, path); code != http.StatusForbidden {
				t.Errorf("%s of %s: %d", path, host, code)
			}
		}
	}
	if err := q.DB().Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := ask("localhost", "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"ok":false`) {
		t.Errorf("without a database: %d %s", code, body)
	}
	if code, _ := ask("localhost", "/livez"); code != http.StatusOK {
		t.Errorf("the process is live without a database: %d", code)
	}
}
