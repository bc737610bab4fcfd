package sqlqueue

import (
	"context"
	"time"
)

// SchemaVersion is the version of the tables that this package's stores work with.
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

	// Exchange is a worker's conversation: in this order it writes the worker's row, settles, touches, gives back what abandoned
	// exchanges reserved, requeues and reserves, in one transaction at READ COMMITTED, and no statement waits for a row that another
	// transaction has locked. Either all of it happened or, when it returns an error, nothing (but see ErrOutcomeUnknown).
	//
	// On a store that is bound to a transaction only Settle is allowed.
	Exchange(ctx context.Context, x Exchange) (Exchanged, error)

	// Hold locks the reservation's row until the end of the transaction that the store is bound to, waiting for the lock, and returns
	// ErrReservationLost if the reservation is no longer there. A database without locks on rows locks as a whole.
	Hold(ctx context.Context, r Reservation) error

	// Jobs returns the jobs that pass the filter, by ascending id.
	Jobs(ctx context.Context, f JobFilter) ([]Job, error)

	// CountJobs counts the jobs that pass the filter, up to f.Limit.
	CountJobs(ctx context.Context, f JobFilter) (int, error)

	// Window returns the id of the nth job after an id, or of the last if there are fewer, or 0 if there are none.
	Window(ctx context.Context, after int64, n int) (int64, error)

	// ChangeJobs changes, releases or deletes the jobs that pass the filter, at most f.Limit, and returns their ids. It waits for row
	// locks. A change of queue that meets a unique key of another job returns a *DuplicateError and changes nothing.
	ChangeJobs(ctx context.Context, f JobFilter, c JobChange) ([]int64, error)

	// FailedJobs returns the failed jobs that pass the filter, by descending id.
	FailedJobs(ctx context.Context, f FailedFilter) ([]FailedJob, error)

	// FailedGroups groups the newest f.Limit of the failed jobs that pass the filter, in any order. Their errors are those of the table,
	// cut to at most 200 characters.
	FailedGroups(ctx context.Context, f FailedFilter) ([]FailedGroup, error)

	// ChangeFailed retries or forgets the failed jobs that pass the filter, at most f.Limit, and returns the ids that they had as failed
	// jobs, and what it left because another job has the unique key.
	ChangeFailed(ctx context.Context, f FailedFilter, c FailedChange) ([]int64, []Duplicate, error)

	// Queues counts the jobs of every queue that has jobs, failed jobs or a Control, and returns them by name; the Control for all
	// queues comes first, under the empty name. Each number is counted up to most; 0: however far it goes.
	Queues(ctx context.Context, most int64) ([]QueueInfo, error)

	// Counts adds up what Exchange.Counts has told of the minutes of the last since, the present one included. To Pushed it adds the
	// jobs that are in the table: the newest of them, at most most.
	Counts(ctx context.Context, since time.Duration, most int) (Counts, error)

	// Control writes what an operator says about a queue, or under the empty name about all.
	Control(ctx context.Context, queue string, c ControlChange) error

	// Workers returns the rows of the workers, by start.
	Workers(ctx context.Context) ([]Worker, error)

	// ChangeWorker writes the concurrency that is wanted of a worker, 0 for its own, and reports whether there is such a worker.
	ChangeWorker(ctx context.Context, id string, wanted int) (bool, error)

	// Subscriptions returns the subscriptions, by name.
	Subscriptions(ctx context.Context) ([]Subscription, error)

	// Subscribe writes a subscription in place of the one of its name, which keeps its CreatedAt. The error is a *SubscribedError if its
	// queue has a subscription of another name.
	Subscribe(ctx context.Context, s Subscription) error

	// Unsubscribe deletes a subscription, and reports whether it was there.
	Unsubscribe(ctx context.Context, name string) (bool, error)
}

// NewJob is a job to insert. Its values have been checked.
type NewJob struct {
	Queue     string
	Priority  int16
	Payload   []byte        // JSON in UTF-8
	Delay     time.Duration // from the database's now; not negative
	At        time.Time     // instead of Delay, if not zero
	UniqueKey string        // empty: none
}

// Pushed tells what became of a NewJob.
type Pushed struct {
	ID        int64 // the new job's, or that of the job that holds the unique key (0 if it ended meanwhile)
	Duplicate bool  // the unique key is held; nothing was inserted
}

// Reservation names one reservation of one job, for ever: its number is used once, by one exchange.
type Reservation struct {
	ID int64
	By string
}

// Exchange is what a worker tells and asks in one conversation. Its zero value does nothing.
type Exchange struct {
	// Worker is written (inserted, or its SeenAt set to now) if not nil; with Leave its row is deleted instead. Unseen deletes the rows of
	// the workers that were not seen for so long; 0: none.
	Worker *Worker
	Leave  bool
	Unseen time.Duration

	// Counts are inserted, for Store.Counts. OldCounts deletes those of minutes so long ago, some at a time; 0: none.
	Counts    []Count
	OldCounts time.Duration

	Settle []Settlement
	Touch  []Touch

	// Abandoned are the numbers of earlier exchanges whose answers never came. Whatever is reserved under them is given back: the
	// attempt is not spent, Started stays. What another transaction has locked is left, as is what an exchange reserves that is still under
	// way, so the caller repeats them until the reservations would have expired.
	Abandoned []string

	// Requeue is how many expired reservations, of whatever queue and worker, are to be released: available now, attempts
	// unchanged. The oldest come first. 0: none. Those count that had expired at Expired, by the database's clock; zero: now.
	// Keep are ids of jobs that it passes over.
	Requeue int
	Expired time.Time
	Keep    []int64

	// Number is what Reserve writes as reserved_by: at most 64 ASCII characters, never used before. Needed if Limit > 0.
	Number string

	// Reserve lists the queues to take jobs from, in strict order, each without duplicates.
	Reserve []Reserve

	// Limit is how many jobs to reserve at most. 0: none.
	Limit int

	// Bytes bounds the payloads that are reserved together: the first job is always reserved, each further one only if the payloads are
	// not longer than this in all. 0: no bound.
	Bytes int64

	// Everything makes the reserve look at all that is due, also where a store would normally leave out what it has looked at of late.
	Everything bool

	// Force reserves also while a Control says maintenance.
	Force bool
}

// Touch moves the end of a reservation.
type Touch struct {
	Reservation
	Expire time.Duration // from now; 0: never
	Start  bool          // the job's Started is set, until a Settlement without KeepStarted or an operator releases it
}

// Reserve is a queue to take jobs from.
type Reserve struct {
	Queue  string
	Expire time.Duration // the reservation's end, from now; 0: never
}

// Exchanged is the answer to an Exchange.
type Exchanged struct {
	// Lost are reservations of Settle and Touch that are not the worker's any more. Nothing was changed for them.
	Lost []Reservation

	// Locked are reservations of Settle and Touch whose rows another transaction has locked. Nothing was changed for them: they are
	// still the worker's, which tries again.
	Locked []Reservation

	// Requeued counts the expired reservations that were released.
	Requeued int

	// Reserved are the jobs that are now the worker's, in the order in which they should run.
	Reserved []Job

	// Everything: the reserve has looked at all that was due, so if nothing was reserved, nothing was there that could be.
	Everything bool

	// Controls are what operators have said about the queues of Reserve, and about all, under the empty name.
	Controls []Control

	// WantedConcurrency is what an operator has set for the worker's concurrency; 0: nothing. The worker is that of Exchange.Worker, or
	// else the one whose id stands in Number before the first hyphen.
	WantedConcurrency int

	// Now is the database's clock. On a store that is bound to a transaction it may be left zero.
	Now time.Time

	// NextDue is when the next delayed job of the queues of Reserve becomes available, or when to ask again because the exchange has not
	// looked everywhere. It may be left zero when none is known, or when the exchange reserved as many jobs as it was asked to.
	NextDue time.Time
}

// Settlement ends one reservation.
type Settlement struct {
	Reservation
	Outcome Outcome

	Delay     time.Duration // Release: until the job is available again; not negative
	GiveBack  bool          // Release: the attempt is not spent
	Exception bool          // Release: counts as one of the job's Exceptions

	KeepStarted bool // Release: the job's Started stays as it is

	Error string // Fail: the reason; valid UTF-8 without NUL
	Stack string // Fail: where, or empty; likewise
}

// Outcome is how a Settlement ends a reservation.
type Outcome int

// The outcomes.
const (
	Delete  Outcome = iota + 1 // the job is done; the zero Outcome is not valid
	Release                    // the job is put back, in place
	Fail                       // the job moves to the failed jobs
)

func (o Outcome) String() string {
	switch o {
	case Delete:
		return "delete"
	case Release:
		return "release"
	case Fail:
		return "fail"
	}
	return "unknown outcome"
}
