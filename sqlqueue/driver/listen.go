package driver

import "context"

// Listener is what a Store may be besides: one that hears of jobs that other processes push.
type Listener interface {
	// Listen calls heard for the first time when it begins to hear, and then each time when jobs may have become available in one of the
	// queues: soon after the push was committed, perhaps once for many, and perhaps without need. Heard returns at once, and may be called
	// by any goroutine. Listen returns when ctx has ended, or when it hears no more; the error says why. It must not keep what others need:
	// where it would take a pool's only connection, it returns errors.ErrUnsupported.
	Listen(ctx context.Context, queues []string, heard func()) error
}

// SingleWriter is what a Store may be besides: one whose database makes one write wait for the other, so that of several pushes at once only
// one is under way, and the others may as well go together.
type SingleWriter interface {
	SingleWriter()
}
