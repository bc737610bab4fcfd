package driver

import (
	"errors"
	"fmt"
	"strings"
)

// Errors about the database.
var (
	// ErrNotMigrated: the tables do not exist. From every operation.
	ErrNotMigrated = errors.New("sqlqueue's tables are missing: run sqlqueue migrate up")

	// ErrUnsupportedServer: the server is too old, or has a setting with which sqlqueue cannot work. From Check.
	ErrUnsupportedServer = errors.New("the server is not supported")

	// ErrOutcomeUnknown: the answer to a write never came, so it may or may not have happened. From Push and PushMany outside a
	// transaction, and from every other write on its own. Push again with a Unique key where a second job would hurt.
	ErrOutcomeUnknown = errors.New("the database's answer never came: the outcome is unknown")

	// ErrReservationLost: the reservation is no longer the caller's; nothing was changed. From Hold and Delete.
	ErrReservationLost = errors.New("reservation lost")

	// ErrNoBatch: there is no batch of this id.
	ErrNoBatch = errors.New("there is no such batch")

	// ErrBatchEnded: the batch has finished, was cancelled, or, for Seal, was sealed before. Nothing was changed.
	ErrBatchEnded = errors.New("the batch has ended, or is sealed already")
)

// SchemaError says that the tables are of a version that this program does not work with. From Check.
type SchemaError struct {
	Have, Need int64
}

func (e *SchemaError) Error() string {
	if e.Have > e.Need {
		return fmt.Sprintf("the tables are of version %d, this program knows version %d: use a newer sqlqueue", e.Have, e.Need)
	}
	return fmt.Sprintf("the tables are of version %d, this program needs version %d: run sqlqueue migrate up", e.Have, e.Need)
}

// RefusedError says that the database answers and refuses the statement for good, so that trying again without a change cannot help: a
// permission that is missing, a read-only database, a table that was changed. From every operation.
type RefusedError struct {
	Err  error  // what the database said
	Cure string // what to do about it
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%v: %s", e.Err, e.Cure) }

// Unwrap returns what the database said.
func (e *RefusedError) Unwrap() error { return e.Err }

// DuplicateError says that pushes were not made because other jobs hold their unique keys. The other pushes of the same call were made.
// From Push, PushMany, Edit and Retry.
type DuplicateError struct {
	Duplicates []Duplicate
}

// Duplicate is one unique key that was taken.
type Duplicate struct {
	Queue  string
	Key    string
	Holder int64 // the id of the job that has the key; 0 when it ended meanwhile
	Failed int64 // Retry: the id of the failed job that stays for it
}

func (e *DuplicateError) Error() string {
	const most = 3
	var says []string
	for _, d := range e.Duplicates[:min(most, len(e.Duplicates))] {
		says = append(says, fmt.Sprintf("unique key %q of queue %q is held by job %d", d.Key, d.Queue, d.Holder))
	}
	if more := len(e.Duplicates) - most; more > 0 {
		says = append(says, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(says, "; ")
}
