package driver

import (
	"context"
	"encoding/json"
	"time"
)

// Outcomes of finished jobs.
const (
	Done      = "done"
	Discarded = "discarded" // its handler, or a callback, has said so
)

// Finished is a row of the table of finished jobs.
type Finished struct {
	Number     int64           `json:"number"` // of the row: the job that finished last has the greatest, nearly
	ID         int64           `json:"id"`     // that the job had in the table of jobs
	Queue      string          `json:"queue"`
	Name       string          `json:"name"` // of the handler, at most NameMost characters
	Priority   int16           `json:"priority"`
	Payload    json.RawMessage `json:"payload"`
	Attempts   int             `json:"attempts"`
	Outcome    string          `json:"outcome"`          // Done or Discarded
	Result     json.RawMessage `json:"result,omitempty"` // of its handler; empty: none
	Worker     string          `json:"worker"`           // its name
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  time.Time       `json:"started_at"` // of the last run
	FinishedAt time.Time       `json:"finished_at"`
	KeepUntil  time.Time       `json:"keep_until"` // when workers may delete the row
}

// Took is how long the last run lasted.
func (f Finished) Took() time.Duration { return max(f.FinishedAt.Sub(f.StartedAt), 0) }

// Keep says how a job is kept that a Settlement deletes.
type Keep struct {
	For     time.Duration // from now; more than 0
	Name    string        // of the handler, at most NameMost characters
	Outcome string        // Done or Discarded
	Result  []byte        // JSON in UTF-8; nil: none
	Worker  string
	Started time.Time // when its last run began, by the database's clock; zero: when it was reserved
}

// Progress is how far a job is, as its handler says.
type Progress struct {
	Fraction float64   `json:"fraction"` // from 0 to 1
	Text     string    `json:"text,omitempty"`
	At       time.Time `json:"at,omitzero"` // when it was written
}

// ProgressMost is how many characters the text of a Progress has at most, and ProgressKept how long it is kept.
const (
	ProgressMost = 200
	ProgressKept = 24 * time.Hour
)

// Ended is what is known of how a job ended. If all is zero, nothing is: it was not kept, or never existed.
type Ended struct {
	Waits    bool      // it has not ended: it waits or runs
	Finished *Finished // it is done, and was kept
	Failed   int64     // it has failed: the id of the failed job; 0: that is not known
	Error    string    // why it failed; empty: it has not, as far as is known
}

// Keeper is a Store that keeps finished jobs. It writes them as Settlement.Keep says, and Touch.Progress.
type Keeper interface {
	// Ended returns how a job ended. It is cheap to call again and again. A store that is bound to a transaction returns an error.
	Ended(ctx context.Context, id int64) (Ended, error)
}

// KeepOf returns how long a finished job of the queue is kept, by Exchanged.Keep: what was said about the queue, otherwise about the
// nearest level that has it, otherwise about all queues. 0: not at all.
func KeepOf(said map[string]time.Duration, queue string) time.Duration {
	if len(said) == 0 {
		return 0
	}
	if d, ok := said[queue]; ok {
		return d
	}
	for i := len(queue) - 1; i >= 0; i-- {
		if queue[i] == '/' {
			if d, ok := said[queue[:i+1]+"*"]; ok {
				return d
			}
		}
	}
	return said[""]
}
