package driver_test

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// counted is a store that counts what is pushed into another.
type counted struct {
	driver.Store
	jobs int
}

func (c *counted) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	c.jobs += len(jobs)
	return c.Store.Push(ctx, jobs)
}

// logged is a store that wraps another.
type logged struct{ driver.Store }

// Unwrap lets the package of the database find its own store.
func (l *logged) Unwrap() driver.Store { return l.Store }

// A store that wraps another is still found as what it is.
func ExampleAs() {
	inner := &counted{jobs: 3}
	found, ok := driver.As[*counted](&logged{inner})
	fmt.Println(found.jobs, ok)
	// Output: 3 true
}
