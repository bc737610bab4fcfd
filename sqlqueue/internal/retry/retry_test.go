package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

var errDeadlock = errors.New("deadlock")

func always(error) bool { return true }

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := Do(t.Context(), always, func() error {
			if n++; n < 5 {
				return errDeadlock
			}
			return nil
		})
		if err != nil || n != 5 {
			t.Errorf("%d times, %v", n, err)
		}
		n = 0
		if err := Do(t.Context(), always, func() error { n++; return errDeadlock }); !errors.Is(err, errDeadlock) || n != tries {
			t.Errorf("%d times, %v", n, err)
		}
		n = 0
		err = Do(t.Context(), func(error) bool { return false }, func() error { n++; return errDeadlock })
		if !errors.Is(err, errDeadlock) || n != 1 {
			t.Errorf("%d times, %v", n, err)
		}
	})
}

// Who gives up is told that it did, and not only of the last deadlock.
func TestRetryUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := Do(ctx, always, func() error { cancel(); return errDeadlock })
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errDeadlock) {
			t.Errorf("got %v", err)
		}
	})
}
