// Package driver is the contract between a queue and the database that keeps it. Applications do not need it: they get a sqlqueue.Queue
// from the package of a database. It is for those who write a [Store] for another database, or one that wraps another Store.
//
// # The tables
//
// A store keeps two tables, jobs and failed_jobs, and a few small ones beside them: operators' controls of queues (job_queues), the
// running workers (job_workers) and their counts (job_counts). Package migrations has them for PostgreSQL, MySQL and SQLite, with a
// comment for every column. Programs in other languages insert into jobs directly, so any program may have written a row: no value that
// the table allows may stop a store.
//
// # Reservations
//
// A worker runs only jobs that it has reserved. A [Reservation] is the job's id and a number that one exchange has written into
// reserved_by. Every statement that settles or touches a job compares both. So a late worker cannot end a job that another worker has
// reserved since: the store reports the reservation as lost, and changes nothing. Every change of a reserved job must make this check.
//
// Two workers never hold the same job, and they do not wait for each other: a transaction skips rows that another has locked, and no
// statement of an exchange waits for a row. A database with one lock for everything, such as SQLite, admits one writer at a time instead.
//
// A reservation expires at the time that its worker has set, by the database's clock, unless a Touch moves that time. Expired jobs are
// released only by an exchange with Requeue. Until then the worker that holds them can still settle them.
//
// # The exchange
//
// A worker talks to the store in one call, [Store.Exchange], which does these steps in this order, in one transaction:
//
//  1. settle: delete, release or fail the jobs that have ended
//  2. touch: keep the reservations of the running jobs
//  3. give back the jobs that abandoned exchanges have reserved
//  4. requeue expired reservations
//  5. reserve available jobs, queue by queue
//  6. look: at the clock, at operators' controls, at the time when the next job is due, and, if asked, at schedules and batches
//
// Each step is for many jobs at once. Either all steps happened or, if there is an error, nothing did.
//
// # Transactions and errors
//
// A store has a pool, and makes its own transactions, at READ COMMITTED. It repeats one after a deadlock or a serialization failure. The
// package of a database also has a WithTx, which binds a store to a caller's transaction with sqlqueue.Queue.Bind. Such a store begins,
// repeats and commits nothing.
//
// Errors are the driver's own, except those that this package defines. If a write gets no answer, as when the connection breaks during
// COMMIT, a store returns an error that wraps [ErrOutcomeUnknown]. A worker that got no answer to an exchange names its number as
// Abandoned in later ones.
//
// # What to write
//
//   - A Store: Check, Push, Exchange, Beat and Hold.
//   - Optional abilities: [Listener], [SingleWriter], [Batcher], [Scheduler], [Throttler], [Keeper].
//   - A package with New, which calls sqlqueue.New, and WithTx.
//
// A store for an SQL database describes its SQL in a sqldb.Dialect and embeds a sqldb.Database. It then has Beat, CheckSchema, and
// everything that package operator needs. Package operator does not work with other stores.
//
// Package storetest has the suite that every store must pass. It runs each case on a real database, with several clients at once, and
// compares their answers with the tables.
package driver
