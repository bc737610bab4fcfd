package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// On a terminal it shows how far it is, and its sentences are as wide as the terminal.
func TestBenchOnATerminal(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	person, terminal := openTerminal(t)
	const width = 60
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(person); lines.Scan() && strings.TrimSpace(lines.Text()) != "END"; {
			shown.WriteString(lines.Text() + "\n")
		}
	}()
	root := Command(Options{DSN: s.dsn})
	root.SetIn(os.Stdin)
	root.SetErr(terminal)
	root.SetOut(terminal)
	code := execute(t.Context(), root, []string{"bench", "--jobs", "50"})
	if _, err := fmt.Fprint(terminal, "\nEND\n"); err != nil {
		t.Fatal(err)
	}
	<-read
	_, result, _ := strings.Cut(shown.String(), "MEASURED")
	if code != 0 || !strings.Contains(shown.String(), "\rmeasuring latency: ") || !strings.Contains(result, "\n  ") {
		t.Errorf("exit code %d, shown is %q", code, &shown)
	}
	for line := range strings.Lines("MEASURED" + result) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > width {
			t.Errorf("a line of %d characters: %q", n, line)
		}
	}
}
