package dashboard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSharedIsReadOnceForAll counts what is read while many look, and while nobody does.
func TestSharedIsReadOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		var fails atomic.Bool
		s := &shared[int64]{fresh: 2 * time.Second, load: func(context.Context) (int64, error) {
			<-time.After(100 * time.Millisecond)
			if fails.Load() {
				return 0, errors.New("away")
			}
			return reads.Add(1), nil
		}}
		look := func(viewers int, wanted int64) {
			t.Helper()
			var all sync.WaitGroup
			for range viewers {
				all.Go(func() {
					if got, err := s.get(t.Context()); err != nil || got != wanted {
						t.Errorf("%d, %v, not %d", got, err, wanted)
					}
				})
			}
			all.Wait()
		}
		look(100, 1)
		look(100, 1)
		<-time.After(time.Hour) // nobody looks
		look(100, 2)
		s.spoil()
		look(100, 3)

		<-time.After(time.Minute)
		got := make(chan int64)
		go func() { n, _ := s.get(t.Context()); got <- n }()
		<-time.After(50 * time.Millisecond)
		s.spoil() // while it is read
		look(1, 5)
		if n := <-got; n != 4 {
			t.Errorf("%d, not 4", n)
		}
		look(1, 5)

		<-time.After(time.Minute)
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if _, err := s.get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up gets %v", err)
		}
		<-time.After(200 * time.Millisecond)
		look(1, 6) // what was begun for who gave up

		fails.Store(true)
		<-time.After(time.Minute)
		if _, err := s.get(t.Context()); err == nil {
			t.Error("no error")
		}
		begin := time.Now()
		if _, err := s.get(t.Context()); err == nil || time.Since(begin) > 0 {
			t.Errorf("%v after %v: an error is told at once for a while", err, time.Since(begin))
		}
		fails.Store(false)
		<-time.After(retryInterval)
		look(100, 7)
	})
}
