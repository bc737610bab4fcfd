package driver

import "time"

// Worker is a row of the table of workers.
type Worker struct {
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	Host              string    `json:"host"`
	PID               int       `json:"pid"`
	Queues            []string  `json:"queues"` // the first 65,000 bytes of their names
	Concurrency       int       `json:"concurrency"`
	WantedConcurrency int       `json:"wanted_concurrency,omitzero"`
	StartedAt         time.Time `json:"started_at,omitzero"`
	SeenAt            time.Time `json:"seen_at,omitzero"`
	Version           string    `json:"version"` // of its program; empty: not known
	Status            string    `json:"status"`  // running, paused or stopping; empty: a worker of an older program
	Busy              int       `json:"busy"`    // how many handlers it runs
	Memory            int64     `json:"memory"`  // bytes that its process has in use; 0: not known
	Running           []Running `json:"running"` // the oldest of its handlers, at most RunningMost
}

// WorkerSeen is how long ago a worker that runs can have written its row: see Exchanged.IdleWorkers.
const WorkerSeen = 20 * time.Second

// RunningMost and RunningBytes bound Worker.Running: the number of handlers, and of bytes as JSON.
const (
	RunningMost  = 50
	RunningBytes = 4096
)

// Running is a handler that a worker runs.
type Running struct {
	ID    int64     `json:"id"`   // of the job
	Name  string    `json:"name"` // of the handler
	Queue string    `json:"queue"`
	Since time.Time `json:"since"` // by the database's clock
}

// RunError is a failed run of a job. Its texts are valid UTF-8 without NUL.
type RunError struct {
	JobID   int64
	Queue   string
	Name    string // of the handler, at most NameMost characters
	Attempt int    // from 1
	Outcome string // released, failed, discarded, kept or lost
	Error   string // at most ErrorMost characters
	Stack   string // at most StackMost characters; empty: not known
	Took    time.Duration
	At      time.Time // when it ended, by the database's clock
}

// How many characters the texts of a RunError have at most.
const (
	NameMost  = 191
	ErrorMost = 1000
	StackMost = 8000
)

// ErrorsKept is how long errors of runs are kept, and ErrorsMost how many of the newest: workers delete the others.
const (
	ErrorsKept = 7 * 24 * time.Hour
	ErrorsMost = 200_000
)

// Count is what happened in a queue in one minute.
type Count struct {
	Minute   time.Time `json:"minute"` // its start, by the database's clock
	Queue    string    `json:"queue"`
	Pushed   int64     `json:"pushed"`   // jobs that were pushed in this minute
	Done     int64     `json:"done"`     // jobs that ended well, or were discarded
	Failed   int64     `json:"failed"`   // jobs that failed for good
	Released int64     `json:"released"` // runs that ended with an error or a release, and whose jobs run again
}

// Control is operators' control of a queue, or under the empty name of all queues.
type Control struct {
	Queue       string         `json:"queue"`
	Paused      bool           `json:"paused"`                // and PausedUntil, if set, has not passed
	PausedUntil time.Time      `json:"paused_until,omitzero"` // zero: until resumed
	Restarts    int64          `json:"restarts"`
	Maintenance bool           `json:"maintenance"`
	Expire      *time.Duration `json:"-"` // nil: each worker's own; 0: never
}

// CountsKept is how long counts are kept: workers delete older ones.
const CountsKept = 48 * time.Hour

// BatchesKept is how long a batch is kept after it was closed: workers delete older ones.
const BatchesKept = 30 * 24 * time.Hour

// Beat is a worker's report: before its first exchange, then every few seconds, and when it ends.
type Beat struct {
	// Worker is written into the table of workers. SeenAt becomes the time now, StartedAt stays that of the first Beat, and
	// WantedConcurrency is not changed.
	Worker Worker

	// Leave deletes the worker's row instead.
	Leave bool

	// Unseen is the time after which the row of a worker without a Beat is deleted. 0: no row is deleted. After its transaction, such a
	// Beat also deletes finished jobs whose time of keeping has passed, a thousand in a transaction, for two seconds at most.
	Unseen time.Duration

	// Counts are added to what workers have counted.
	Counts []Count

	// Names are added to what workers have counted by name.
	Names []*NameCount

	// OldCounts is the age from which counts are deleted, at most a thousand rows by one Beat. 0: nothing is deleted. A Beat also deletes
	// unique keys whose time has passed, pauses of Throttle that ended long ago, and batches that were closed BatchesKept ago.
	OldCounts time.Duration

	// Errors are added to the failed runs, under the worker's name.
	Errors []RunError

	// OldErrors is the age from which errors of runs are deleted, and MostErrors the number of newest errors that are kept: a Beat deletes
	// at most a thousand rows for each. 0: nothing is deleted.
	OldErrors  time.Duration
	MostErrors int64
}
