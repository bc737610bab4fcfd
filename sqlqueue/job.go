package sqlqueue

import (
	"encoding/json"
	"time"
)

// Job is a row of the table of jobs.
type Job struct {
	ID          int64           `json:"id"`
	Queue       string          `json:"queue"`
	Priority    int16           `json:"priority"`
	Payload     json.RawMessage `json:"payload"`
	Attempts    int             `json:"attempts"`
	Exceptions  int             `json:"exceptions"` // runs that ended with an error
	Reserved    bool            `json:"reserved"`
	ReservedAt  time.Time       `json:"reserved_at,omitzero"`
	ReservedBy  string          `json:"reserved_by,omitempty"`
	ExpiresAt   time.Time       `json:"expires_at,omitzero"` // zero: not reserved, or never
	Started     bool            `json:"started"`             // Touch.Start was told, in this reservation or in one that expired since
	AvailableAt time.Time       `json:"available_at"`
	CreatedAt   time.Time       `json:"created_at"`
	UniqueKey   string          `json:"unique_key,omitempty"`
}

// Reservation returns the name of the job's reservation, for Hold and Delete.
func (j Job) Reservation() Reservation { return Reservation{ID: j.ID, By: j.ReservedBy} }

// Reservation returns r itself, so that Hold and Delete take it too.
func (r Reservation) Reservation() Reservation { return r }

// State is where a job stands.
type State string

// The states.
const (
	Ready    State = "ready"    // not reserved, available
	Delayed  State = "delayed"  // not reserved, available later
	Reserved State = "reserved" // a worker has it
)

// JobFilter selects jobs. Conditions left at their zero value do not restrict.
type JobFilter struct {
	IDs           []int64 // at most 1,000
	Queue         string
	State         State
	NotReserved   bool
	Name          string    // the handler's name in the payload
	CreatedAfter  time.Time // inclusive
	CreatedBefore time.Time // exclusive
	After         int64     // only ids greater than this: the last id of the page before
	Limit         int       // default 100, at most 1,000
}

// JobChange is what ChangeJobs does. Fields left nil stay as they are.
type JobChange struct {
	Delete  bool // the rest is ignored
	Release bool // the reservation ends, the job is available now; other fields are ignored

	Queue    *string
	Priority *int16
	At       *time.Time
	Payload  []byte
}

// FailedJob is a row of the table of failed jobs.
type FailedJob struct {
	ID        int64           `json:"id"`
	JobID     int64           `json:"job_id"` // the id that it had as a job
	Queue     string          `json:"queue"`
	Priority  int16           `json:"priority"`
	Payload   json.RawMessage `json:"payload"`
	Attempts  int             `json:"attempts"`
	UniqueKey string          `json:"unique_key,omitempty"`
	Error     string          `json:"error"`
	Stack     string          `json:"stack"`
	CreatedAt time.Time       `json:"created_at"`
	FailedAt  time.Time       `json:"failed_at"`
}

// FailedFilter selects failed jobs. Conditions left at their zero value do not restrict.
type FailedFilter struct {
	IDs       []int64 // ids of failed jobs, not the ids that they had as jobs; at most 1,000
	Queue     string
	Name      string        // the handler's name in the payload
	OlderThan time.Duration // failed at least so long ago
	Before    int64         // only ids smaller than this: the last id of the page before
	Limit     int           // default 100, at most 1,000
}

// FailedChange is what ChangeFailed does.
type FailedChange int

// The changes.
const (
	RetryFailed  FailedChange = iota + 1 // back to the jobs: with a new id, no attempts, available now
	ForgetFailed                         // deleted
)

// QueueInfo is what a queue holds.
type QueueInfo struct {
	Queue    string    `json:"queue"`
	Ready    int64     `json:"ready"`
	Delayed  int64     `json:"delayed"`
	Reserved int64     `json:"reserved"`
	Failed   int64     `json:"failed"`
	Oldest   time.Time `json:"oldest,omitzero"` // since when the oldest ready job has been available; zero: none is ready
	Control  Control   `json:"control"`
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

// ControlChange is what an operator says. Fields left at their zero value leave things as they are.
type ControlChange struct {
	Pause    bool
	PauseFor time.Duration // with Pause: 0 until resumed
	Resume   bool

	Restart bool

	Maintenance *bool

	Expire      *time.Duration // 0: never
	ResetExpire bool           // back to each worker's own
}

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
