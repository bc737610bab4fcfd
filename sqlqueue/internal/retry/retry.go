// Package retry repeats transactions that the database has rolled back.
package retry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	tries = 20
	first = 2 * time.Millisecond
	most  = 100 * time.Millisecond
)

// Do calls f until it succeeds, fails with an error that is not transient, has been tried 20 times, or ctx ends; it returns f's last error,
// with the reason if ctx has ended. Between tries it waits, with jitter, longer each time. f must have rolled back when it returns an
// error.
func Do(ctx context.Context, transient func(error) bool, f func() error) error {
	wait := first
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == tries || !transient(err) {
			return err
		}
		timer := time.NewTimer(rand.N(wait) + wait/2)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-timer.C:
		}
		wait = min(2*wait, most)
	}
}
