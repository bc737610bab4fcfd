package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	// storePatience is how long a store may take to return when the time of its call is over. Then the loop goes on without it.
	storePatience = time.Second

	// mostHanging is how many calls may hang in the store at once: no more are made then.
	mostHanging = 4
)

// errStoreHangs: a call of the store has not returned though its context has ended, or too many have not.
var errStoreHangs = errors.New("the store does not return though the time of its call is over")

// storeCalls are the calls of a store that have not returned in their time. The zero value is ready.
type storeCalls struct{ hanging atomic.Int32 }

// bounded calls the store with a context that ends after so much time. It returns at most storePatience later, even when the store does
// not. A panic of the store is an error.
func bounded[T any](
	ctx context.Context, calls *storeCalls, most time.Duration, f func(ctx context.Context) (T, error),
) (none T, err error) {
	if n := calls.hanging.Load(); n >= mostHanging {
		return none, fmt.Errorf("%w: %d calls hang", errStoreHangs, n)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	c := begin(func() (T, error) {
		defer cancel()
		return f(ctx)
	})
	select {
	case <-c.done:
	case <-ctx.Done():
		if !c.within(storePatience) {
			calls.hanging.Add(1)
			go func() {
				<-c.done
				calls.hanging.Add(-1)
			}()
			return none, fmt.Errorf("%w: %w: %w", sqlqueue.ErrOutcomeUnknown, errStoreHangs, context.Cause(ctx))
		}
	}
	var panicked *PanicError
	if errors.As(c.err, &panicked) {
		return none, fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, c.err)
	}
	return c.value, c.err
}
