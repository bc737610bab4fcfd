package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestE8_Operations: what the command line changes is written down, with who did it.
func TestE8_Operations(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--queue", "mail")
	s.ok("queues")
	if out := s.ok("operations", "--json"); out != "[]\n" {
		t.Errorf("before any change: %q", out)
	}
	s.ok("pause", "--queue", "mail")
	s.ok("jobs", "cancel", "1")
	var got []operator.Operation
	if err := json.Unmarshal([]byte(s.ok("operations", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Action != "cancel" || got[0].Target != `{"ids":[1]}` || got[1].Action != "control" || got[1].Queue != "mail" {
		t.Fatalf("got %+v", got)
	}
	for _, o := range got {
		if user, host, ok := strings.Cut(o.Who, "@"); !ok || user == "" || host == "" || o.Via != "cli" || o.Affected != 1 {
			t.Errorf("got %+v", o)
		}
	}
	if out := s.ok("operations"); strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "ID") || !strings.Contains(out, `{"ids":[1]}`) {
		t.Errorf("got\n%s", out)
	}
	if out := s.ok("operations", "--limit", "1", "--before", "2"); !strings.Contains(out, "control") || strings.Contains(out, "cancel") {
		t.Errorf("the next page is\n%s", out)
	}
	s.fails(2, []string{"0 is too small"}, "operations", "--limit", "0")
	s.fails(1, []string{"it must be between 1 and 1000"}, "operations", "--limit", "1001")
}
