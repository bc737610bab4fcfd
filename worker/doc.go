// Package worker runs jobs: it reserves them from queues, runs each with its handler, and settles it.
//
//	mux := worker.NewMux()
//	worker.Handle(mux, func(ctx context.Context, job *worker.Job[SendInvoice]) error { … })
//	err := worker.New(q, mux, worker.Config{Queues: []string{"high", "default"}}).Run(ctx) // until ctx ends, then drains
//
// What a handler returns decides alone what becomes of its job: nil deletes it, an error puts it back with a wait, and after
// the last try moves it to the failed jobs; [Release], [Fail], [Discard], [Snooze], [Throttle] and [CannotStart] say something else. A
// panic, and runtime.Goexit, are errors. A panic in a goroutine that a handler has started, os.Exit, and what the Go runtime
// calls fatal end the process: the jobs that it had then run again when their reservations expire.
//
// A job runs at least once. A reservation is kept alive while its handler runs; if it is lost all the same (the process was
// stopped, or the database could not be reached for longer than Config.Expire), the handler's context ends, and what the
// handler then returns changes nothing. A handler that completes its job in its own transaction runs exactly once in effect:
//
//	q := pgqueue.WithTx(q, tx)
//	if err := q.Hold(ctx, job); err != nil { … } // first: nobody else can have the job while tx is open
//	…                                            // the handler's own writes
//	if err := q.Delete(ctx, job); err != nil { … }
//	return tx.Commit(ctx)
//
// It passes the job itself, as here, so that the worker knows why the job is gone.
//
// The cause of a handler's context tells why it ended: [ErrTimedOut], [ErrStopped] or sqlqueue.ErrReservationLost. A handler
// must then return: nothing can end it from outside. One that has timed out and does not return is stuck after
// Config.StuckAfter: its job is settled without it, but until it returns it keeps its place among Config.Concurrency.
package worker
