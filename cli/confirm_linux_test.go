package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What destroys asks when a person is at the terminal, and only then; --yes keeps it from asking.
func TestConfirm(t *testing.T) {
	for _, test := range []struct {
		args, answer string
		asks         bool
		left         int
	}{
		{"clear", "n\n", true, 1},
		{"clear", "\n", true, 1},
		{"clear", "y\n", true, 0},
		{"clear", "YES\n", true, 0},
		{"clear --yes", "", false, 0},
		{"jobs cancel 1", "", false, 0},
		{"flush", "n\n", true, 1},
		{"migrate down", "n\n", true, 1},
	} {
		t.Run(test.args+" "+strings.TrimSpace(test.answer), func(t *testing.T) {
			s := migrated(t)
			s.ok("push", "a")
			keyboard, terminal := openTerminal(t)
			if _, err := keyboard.WriteString(test.answer); err != nil {
				t.Fatal(err)
			}
			root := Command(Options{DSN: s.dsn})
			root.SetIn(terminal)
			root.SetErr(terminal)
			root.SetOut(&strings.Builder{})
			code := execute(t.Context(), root, strings.Fields(test.args))
			if _, err := fmt.Fprint(terminal, "\nEND\n"); err != nil {
				t.Fatal(err)
			}
			var shown string
			for lines := bufio.NewScanner(keyboard); lines.Scan() && strings.TrimSpace(lines.Text()) != "END"; {
				shown += lines.Text() + "\n"
			}
			if got := strings.Contains(shown, "Go on? [y/N]"); got != test.asks {
				t.Errorf("asks: %t, want %t: %q", got, test.asks, shown)
			}
			if refused := test.left > 0; refused != (code == 1) || refused != strings.Contains(shown, "nothing done") {
				t.Errorf("exit code %d: %q", code, shown)
			}
			if n := len(s.jobs()); n != test.left {
				t.Errorf("%d jobs are left, want %d", n, test.left)
			}
		})
	}
}

// openTerminal returns a terminal and what a person types into it and sees of it.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return person, terminal
}
