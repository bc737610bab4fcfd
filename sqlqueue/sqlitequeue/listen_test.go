package sqlitequeue

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Idle workers write their rows, which must not wake all the others.
func TestOnlyPushesAreHeard(t *testing.T) {
	for journal, prefix := range map[string]string{"WAL": "", "DELETE": "p_"} {
		path := migratedFile(t, journal, prefix)
		listens := must(New(openPath(t, path, journal), sqlqueue.Config{Prefix: prefix}))(t)
		other := must(New(openPath(t, path, journal), sqlqueue.Config{Prefix: prefix}))(t)
		ctx, cancel := context.WithCancel(t.Context())
		var heard atomic.Int64
		ended := make(chan error, 1)
		go func() { ended <- listens.Listen(ctx, []string{"default"}, func() { heard.Add(1) }) }()
		hears := func(n int64) {
			t.Helper()
			deadline := time.Now().Add(time.Minute)
			for ; heard.Load() < n; time.Sleep(time.Millisecond) { //nolint:forbidigo // a condition is waited for
				if time.Now().After(deadline) || len(ended) > 0 {
					t.Fatalf("it has heard %d times, want %d, and has ended: %d", heard.Load(), n, len(ended))
				}
			}
		}
		hears(1)
		for n := range int64(5) {
			for range 20 {
				if err := other.Beat(ctx, driver.Beat{
					Worker: driver.Worker{ID: "w", Queues: []string{"default"}, Concurrency: 1},
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := other.Push(ctx, sqlqueue.Named("job", nil)); err != nil {
				t.Fatal(err)
			}
			hears(n + 2)
		}
		if n := heard.Load(); n != 6 {
			t.Errorf("it has heard %d times, of 5 pushes", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	}
}
