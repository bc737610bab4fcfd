package driver

import "context"

// SchemaVersion is the version of the tables that the stores work with.
const SchemaVersion = 1

// Store is what a database does for a Queue. It decides nothing: what to reserve, when to expire and how a job ends is said by the
// caller, and each method does it in one transaction, for many jobs at a time.
//
// All methods are safe for concurrent use, except on a store that is bound to a transaction, which is as safe as the transaction. A
// method returns when the database has answered or ctx has ended. Slices belong to the caller before and after the call.
//
// Times are compared by the database's clock. Errors are the driver's own, except where a method names one. A transaction that is
// the store's own is repeated by the store after a deadlock or a serialization failure; one that is the caller's never is. When a
// write of its own may or may not have been committed, a store returns an error that wraps ErrOutcomeUnknown. When the tables are
// missing, the error wraps ErrNotMigrated.
//
// A store may be a Listener too. Package storetest has the suite that a store must pass.
type Store interface {
	// Check reports whether the store can work on this database: nil, ErrNotMigrated, a *SchemaError, or an error that wraps
	// ErrUnsupportedServer and says what would be supported. Any other error means that it could not find out.
	Check(ctx context.Context) error

	// Push inserts jobs, all or none, and answers one Pushed for each, in their order. A job whose unique key is held by another job
	// of its queue is left out, which is not an error.
	Push(ctx context.Context, jobs []NewJob) ([]Pushed, error)

	// Exchange is a worker's conversation: in this order it settles, touches, gives back what abandoned exchanges reserved, requeues and
	// reserves, in one transaction at READ COMMITTED, and no statement waits for a row that another
	// transaction has locked. Either all of it happened or, when it returns an error, nothing (but see ErrOutcomeUnknown).
	//
	// On a store that is bound to a transaction only Settle is allowed.
	Exchange(ctx context.Context, x Exchange) (Exchanged, error)

	// Beat writes what a worker tells of itself, in a small transaction that waits for no row that another transaction has locked: what is
	// locked is left for the next Beat.
	Beat(ctx context.Context, b Beat) error

	// Hold locks the reservation's row until the end of the transaction that the store is bound to, waiting for the lock, and returns
	// ErrReservationLost if the reservation is no longer there. A database without locks on rows locks as a whole.
	Hold(ctx context.Context, r Reservation) error
}

// As finds the store of type S that s is, or that it wraps: a Store that wraps another has a method Unwrap() Store. It is for the
// packages of databases, which bind their own stores to transactions.
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
