package driver

import "time"

// Exchange is what a worker tells and asks in one call. A store does its parts in the order in which they stand here. The zero value does
// nothing.
type Exchange struct {
	// Settle ends reservations, and Touch keeps others alive. A reservation that is in both is settled. One that is not the worker's any
	// more changes nothing and is named in Exchanged.Lost.
	Settle []Settlement
	Touch  []Touch

	// Abandoned are the numbers of earlier exchanges whose answers never came. The jobs that are reserved under these numbers are released,
	// available now: the attempt is not spent, and Job.Started stays. A job that another transaction has locked is left, and so is what an
	// exchange reserves that is still under way. The worker therefore repeats a number until its reservations would have expired.
	Abandoned []string

	// Requeue is how many expired reservations to release at most, of whatever queue and worker: available now, attempts unchanged. Those
	// that expired first come first. 0: none.
	Requeue int

	// Expired is when a reservation must have expired to be requeued, by the database's clock. Zero, or a time to come: now.
	Expired time.Time

	// Keep are the ids of jobs that are not requeued.
	Keep []int64

	// Limit is how many jobs to reserve at most. 0: none.
	Limit int

	// Ahead is how many of Limit are not needed at once. They are not taken from queues that have a limit. 0: all are needed.
	Ahead int

	// Reserve are the queues to take jobs from, each once. A queue is looked at only when the ones before it have no more jobs that are
	// available. Within a queue the order is that of priority, then AvailableAt, then ID.
	//
	// A name that IsPattern stands for all queues below its level. They take turns: the more urgent priority comes first, and among equals
	// a queue that has given jobs goes to the end of the line. A queue that begins to have jobs is found within two seconds, if there are
	// no more than some hundred, and at once if this store pushes to it.
	Reserve []Reserve

	// Number is written into Job.ReservedBy of the jobs that are reserved, and names their reservations from then on. It has 1 to 64 ASCII
	// characters, those before the first hyphen are the worker's id, and no other exchange has ever had it. Needed if Limit is not 0.
	Number string

	// Bytes bounds the payloads that are reserved together: the first job is always reserved, and the others as long as all payloads have
	// no more bytes than this. 0: no bound.
	Bytes int64

	// Everything makes the store look at every job that is due, also at those that it would leave out because it has looked there lately.
	Everything bool

	// Force reserves also from queues that are in maintenance. A paused queue stays paused.
	Force bool
}

// Touch keeps a reservation alive.
type Touch struct {
	Reservation
	Expire time.Duration // the reservation now ends so long from now; 0: never
	Start  bool          // sets Job.Started, until a Settlement without KeepStarted, or an operator, releases the job
}

// Reserve is a queue to take jobs from.
type Reserve struct {
	Queue  string
	Expire time.Duration // a reservation ends so long from now; 0: never
}

// Exchanged is the answer to an Exchange.
type Exchanged struct {
	// Lost are reservations of Settle and Touch that are not the worker's any more. Nothing was changed for them.
	Lost []Reservation

	// Locked are reservations of Settle and Touch whose rows another transaction has locked. Nothing was changed for them. They are still
	// the worker's, which tries again.
	Locked []Reservation

	// Requeued is how many expired reservations were released.
	Requeued int

	// Reserved are the jobs that are now the worker's, in the order in which they should run.
	Reserved []Job

	// Everything says that the store has looked at every job that was due. If nothing was reserved then, there was nothing to reserve.
	Everything bool

	// Controls are what operators have said about the queues of Exchange.Reserve, and under the empty name about all queues.
	Controls []Control

	// WantedConcurrency is the concurrency that an operator has set for the worker whose id stands in Exchange.Number; 0: none.
	WantedConcurrency int

	// Now is the database's clock. A store that is bound to a transaction may leave it zero.
	Now time.Time

	// NextDue is when the next delayed job of the queues of Exchange.Reserve becomes available, or when to ask again because the store has
	// not looked at everything. It may be zero if no such time is known, and if as many jobs were reserved as the Limit allows.
	NextDue time.Time
}

// Settlement ends one reservation.
type Settlement struct {
	Reservation
	Outcome Outcome

	// For Release:
	Delay       time.Duration // until the job is available again; not negative
	GiveBack    bool          // the attempt is not spent
	Exception   bool          // adds one to Job.Exceptions
	KeepStarted bool          // leaves Job.Started as it is, instead of setting it to false

	// For Fail, in valid UTF-8 without NUL:
	Error string // why the job failed
	Stack string // where, or empty

	// Push are jobs to insert if, and only if, this ends the job: for Delete and Fail, in the same transaction. They have no unique keys.
	Push []NewJob
}

// Outcome is how a Settlement ends a reservation.
type Outcome int

// The outcomes. The zero Outcome is not valid.
const (
	Delete  Outcome = iota + 1 // the job is done: its row is deleted
	Release                    // the job waits again, with the same id
	Fail                       // the job moves to the table of failed jobs
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
