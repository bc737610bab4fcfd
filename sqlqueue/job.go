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
	Name          string        // the handler's name in the payload
	Fields        []Field       // of the payload's data; each must be there
	OlderThan     time.Duration // pushed at least so long ago
	CreatedAfter  time.Time     // inclusive
	CreatedBefore time.Time     // exclusive
	After         int64         // only ids greater than this: the last id of the page before
	Until         int64         // only ids up to this: see Queue.Window
	Limit         int           // default 100, at most 1,000

	// PayloadMax cuts the payloads that Jobs returns to so many characters: what is left of a longer one is no JSON. 0: they are whole.
	PayloadMax int
}

// Field is a condition on the data of a job: the value at the path of keys of objects, as text, is Value. The text of a string is the
// string itself, that of a number, true, false or null its JSON; that of an object or an array is different from database to database.
type Field struct {
	Path  []string // at least one key, none empty
	Value string
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
	Error     string        // a part of the error; each * in it stands for any text
	OlderThan time.Duration // failed at least so long ago
	Before    int64         // only ids smaller than this: the last id of the page before
	Limit     int           // default 100, at most 1,000

	// TextMax cuts the payload, the error and the stack of what FailedJobs returns to so many characters each: what is left of a longer payload
	// is no JSON. 0: they are whole.
	TextMax int
}

// FailedChange is what ChangeFailed does.
type FailedChange int

// The changes.
const (
	RetryFailed  FailedChange = iota + 1 // back to the jobs: with a new id, no attempts, available now
	ForgetFailed                         // deleted
)

// FailedGroup is failed jobs of one queue and one name with like errors.
type FailedGroup struct {
	Queue string    `json:"queue"`
	Name  string    `json:"name"`
	Error string    `json:"error"` // its beginning, with a * for what differs: FailedFilter.Error takes it
	Count int64     `json:"count"`
	First time.Time `json:"first_failed_at"`
	Last  time.Time `json:"last_failed_at"`
	ID    int64     `json:"id"` // of the newest
}

// QueueInfo is what a queue holds. No number is greater than CountedTo, if that is not zero: one that is as great stands for so many
// or more.
type QueueInfo struct {
	Queue     string    `json:"queue"`
	Ready     int64     `json:"ready"`
	Delayed   int64     `json:"delayed"`
	Reserved  int64     `json:"reserved"`
	Failed    int64     `json:"failed"`
	Oldest    time.Time `json:"oldest,omitzero"` // since when the oldest ready job has been available; zero: none is ready
	CountedTo int64     `json:"counted_to,omitzero"`
	Control   Control   `json:"control"`
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

// Count is what happened in a queue in one minute.
type Count struct {
	Minute   time.Time `json:"minute"` // its start, by the database's clock
	Queue    string    `json:"queue"`
	Pushed   int64     `json:"pushed"`   // jobs that were pushed in this minute
	Done     int64     `json:"done"`     // jobs that ended well, or were discarded
	Failed   int64     `json:"failed"`   // jobs that failed for good
	Released int64     `json:"released"` // runs that ended with an error or a release, and whose jobs run again
}

// Counts is what happened in the queues.
type Counts struct {
	// Minutes are those in which something happened, by minute and queue.
	Minutes []Count

	// PushedSince is the time before which Pushed is too small, because more jobs wait than were looked at. Zero: it is right everywhere.
	PushedSince time.Time

	// Now is the database's clock.
	Now time.Time
}

// Subscription sends the jobs of a queue to a URL.
type Subscription struct {
	Name      string    `json:"name"` // of the subscription
	URL       string    `json:"url"`  // may have a password in it
	Queue     string    `json:"queue"`
	Secret    string    `json:"-"` // signs what is sent; empty: nothing is signed
	CreatedAt time.Time `json:"created_at,omitzero"`
}
