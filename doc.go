// Package sqlqueue is the root of the module: a job queue in PostgreSQL, MySQL, MariaDB or SQLite, for programs that have such a database
// already. A job is pushed in the transaction of the writes that it belongs to, and exists if and only if they are committed.
//
// There is nothing in this package. Use these:
//
//   - [github.com/sqlqueue/sqlqueue/sqlqueue]: what is pushed, with which options, and the errors
//   - [github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue], [github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue] and
//     [github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue]: a queue in PostgreSQL, in MySQL or MariaDB, in SQLite
//   - [github.com/sqlqueue/sqlqueue/worker]: runs jobs
//   - [github.com/sqlqueue/sqlqueue/migrations]: makes the tables
//   - [github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest]: for an application's tests
//   - [github.com/sqlqueue/sqlqueue/sqlqueue/operator], [github.com/sqlqueue/sqlqueue/dashboard] and [github.com/sqlqueue/sqlqueue/cli]: to
//     watch over queues, in Go, in a browser, on the command line
//   - [github.com/sqlqueue/sqlqueue/promqueue] and [github.com/sqlqueue/sqlqueue/otelqueue]: metrics and traces
//
// Begin with the README, or with the example of package worker.
package sqlqueue
