package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"

	"github.com/sqlqueue/sqlqueue/worker"
)

// Exit codes of the program.
const (
	exitDone   = 0
	exitError  = 1
	exitUsage  = 2
	exitAlert  = 2  // monitor
	exitMemory = 12 // a memory limit was reached
)

// codedError is an error with an exit code of its own.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// usagef is an error about what was typed.
func usagef(format string, a ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, a...)}
}

// ExitCode returns the exit code that goes with what a command of [Command] returned: 0 for nil, 2 for a mistake in what was typed,
// 12 for a memory limit that was reached, 1 for any other error.
func ExitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, worker.ErrMemory):
		return exitMemory
	}
	return exitError
}

// oneLine makes an error fit for one line of a terminal.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "sqlqueue: ") // the library's own; the program's name stands before it anyway
	var lines []string
	for line := range strings.Lines(text) {
		if line = term.Printable(strings.TrimSpace(line)); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":;", ":")
}
