package driver

import (
	"context"
	"time"
)

// Throttler is a Store that can pause a queue for a time.
type Throttler interface {
	// Throttle pauses a queue for a time, from now by the database's clock. It does not change a pause that ends later, or lasts until it
	// is resumed. An operator can end it like any other pause.
	Throttle(ctx context.Context, queue string, d time.Duration) error
}
