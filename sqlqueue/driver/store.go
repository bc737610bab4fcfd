package driver

import "context"

// SchemaVersion is the version of the tables that the stores work with.
const SchemaVersion = 8

// Store keeps the jobs of a Queue in a database. It decides nothing: the caller says which jobs to reserve, when a reservation expires and
// how a job ends. Each method works on many jobs at once, in one transaction.
//
// Methods are safe for concurrent use, except on a store that is bound to a transaction, which is as safe as the transaction. A method
// returns when the database has answered or ctx has ended. Slices are the caller's, before and after the call. Times are compared by the
// database's clock.
//
// Errors are the driver's own, except where a method names one. A store repeats its own transactions after a deadlock or a serialization
// failure, and never the caller's. If a write of its own may or may not have been committed, the error wraps ErrOutcomeUnknown. If the
// tables are missing, the error wraps ErrNotMigrated; if the database refuses for good, it is a *RefusedError.
type Store interface {
	// Check reports whether the store can work on this database: nil, ErrNotMigrated, a *SchemaError, or an error that wraps
	// ErrUnsupportedServer and says what would be supported. Any other error means that it could not find out.
	Check(ctx context.Context) error

	// Push inserts all jobs or, on an error, nothing, and returns a Pushed for each, in their order. A job whose unique key is held by
	// another job of its queue is left out, which is not an error.
	Push(ctx context.Context, jobs []NewJob) ([]Pushed, error)

	// Exchange settles, touches, gives back the jobs of abandoned exchanges, requeues, and reserves, in this order and in one transaction
	// at READ COMMITTED. No statement waits for a row that another transaction has locked. If it returns an error, nothing has happened
	// (but see ErrOutcomeUnknown).
	//
	// A store that is bound to a transaction only settles. If more is asked, it returns an error.
	Exchange(ctx context.Context, x Exchange) (Exchanged, error)

	// Beat writes a worker's row and its counts, in a small transaction. It skips a row that another transaction has locked, until the next
	// Beat.
	Beat(ctx context.Context, b Beat) error

	// Hold locks the row of a reservation until the end of the transaction that the store is bound to. It waits for the lock, and returns
	// ErrReservationLost if the reservation no longer exists. A database without row locks is locked as a whole.
	Hold(ctx context.Context, r Reservation) error
}

// As returns the store of type S that s is or wraps. A Store that wraps another has a method Unwrap() Store. The packages of databases use
// it to find their own store when they bind it to a transaction.
func As[S Store](s Store) (S, bool) {
	for {
		if found, ok := s.(S); ok {
			return found, true
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			var none S
			return none, false
		}
		s = wrapper.Unwrap()
	}
}
