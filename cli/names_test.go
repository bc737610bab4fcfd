package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestE8_Names: how long the jobs of each name run.
func TestE8_Names(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if out := s.ok("names", "--json"); out != "[]\n" {
		t.Errorf("before any run: %q", out)
	}
	s.ok("push", "send", "--queue", "mail/42")
	s.ok("push", "send", "--queue", "mail")
	s.ok("push", "export")
	s.ok("work", "--queue", "mail,mail/*,default", "--exec", "true", "--stop-when-empty")
	var got []operator.NameStats
	if err := json.Unmarshal([]byte(s.ok("names", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "send" || got[0].Queue != "mail" || got[0].Done != 2 || got[1].Name != "export" ||
		got[1].Run.P50 <= 0 {
		t.Fatalf("got %+v", got)
	}
	if out := s.ok("names", "--last", "30d"); strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "NAME") ||
		!strings.Contains(out, "send") {
		t.Errorf("got\n%s", out)
	}
	if out := s.ok("names", "--queue", "mail", "--limit", "1"); strings.Contains(out, "export") || !strings.Contains(out, "send") {
		t.Errorf("of a queue\n%s", out)
	}
	s.fails(2, []string{"31d is not between 1m and 30d"}, "names", "--last", "31d")
	s.fails(2, []string{"0 is too small"}, "names", "--limit", "0")
}

func TestSeconds(t *testing.T) {
	for want, s := range map[string]float64{
		"0s": 0, "1µs": 1e-6, "123µs": 123.4e-6, "1.23ms": 1.234e-3, "45.7ms": 45.67e-3, "9.88s": 9.876, "59.9s": 59.94, "1h1m1s": 3661.4,
	} {
		if got := seconds(s); got != want {
			t.Errorf("%v s: %s, want %s", s, got, want)
		}
	}
}
