package worker_test

import (
	"context"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// A store leaves out what it has looked at of late, and says so: each job pushes the next for a time that has passed, where only a look at
// everything finds it.
func TestD2_AChainOfPushesWithAPastTimeRunsWhole(t *testing.T) {
	for name, config := range map[string]worker.Config{"stop when empty": {StopWhenEmpty: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
					if x.Limit > 0 && !x.Everything {
						x.Limit = 0 // it has looked elsewhere
					}
					return nil
				}, func(x driver.Exchange, answer *driver.Exchanged) error {
					answer.Everything = x.Everything
					return nil
				})
				ran := 0
				b.handle(func(context.Context, *raw) error {
					if ran++; ran < 20 {
						b.push()
					}
					return nil
				})
				b.push()
				if err := b.start(config).ended(); err != nil {
					t.Fatalf("Run: %v", err)
				}
				if ran != 20 {
					t.Errorf("%d of 20 ran", ran)
				}
			})
		})
	}
}
