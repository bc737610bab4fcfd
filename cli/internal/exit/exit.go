// Package exit has the exit codes of the program, and the errors that have one.
package exit

import (
	"errors"
	"fmt"

	"github.com/sqlqueue/sqlqueue/worker"
)

// Exit codes of the program.
const (
	Done    = 0
	Failure = 1
	Usage   = 2
	Alert   = 2  // monitor
	Memory  = 12 // a memory limit was reached
)

// codedError is an error with an exit code of its own.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// With gives an error an exit code of its own.
func With(code int, err error) error { return &codedError{code, err} }

// Usagef is an error about what was typed.
func Usagef(format string, a ...any) error {
	return &codedError{Usage, fmt.Errorf(format, a...)}
}

// Code returns the exit code that goes with an error: see cli.ExitCode.
func Code(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, worker.ErrMemory):
		return Memory
	}
	return Failure
}
