package driver

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
	ExpiresAt   time.Time       `json:"expires_at,omitzero"` // zero: the job is not reserved, or its reservation never expires
	Started     bool            `json:"started"`             // a Touch.Start said so, in this reservation or in one that has expired since
	AvailableAt time.Time       `json:"available_at"`
	CreatedAt   time.Time       `json:"created_at"`
	UniqueKey   string          `json:"unique_key,omitempty"`
}

// Reservation returns the name of the job's reservation, for Hold and Delete.
func (j Job) Reservation() Reservation { return Reservation{ID: j.ID, By: j.ReservedBy} }

// Reservation identifies one reservation of one job. It is never used again, because no two exchanges have the same number.
type Reservation struct {
	ID int64  // the job's
	By string // Exchange.Number of the exchange that reserved it
}

// Reservation returns r itself, so that Hold and Delete take it too.
func (r Reservation) Reservation() Reservation { return r }
