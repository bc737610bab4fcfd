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
	// Worker's row is inserted, or its SeenAt set to now.
	Worker Worker

	// Leave deletes the row instead.
	Leave bool

	// Unseen deletes the rows of the workers that were not seen for so long; 0: none.
	Unseen time.Duration

	// Counts are inserted.
	Counts []Count

	// OldCounts deletes the counts of minutes so long ago, a thousand at a time; 0: none.
	OldCounts time.Duration
}
