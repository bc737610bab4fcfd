package driver

import (
	"context"
	"time"
)

// Throttler is a Store that can let a queue rest.
type Throttler interface {
	// Throttle pauses a queue for a time, from now by the database's clock. A pause that ends later, or lasts until it is resumed, stays as
	// it is. An operator can end it like any other pause.
	Throttle(ctx context.Context, queue string, d time.Duration) error
}
