//go:build !unix

package child

import "context"

// Pool runs jobs in processes of a program that calls Serve. It needs Unix.
type Pool struct {
	Settings

	Path string
	Args []string
	Jobs int
}

// CanServe says whether Pool works on this system.
const CanServe = false

// Call returns ErrNotStarted.
func (p *Pool) Call(context.Context, Job, []byte) ([]byte, error) { return nil, ErrNotStarted }

// Close does nothing.
func (p *Pool) Close() {}

// Serves reports whether this process is a Pool's child.
func Serves() bool { return false }

// Serve returns an error.
func Serve(context.Context, func(context.Context, []byte) []byte) error { return ErrNotStarted }
