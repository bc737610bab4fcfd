package driver

import "time"

// NewJob is a job to insert. Its values have been checked.
type NewJob struct {
	Queue     string
	Priority  int16
	Payload   []byte        // JSON in UTF-8
	Delay     time.Duration // until the job is available, from the database's now; not negative
	At        time.Time     // when the job is available, instead of Delay; zero: Delay counts
	UniqueKey string        // empty: none
}

// Pushed is what became of a NewJob.
type Pushed struct {
	ID        int64 // of the new job, or of the job that holds the unique key (0 if that one has ended meanwhile)
	Duplicate bool  // another job holds the unique key, and nothing was inserted
}
