package cli

import (
	"strings"
	"testing"
	"time"
)

func TestPushUniqueModes(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	push := func(data string, args ...string) string {
		t.Helper()
		return strings.TrimSpace(s.ok(append([]string{"push", "a", data, "--unique-by", "id"}, args...)...))
	}
	if first, second := push(`{"id":1,"n":1}`, "--replace", "--delay", "1h"), push(`{"n":2,"id":1}`, "--replace"); first != "1" ||
		second != "1" {
		t.Errorf("ids %s and %s, want 1 and 1", first, second)
	}
	if other := push(`{"id":2}`, "--debounce", "1h", "--max", "2h"); other != "2" {
		t.Errorf("id %s, want 2", other)
	}
	jobs := s.jobs()
	for _, j := range jobs {
		switch until := time.Until(j.AvailableAt); {
		case len(jobs) != 2, len(j.UniqueKey) != 64:
			t.Errorf("jobs %+v", jobs)
		case j.ID == 1 && (until > 0 || string(j.Payload) != `{"job":"a","data":{"n":2,"id":1}}`), j.ID == 2 && until < time.Minute:
			t.Errorf("job %+v", j)
		}
	}
	for range 2 { // the second is a duplicate, and told so
		if got := s.run("push", "a", "--unique", "k", "--once", "1h", "--until", "started", "--json"); got.code != 0 ||
			!strings.Contains(got.stdout, `"id": 3`) &&
				!strings.Contains(got.stdout, `"id":3`) {
			t.Errorf("got %+v", got)
		}
	}
}

func TestPushUniqueUsage(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for want, args := range map[string][]string{
		"--replace needs a key":               {"--replace"},
		"--once needs a key":                  {"--once", "1h"},
		"--unique or --unique-by, not both":   {"--unique", "k", "--unique-by", "id"},
		`--until is "never": use done or`:     {"--unique", "k", "--until", "never"},
		"--max bounds the wait of --debounce": {"--unique", "k", "--max", "1m"},
		"leave out --delay and --at":          {"--unique", "k", "--debounce", "1s", "--delay", "1m"},
		"--once, or --replace or --debounce":  {"--unique", "k", "--debounce", "1s", "--once", "1m"},
		"--count 2 with --unique":             {"--unique-by", "id", "--count", "2"},
	} {
		s.fails(2, []string{want}, append([]string{"push", "a"}, args...)...)
	}
}
