package cli

import (
	"strings"
	"testing"
)

// What commands print cannot do anything to a terminal. Where there is none, the bytes are kept.
func TestOutputOfCommandsOnATerminal(t *testing.T) {
	t.Parallel()
	const command = `printf 'a\tb\033]0;title\007\033[31mred\r\302\233x\n'`
	for format, want := range map[string]string{
		"text": "job 1: a\tb" + `\x1b]0;title\a\x1b[31mred\r\u009bx` + "\n",
		"json": `"line":"a\tb\u001b]0;title\u0007\u001b[31mred\r\u009bx"`,
	} {
		s := migrated(t)
		s.ok("push", "a", "--count", "2")
		args := []string{"work", "--max-jobs", "1", "--log-format", format, "--memory", "0", "--exec", command}
		if shown, code := s.onTerminal(80, "", args...); code != 0 || !strings.Contains(shown, want) {
			t.Errorf("%s: exit code %d, shown is %q", format, code, shown)
		}
		if got := s.run(args...); format == "text" && !strings.Contains(got.stderr, "job 2: a\tb\x1b]0;title\a\x1b[31mred\r\u009bx\n") {
			t.Errorf("without a terminal: %q", got.stderr)
		}
	}
}
