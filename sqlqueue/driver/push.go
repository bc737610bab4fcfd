package driver

import "time"

// NewJob is a job to insert. Its values have been checked.
type NewJob struct {
	Queue     string
	Priority  int16
	Payload   []byte        // JSON in UTF-8
	Delay     time.Duration // from the database's now; not negative
	At        time.Time     // instead of Delay, if not zero
	UniqueKey string        // empty: none
}

// Pushed tells what became of a NewJob.
type Pushed struct {
	ID        int64 // the new job's, or that of the job that holds the unique key (0 if it ended meanwhile)
	Duplicate bool  // the unique key is held; nothing was inserted
}
