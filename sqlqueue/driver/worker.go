package driver

import "time"

// Worker is a row of the table of workers.
type Worker struct {
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	Host              string    `json:"host"`
	PID               int       `json:"pid"`
	Queues            []string  `json:"queues"`
	Concurrency       int       `json:"concurrency"`
	WantedConcurrency int       `json:"wanted_concurrency,omitzero"`
	StartedAt         time.Time `json:"started_at,omitzero"`
	SeenAt            time.Time `json:"seen_at,omitzero"`
}

// Count is what happened in a queue in one minute.
type Count struct {
	Minute   time.Time `json:"minute"` // its start, by the database's clock
	Queue    string    `json:"queue"`
	Pushed   int64     `json:"pushed"`   // jobs that were pushed in this minute
	Done     int64     `json:"done"`     // jobs that ended well, or were discarded
	Failed   int64     `json:"failed"`   // jobs that failed for good
	Released int64     `json:"released"` // runs that ended with an error or a release, and whose jobs run again
}

// Control is what operators have said about a queue, or under the empty name about all queues.
type Control struct {
	Queue       string         `json:"queue"`
	Paused      bool           `json:"paused"`                // and PausedUntil, if set, has not passed
	PausedUntil time.Time      `json:"paused_until,omitzero"` // zero: until resumed
	Restarts    int64          `json:"restarts"`
	Maintenance bool           `json:"maintenance"`
	Expire      *time.Duration `json:"-"` // nil: each worker's own; 0: never
}

// CountsKept is how long counts are kept: workers delete what is older.
const CountsKept = 48 * time.Hour

// Beat is what a worker tells of itself: before its first exchange, then every few seconds, and when it ends.
type Beat struct {
	// Worker is written into the table of workers, with SeenAt as the time now; StartedAt is that of the first Beat. The WantedConcurrency
	// there stays.
	Worker Worker

	// Leave deletes the worker's row instead.
	Leave bool

	// Unseen is for how long a worker must not have been seen for its row to be deleted. 0: no row is deleted.
	Unseen time.Duration

	// Counts are added to what workers have counted.
	Counts []Count

	// OldCounts is how long ago a minute must be for its counts to be deleted, at most a thousand rows by one Beat. 0: none are.
	OldCounts time.Duration
}
