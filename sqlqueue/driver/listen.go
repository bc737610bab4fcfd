package driver

import "context"

// Listener is a Store that is notified of jobs that other processes push. Without it a worker polls.
type Listener interface {
	// Listen calls heard once when it starts listening, and then whenever jobs may have become available in one of the queues: soon after
	// the push was committed, perhaps once for many pushes, and perhaps without need. Heard returns at once, and may be called by any
	// goroutine.
	//
	// Listen returns when ctx has ended, or when it can no longer listen; the error says why. If it would take the only connection of a
	// pool, it returns errors.ErrUnsupported instead.
	Listen(ctx context.Context, queues []string, heard func()) error
}

// SingleWriter is a Store whose database has one writer at a time. A Queue then sends concurrent pushes together, instead of letting them
// wait for each other.
type SingleWriter interface {
	SingleWriter()
}
