package sqlqueue

import (
	"errors"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Errors about the database. They are those of package driver.
var (
	// ErrNotMigrated: the tables are not there. From every operation.
	ErrNotMigrated = driver.ErrNotMigrated

	// ErrUnsupportedServer: the server is too old, or set up in a way that cannot work. From Check.
	ErrUnsupportedServer = driver.ErrUnsupportedServer

	// ErrOutcomeUnknown: the answer to a write never came, so it may or may not have happened. From Push and PushMany outside a
	// transaction, and from every other write on its own. Push again with a Unique key where a second job would hurt.
	ErrOutcomeUnknown = driver.ErrOutcomeUnknown

	// ErrReservationLost: the reservation is no longer the caller's; nothing was changed. From Hold and Delete.
	ErrReservationLost = driver.ErrReservationLost

	// ErrNoBatch: there is no batch of this id. From the methods of Batch.
	ErrNoBatch = driver.ErrNoBatch

	// ErrBatchEnded: the batch has finished, was cancelled, or, for Seal, was sealed before. Nothing was changed. From Batch.Push and Seal.
	ErrBatchEnded = driver.ErrBatchEnded
)

// ErrNoKey means that data is encrypted with a key that the program does not have. From Edit and Reencrypt of package operator, and in
// Result.Err of a job that a worker has put back for that reason.
var ErrNoKey = errors.New("the key is not there")

// SchemaError says that the tables are of a version that this program does not work with. From Check.
type SchemaError = driver.SchemaError

// RefusedError says that the database answers and refuses the statement for good: a permission that is missing, a read-only database, a
// table that was changed. From every operation.
type RefusedError = driver.RefusedError

// DuplicateError says that pushes were not made because jobs with their unique keys are there already. Pushes of the same call that it
// does not name were made. From Push and PushMany, and from Edit and Retry of package operator.
type DuplicateError = driver.DuplicateError

// Duplicate is one unique key that was taken.
type Duplicate = driver.Duplicate

// wrap gives a store's error the name of the operation.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlqueue: %s: %w", operation, err)
}
