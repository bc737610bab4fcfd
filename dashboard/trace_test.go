package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestJobsLinkToTheirTraces(t *testing.T) {
	t.Parallel()
	s := open(t, dashboard.Config{TraceURL: "https://tempo.example.com/trace/{trace}?org=1"})
	id, err := s.q.Push(t.Context(), sqlqueue.Named("traced", nil))
	if err != nil {
		t.Fatal(err)
	}
	page := fmt.Sprintf("/jobs/%d", id)
	s.hasNot(s.get(page), "tempo")
	set := func(trace string) {
		_, err := s.d.ExecContext(t.Context(), `UPDATE jobs SET payload = json_set(payload, '$.trace', ?) WHERE id = ?`, trace, id)
		if err != nil {
			t.Fatal(err)
		}
	}
	set("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	s.has(s.get(page), `href="https://tempo.example.com/trace/4bf92f3577b34da6a3ce929d0e0e4736?org=1"`)
	set("javascript:alert(1)")
	s.hasNot(s.get(page), "tempo", `href="javascript`)
}

func TestTraceURLsThatAreNone(t *testing.T) {
	t.Parallel()
	s := open(t, dashboard.Config{})
	for _, address := range []string{
		"tempo.example.com/{trace}", "javascript:alert({trace})", "https://tempo.example.com/", "https://u:hidden@/{trace}",
	} {
		_, err := dashboard.New(s.q, dashboard.Config{TraceURL: address})
		if err == nil || !strings.Contains(err.Error(), "it must be like https://") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
