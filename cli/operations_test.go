package cli

import (
	"encoding/json"
	"fmt"
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
	s.ok("workers")
	s.ok("schedule", "set", "report", "make_report", `{"token": "a secret"}`, "--daily", "02:30")
	s.ok("schedule", "run", "report")
	s.ok("limit", "mail", "--running", "3")
	s.ok("batches", "create", "import")
	s.ok("batches", "push", "1", "row")
	s.ok("batches", "seal", "1")
	s.ok("batches", "cancel", "1")
	var first []operator.Operation
	if err := json.Unmarshal([]byte(s.ok("operations", "--json")), &first); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, o := range first {
		actions = append(actions, o.Action)
		if strings.Contains(o.Target, "secret") {
			t.Errorf("got %+v", o)
		}
	}
	const want = "cancel, cancel batch, seal batch, push, create batch, limit, run schedule, set schedule, push"
	if got := strings.Join(actions, ", "); got != want {
		t.Errorf("got %s", got)
	}
	s.ok("pause", "--queue", "mail")
	s.ok("jobs", "cancel", "1")
	var got []operator.Operation
	if err := json.Unmarshal([]byte(s.ok("operations", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) < 2 {
		t.Fatalf("got %+v", got)
	}
	got, last := got[:2], got[0].ID
	if got[0].Action != "cancel" || !strings.HasPrefix(got[0].Target, `{"ids":[1],"undo":"`) || got[1].Action != "control" ||
		got[1].Queue != "mail" {
		t.Fatalf("got %+v", got)
	}
	for _, o := range got {
		if user, host, ok := strings.Cut(o.Who, "@"); !ok || user == "" || host == "" || o.Via != "cli" || o.Affected != 1 {
			t.Errorf("got %+v", o)
		}
	}
	if out := s.ok("operations"); strings.Count(out, "\n") != len(first)+3 || !strings.HasPrefix(out, "ID") ||
		!strings.Contains(out, `{"ids":[1],"undo":`) {
		t.Errorf("got\n%s", out)
	}
	if out := s.ok("operations", "--limit", "1", "--before", fmt.Sprint(last)); !strings.Contains(out, "control") ||
		strings.Contains(out, "cancel") {
		t.Errorf("the next page is\n%s", out)
	}
	s.fails(2, []string{"0 is too small"}, "operations", "--limit", "0")
	s.fails(1, []string{"it must be between 1 and 1000"}, "operations", "--limit", "1001")
}
