package driver

import "time"

// Exchange is one call of a worker to its store, which does the parts in the order of these fields. The zero value does nothing.
type Exchange struct {
	// Settle ends reservations, and Touch keeps others alive. A reservation that is in both is settled. One that the worker no longer
	// holds changes nothing and is listed in Exchanged.Lost.
	Settle []Settlement
	Touch  []Touch

	// Abandoned are the numbers of earlier exchanges whose answers never came. The jobs that are reserved under these numbers are released,
	// available now: the attempt does not count, and Job.Started stays. Jobs that another transaction has locked are skipped, as are jobs
	// of an exchange that has not committed yet. The worker therefore repeats a number until its reservations would have expired.
	Abandoned []string

	// Requeue is how many expired reservations to release at most, of any queue and worker: available now, attempts unchanged. Those that
	// expired first come first.
	Requeue int

	// Expired is the time before which a reservation must have expired to be requeued, by the database's clock. Zero or in the future: now.
	Expired time.Time

	// Keep are the ids of jobs that are not requeued.
	Keep []int64

	// Limit is how many jobs to reserve at most.
	Limit int

	// Ahead is how many of Limit the worker will start later. They are not taken from queues that have a limit.
	Ahead int

	// Reserve are the queues to take jobs from, each once. The store looks at a queue only if the earlier ones have no more available
	// jobs. Within a queue the order is priority, then AvailableAt, then ID. With more than a hundred queues and priorities together, the
	// store may look at some in each exchange, go on from there in the next, and begin again at the first at intervals.
	//
	// A pattern (see IsPattern) means all queues below its level. They take turns: the more urgent priority comes first, and among equals
	// a queue that has given jobs goes to the end of the line. If the pattern has at most some hundred queues, a queue with its first jobs
	// is found within two seconds, and at once if this store pushes to it.
	Reserve []Reserve

	// Number is written into Job.ReservedBy of the reserved jobs, and identifies their reservations. It has 1 to 64 ASCII characters, those
	// before the first hyphen are the worker's id, and no other exchange has ever had it. Required if Limit is not 0.
	Number string

	// Bytes bounds the payloads that are reserved together: the first job is always reserved, and the others as long as all payloads have
	// no more bytes than this. 0: no bound.
	Bytes int64

	// Everything makes the store look at every due job, including those that it would skip because it has looked there lately.
	Everything bool

	// Force reserves also from queues that are in maintenance. A paused queue stays paused.
	Force bool

	// Idle says that most likely there is nothing to do: the worker has found no job lately and has heard of no push. A store may then read
	// first, and begin a transaction only if there is something to do.
	Idle bool

	// Chores asks for Exchanged.Chores. Workers ask once a second.
	Chores bool

	// IdleWorkers asks for Exchanged.IdleWorkers. Idle workers ask every five seconds.
	IdleWorkers bool
}

// Touch keeps a reservation alive.
type Touch struct {
	Reservation
	Expire time.Duration // until the reservation expires, from now; 0: never
	Start  bool          // sets Job.Started, until a Settlement without KeepStarted, or an operator, releases the job

	// Progress replaces what was written of how far the job is; nil: that stays. It may be ignored, and be written also if the reservation
	// is locked.
	Progress *Progress
}

// Reserve is a queue to take jobs from.
type Reserve struct {
	Queue  string
	Expire time.Duration // until a reservation expires, from now; 0: never
}

// Exchanged is the answer to an Exchange.
type Exchanged struct {
	// Lost are reservations of Settle and Touch that the worker no longer holds. Nothing was changed for them.
	Lost []Reservation

	// Locked are reservations of Settle and Touch whose rows another transaction has locked. Nothing was changed for them. The worker still
	// holds them, and tries again.
	Locked []Reservation

	// Requeued is how many expired reservations were released.
	Requeued int

	// Reserved are the jobs that are now the worker's, in the order in which they should run.
	Reserved []Job

	// Everything says that the store has looked at every due job. If it then reserved nothing, there was nothing to reserve.
	Everything bool

	// Controls are operators' controls of the queues of Exchange.Reserve, and under the empty name of all queues. Those of more than a
	// hundred queues may be as they were up to a second ago.
	Controls []Control

	// Keep is what operators have said about how long finished jobs are kept, by queue or pattern, and under the empty name for all queues,
	// as it was up to a second ago: see KeepOf. Nil: the store has not looked. Nobody may change it.
	Keep map[string]time.Duration

	// WantedConcurrency is the concurrency that an operator has set for the worker of Exchange.Number; 0: not set.
	WantedConcurrency int

	// Now is the database's clock. A store that is bound to a transaction may leave it zero.
	Now time.Time

	// NextDue is when the next delayed job of the queues of Exchange.Reserve becomes available, or when to ask again because the store has
	// not looked at everything. It may be zero if no such time is known, and if as many jobs were reserved as the Limit allows.
	NextDue time.Time

	// Chores is the answer to Exchange.Chores, read by a statement that the exchange sends anyway. It may be nil: then the worker calls
	// DueSchedules and LookBatches every few seconds to find out.
	Chores *Chores

	// IdleWorkers is how many workers could run another job, of those that serve the same queues as the worker of Exchange.Number, itself
	// included: by their rows they are running, have fewer handlers than their concurrency, and were seen within WorkerSeen. 0: it was not
	// asked, or is not known. More than ten ask less often for jobs, so that all together ask as often as ten.
	IdleWorkers int
}

// Chores is the work beside jobs: see Scheduler and Batcher.
type Chores struct {
	NextSchedule time.Time // when the next schedule comes, or a time that has passed if one is due; zero: there is none
	OpenBatches  bool      // there are batches that are not closed
}

// Settlement ends one reservation.
type Settlement struct {
	Reservation
	Outcome Outcome

	// For Release:
	Delay       time.Duration // until the job is available again; not negative
	GiveBack    bool          // the attempt does not count
	Exception   bool          // adds one to Job.Exceptions
	KeepStarted bool          // leaves Job.Started as it is, instead of setting it to false

	// For Fail, in valid UTF-8 without NUL:
	Error string // why the job failed
	Stack string // where, or empty

	// Keep, for Delete, inserts the job into the table of finished jobs if, and only if, this ends it, in the same transaction; nil: it is
	// not kept.
	Keep *Keep

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
