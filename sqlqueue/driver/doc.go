// Package driver is the contract between a queue and the database that keeps it. Applications do not need it: they get a sqlqueue.Queue
// from the package of a database. It is for those who write a [Store] for another database, or one that wraps another Store.
//
// # The tables
//
// A store keeps two tables, jobs and failed_jobs, and a few small ones beside them: what operators say about queues (job_queues), the
// workers that run (job_workers) and what they have counted (job_counts). Package migrations has them for PostgreSQL, MySQL and SQLite,
// with a comment for every column. Programs in other languages insert into jobs directly, so a row may have been written by anybody: no
// value that the table allows may stop a store.
//
// # Reservations
//
// A worker runs only jobs that it has reserved. A [Reservation] is the job's id and a number that one exchange has written into
// reserved_by. Every statement that settles or touches a job compares both, so that a worker that was away for too long cannot end what
// another has begun since: it is told that the reservation is lost, and nothing is changed. This is the fence, and nothing may go past it.
//
// Two workers never hold the same job. They pass each other: what one transaction has locked, the others skip, and no statement of an
// exchange waits for a row. A database that locks as a whole, as SQLite does, lets one writer in at a time instead.
//
// A reservation expires at the time that its worker has set, by the database's clock, unless a Touch moves that time. Expired jobs are not
// released by themselves: an exchange asks for it, with Requeue, and until then the worker that has them can still settle them.
//
// # The exchange
//
// A worker talks to the store in one call, [Store.Exchange], which does these steps in this order, in one transaction:
//
//  1. settle: delete, release or fail the jobs that have ended
//  2. touch: keep the reservations of those that still run
//  3. give back what abandoned exchanges have reserved
//  4. requeue expired reservations
//  5. reserve jobs that are available, queue by queue
//  6. look: at the clock, at what operators want, at when the next job is due
//
// Each step is for many jobs at once. Either all of them happened or, if there is an error, none.
//
// # Transactions and errors
//
// A store is made for a pool, and makes its own transactions, at READ COMMITTED. It repeats one after a deadlock or a serialization
// failure. The package of a database also has a WithTx, which binds a store to a transaction of the caller's by sqlqueue.Queue.Bind; such a
// store begins, repeats and commits nothing.
//
// Errors are the driver's own, except those that this package names. When an answer to a write never comes, as when the connection breaks
// during COMMIT, a store does not guess: it returns an error that wraps [ErrOutcomeUnknown]. A worker that got no answer to an exchange
// names its number as Abandoned in those that follow.
//
// # What to write
//
//   - A Store: Check, Push, Exchange, Beat and Hold.
//   - What it can do besides, if it can: [Listener], [SingleWriter].
//   - A package with New, which calls sqlqueue.New, and WithTx.
//
// A store over a database that speaks SQL describes how in a sqldb.Dialect and embeds a sqldb.Database: it then has Beat, CheckSchema, and
// everything that package operator asks. A Store without one has no operators.
//
// Package storetest has the suite that every store must pass. It runs each case on a real database, with several clients at once, and
// compares what they were told with what the tables say.
package driver
