package worker

import (
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Backoff says how long a job waits after its run with the given number, which counts from 1, has ended with an error. Less than zero
// is zero. It is called from several goroutines at once.
type Backoff func(attempt int) time.Duration

// FixedBackoff always waits for d.
func FixedBackoff(d time.Duration) Backoff {
	return func(int) time.Duration { return d }
}

// ListBackoff waits for the first, second, … of waits; the last repeats. Without any it does not wait.
func ListBackoff(waits ...time.Duration) Backoff { return sqlqueue.Backoff(waits).After }

// ExponentialBackoff waits for about first, then each time for about twice as long, at most about most. "About" is a quarter more or
// less, by chance, so that jobs that failed together do not come back together.
func ExponentialBackoff(first, most time.Duration) Backoff {
	most = min(most, maxDelay)
	return func(attempt int) time.Duration {
		wait := min(first, most)
		for n := 1; n < attempt && 0 < wait && wait < most; n++ {
			wait = min(2*wait, most)
		}
		return jitter(wait)
	}
}

// jitter returns a wait between three and five quarters of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/4 + rand.N(d/2+1)
}
