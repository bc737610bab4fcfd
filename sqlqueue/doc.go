// Package sqlqueue is a job queue in the database that an application already has.
//
// A worker reserves jobs from a queue, runs each with its handler, and settles it: delete, release or fail. A reservation not kept
// alive expires, and its job is requeued.
//
// This package is what applications use: [Queue], what can be pushed, and errors. A Queue is made by the package of a database (pgqueue,
// mysqlqueue, sqlitequeue), which also binds it to a caller's transaction:
//
//	q, err := pgqueue.New(pool, sqlqueue.Config{})
//	id, err := pgqueue.WithTx(q, tx).Push(ctx, SendInvoice{OrderID: 42}) // exists if and only if tx commits
//
// Jobs run at least once. Package worker runs them, package operator lists and changes them, and package driver is the contract of the
// stores that keep them.
package sqlqueue
