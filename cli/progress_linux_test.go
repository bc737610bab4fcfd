package cli

import (
	"fmt"
	"strings"
	"testing"
)

// slowToChange returns a shell in whose database each batch takes a while, so that there is something to tell of.
func slowToChange(t *testing.T) *shell {
	t.Helper()
	s := migrated(t)
	for _, event := range []string{"INSERT ON jobs WHEN new", "DELETE ON jobs WHEN old"} {
		s.exec(fmt.Sprintf(`CREATE TRIGGER slow_%s AFTER %s.id %% 500 = 0 BEGIN SELECT count(*) FROM (%s); END`,
			event[:6], event, fmt.Sprintf(slowQuery, 300_000)))
	}
	return s
}

// Long work tells on a terminal how far it is, in a line that is gone at the end, and nowhere else.
func TestProgress(t *testing.T) {
	t.Parallel()
	const jobs = "3000"
	s := slowToChange(t)
	shown, code := s.onTerminal(100, "", "push", "a", "--count", jobs, "--json")
	progress, rest, erased := cutLast(shown, "\r\x1b[K")
	if code != 0 || !erased || !strings.HasPrefix(rest, `{"ids":[1,2,`) || !strings.HasPrefix(progress, "\rpushed ") ||
		!strings.Contains(progress, " of "+jobs+" jobs, ") {
		t.Errorf("exit code %d, shown is %.300q", code, shown)
	}
	for text := range strings.SplitSeq(progress, "\r") {
		if n := len(strings.TrimSuffix(text, "\x1b[K")); n >= 100 {
			t.Errorf("a line of %d characters: %q", n, text)
		}
	}
	shown, code = s.onTerminal(100, "", "clear", "--yes")
	progress, rest, erased = cutLast(shown, "\r\x1b[K")
	if code != 0 || !erased || rest != "deleted "+jobs+" jobs\n" || !strings.HasPrefix(progress, "\rdeleted ") ||
		!strings.Contains(progress, "/s\x1b[K") {
		t.Errorf("exit code %d, shown is %.300q", code, shown)
	}
}

func TestNoProgressOnADumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	s := slowToChange(t)
	const jobs = "3000"
	s.ok("push", "a", "--count", jobs)
	if shown, _ := s.onTerminal(100, "", "clear", "--yes"); shown != "deleted "+jobs+" jobs\n" {
		t.Errorf("on a dumb terminal it shows %.300q", shown)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
