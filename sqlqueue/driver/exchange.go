package driver

import "time"

// Exchange is what a worker tells and asks in one conversation. Its zero value does nothing.
type Exchange struct {
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

	// WantedConcurrency is what an operator has set for the concurrency of the worker whose id stands in Number before the first hyphen; 0:
	// nothing.
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
