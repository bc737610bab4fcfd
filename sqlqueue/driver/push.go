package driver

import "time"

// NewJob is a job to insert. Its values have been checked.
type NewJob struct {
	Queue     string
	Priority  int16
	Payload   []byte        // JSON in UTF-8
	Delay     time.Duration // until the job is available, from the database's now; not negative
	At        time.Time     // when the job is available, instead of Delay; zero: Delay counts
	UniqueKey string        // empty: no key, and the fields below do not count

	// UntilStarted: the job gives up its key when it is reserved, instead of when it is deleted or has failed.
	UntilStarted bool

	// Replace: if a job that waits holds the key, it gets this one's payload, priority and time, and UntilStarted; the push answers its id,
	// and it is no duplicate. If that job is due, and this one would be too, it stays due since when it was. A holder that is reserved
	// stays as it is, and makes this a duplicate. UntilStarted is also set.
	Replace bool

	// Debounce is Replace of a job with a Delay that never makes a job wait again that is due. Bound is how long after the holder was
	// created it is available at the latest; 0: no bound.
	Debounce bool
	Bound    time.Duration

	// Once is for how long from now the key is held even if the job ends earlier; 0: no longer than by the job. Not with Replace.
	Once time.Duration
}

// Pushed is the result of a NewJob.
type Pushed struct {
	ID        int64 // of the job; for a Duplicate, of the job that holds the unique key (0 if it has ended meanwhile)
	Duplicate bool  // another job holds the unique key, or held it within its Once; nothing was inserted
	Replaced  bool  // a waiting job with the unique key was changed, and nothing was inserted
}
