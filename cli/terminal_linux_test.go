package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal runs a command on a terminal of so many characters to a line, and returns what a person sees who types an answer.
func (s *shell) onTerminal(columns uint16, typed string, args ...string) (shown string, code int) {
	s.t.Helper()
	person, terminal := openTerminal(s.t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns}); err != nil {
		s.t.Fatal(err)
	}
	var seen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = seen.ReadFrom(person) // ends with an error when the terminal is closed
	}()
	if _, err := person.WriteString(typed); err != nil {
		s.t.Fatal(err)
	}
	root := Command(Options{DSN: s.dsn})
	root.SetIn(terminal)
	root.SetErr(terminal)
	root.SetOut(terminal)
	code = execute(s.t.Context(), root, args)
	if err := terminal.Close(); err != nil {
		s.t.Fatal(err)
	}
	<-read
	return strings.ReplaceAll(seen.String(), "\r\n", "\n"), code
}

// startOnTerminal starts a command in a process of its own whose three streams are a terminal. What it shows is taken for standard error.
func (s *shell) startOnTerminal(args ...string) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	person, terminal := openTerminal(s.t)
	p := &process{t: s.t, cmd: exec.CommandContext(s.t.Context(), self, args...), stderr: &watched{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asProgram+"="+stock, "SQLQUEUE_DSN="+s.dsn)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if err := terminal.Close(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(p.stderr, person) // ends with an error when the process does
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// openTerminal returns a terminal that does not show what is typed, and what a person types into it and sees of it.
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
	settings, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	settings.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, settings); err != nil {
		t.Fatal(err)
	}
	return person, terminal
}
