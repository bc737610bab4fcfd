package operator

import (
	"errors"
	"fmt"
)

// Errors about what the caller asked. Nothing was written.
var (
	// ErrNotFound: no job, or no failed job, has the id. From Job, Edit, Cancel, Release, FailedJob, Retry and Forget.
	ErrNotFound = errors.New("no such job")

	// ErrReserved: a worker has the job, so it cannot be changed or cancelled. From Edit and Cancel.
	ErrReserved = errors.New("a worker has reserved the job")

	// ErrNotReserved: no worker has the job, so there is nothing to release. From Release.
	ErrNotReserved = errors.New("no worker has reserved the job")

	// ErrNoSubscription: no subscription has the name. From Subscription and Unsubscribe.
	ErrNoSubscription = errors.New("no such subscription")

	// ErrNoSchedule: no schedule has the name. From the methods about one schedule.
	ErrNoSchedule = errors.New("no such schedule")

	// ErrNoWorker: no worker has the id. From SetConcurrency.
	ErrNoWorker = errors.New("no such worker")
)

// SubscribedError says that a queue has a subscription already. From Subscribe.
type SubscribedError struct {
	Queue string
	Name  string // of the subscription that it has
}

func (e *SubscribedError) Error() string {
	return fmt.Sprintf("queue %q has the subscription %q: a queue has one at most", e.Queue, e.Name)
}

// wrap gives a store's error the name of the operation.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlqueue: %s: %w", operation, err)
}
