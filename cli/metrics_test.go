package cli

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const aTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// get returns what is served.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestWorkServesMetricsAndProbes(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "send_invoice", "--queue", "mail")
	p := s.start("work", "--queue", "mail", "--exec", "exit 0", "--metrics", "0")
	p.says("msg=processed")
	address := regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`).FindStringSubmatch(p.stderr.String())
	if address == nil {
		t.Fatalf("it does not say where it listens:\n%s", p.stderr)
	}
	code, metrics := get(t, "http://"+address[1]+"/metrics")
	for _, line := range []string{
		`sqlqueue_jobs_ended_total{name="send_invoice",outcome="done",queue="mail"} 1`,
		`sqlqueue_jobs_ended_total{name="send_invoice",outcome="failed",queue="mail"} 0`,
		`sqlqueue_up 1`, `sqlqueue_worker_limit 10`, `go_goroutines`,
	} {
		if code != http.StatusOK || !strings.Contains(metrics, line) {
			t.Errorf("%d, without %s:\n%s", code, line, metrics)
		}
	}
	for _, probe := range []string{"/livez", "/readyz"} {
		if code, text := get(t, "http://"+address[1]+probe); code != http.StatusOK || text != "{\"ok\":true}\n" {
			t.Errorf("%s: %d %s", probe, code, text)
		}
	}
	s.fails(2, []string{"--metrics", "9464"}, "work", "--exec", "exit 0", "--metrics", "everywhere")
	s.fails(2, []string{"--metrics", "--concurrency"}, "work", "--exec", "exit 0", "--metrics", "0", "--processes", "2")
	s.fails(1, []string{"--metrics", address[1]}, "work", "--exec", "exit 0", "--metrics", address[1])
}

func TestACommandGetsTheTrace(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec(`INSERT INTO jobs (queue, payload) VALUES ('default', '{"job":"a","data":1,"trace":"` + aTrace + `"}')`)
	s.work(`test "$TRACEPARENT" = ` + aTrace + ` || exit 65`)
	if failed := s.failed(); len(failed) > 0 {
		t.Errorf("the command did not get the trace: %+v", failed)
	}
}
