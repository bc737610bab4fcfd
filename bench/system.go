package main

import (
	"context"
	"path/filepath"
	"runtime"
)

// system is what is measured: a queue with its settings.
type system struct {
	name     string
	engine   string // "postgres", "mariadb" or "sqlite"
	defaults bool   // it runs as it comes, and is compared with others that do
	settings string // for people
	left     string // SQL that counts the jobs that are not done
	failed   string // SQL that makes %d jobs that have failed for good

	open    func(ctx context.Context, dsn string, setup bool) (queue, error)
	command []string // instead of open: a program that serves
	without []string // kinds of workloads that it does not do
	only    string   // the one kind that it does; empty: the others
	also    string   // a kind that few do
}

const (
	postgres = "postgres"
	mariadb  = "mariadb"
	sqlite   = "sqlite"
)

// The numbers that failed jobs are made of.
const (
	postgresNumbers = "generate_series(1, %d) AS g (n)"
	mariadbNumbers  = "(SELECT seq AS n FROM seq_1_to_%d) AS g"
	sqliteNumbers   = "(WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < %d) SELECT n FROM g) AS g"
)

const (
	graphileLeft   = `SELECT count(*) FROM graphile_worker._private_jobs WHERE run_at <= now() AND attempts < max_attempts`
	graphileFailed = `
WITH task AS (INSERT INTO graphile_worker._private_tasks (identifier) VALUES ('job') RETURNING id)
INSERT INTO graphile_worker._private_jobs (task_id, payload, attempts, max_attempts, last_error)
SELECT task.id, '{"t":1,"pad":"x"}', 25, 25, 'smtp: connection refused' FROM task, generate_series(1, %d)`
	pgbossFailed = `
INSERT INTO pgboss.job (name, data, state, retry_count, completed_on, output)
SELECT 'job', '{"t":1,"pad":"x"}', 'failed', 2, now(), '{"message":"smtp: connection refused"}' FROM generate_series(1, %d)`
)

func systems() []system {
	all := []system{
		{
			name: "sqlqueue", engine: postgres, settings: "Concurrency 1,000; no log", left: oursLeft,
			failed: oursFailed("now()", postgresNumbers),
			open:   openPostgres(tuned),
		},
		{
			name: "sqlqueue (defaults)", engine: postgres, defaults: true,
			settings: "zero Config: 10 handlers, a line of log for each job", left: oursLeft,
			open: openPostgres(byDefault),
		},
		{
			name: "sqlqueue (expire 5 s)", engine: postgres, settings: "Concurrency 1,000; Expire 5 s; no log", left: oursLeft,
			open: openPostgres(expiring), only: "expire",
		},
		{
			name: "bare loop", engine: postgres,
			settings: "hand-written SQL on sqlqueue's tables: delete 1,000, reserve 1,000, in one pipelined transaction; " +
				"two loops, each from the time of the newest it has seen",
			left:   oursLeft,
			failed: oursFailed("now()", postgresNumbers),
			open:   openBare, without: []string{"sleep", "latency"}, also: "expire",
		},
		{
			name: "River", engine: postgres,
			settings: "2,000 workers, FetchCooldown 2 ms on client and worker, InsertManyFast, 20 connections", left: riverLeft,
			failed: riverFailed,
			open:   openRiver(2000, riverCooldown),
		},
		{
			name: "River (client's default)", engine: postgres,
			settings: "FetchCooldown of the client 100 ms: fewer notifications", left: riverLeft,
			open: openRiver(2000, 0), only: "enqueue",
		},
		{
			name: "River (defaults)", engine: postgres, defaults: true,
			settings: "100 workers (its README), the rest as it comes", left: riverLeft,
			open: openRiver(0, 0),
		},
		{
			name: "gue", engine: postgres, settings: "20 workers, each with a connection, polling every 20 ms",
			left: `SELECT count(*) FROM gue_jobs WHERE run_at <= clock_timestamp()`,
			open: openGue, without: []string{"sleep", "failed"},
		},
		{
			name: "sqlqueue/mariadb", engine: mariadb, settings: "Concurrency 1,000; no log", left: oursLeft,
			failed: oursFailed("UTC_TIMESTAMP(6)", mariadbNumbers),
			open:   openMySQL(tuned),
		},
		{
			name: "sqlqueue/mariadb (defaults)", engine: mariadb, defaults: true,
			settings: "zero Config: 10 handlers, a line of log for each job", left: oursLeft,
			open: openMySQL(byDefault),
		},
		{
			name: "sqlqueue/mariadb (expire 5 s)", engine: mariadb, settings: "Concurrency 1,000; Expire 5 s; no log", left: oursLeft,
			open: openMySQL(expiring), only: "expire",
		},
		{
			name: "bare loop/mariadb", engine: mariadb,
			settings: "hand-written SQL on sqlqueue's tables: delete 1,000, select 1,000 FOR UPDATE SKIP LOCKED, update them; " +
				"two loops, each from the time of the newest it has seen",
			left:   oursLeft,
			failed: oursFailed("UTC_TIMESTAMP(6)", mariadbNumbers),
			open:   openBareMySQL, without: []string{"sleep", "latency"}, also: "expire",
		},
		{
			name: "watermill-sql", engine: mariadb,
			settings: "a log: nothing is deleted; batches of 1,000, polling every 2 ms, without its write for each message; " +
				"one handler at a time. Not with several producers: of what they push at once it passes over some", left: watermillLeft,
			open: openWatermill(true), without: []string{"sleep", "delayed", "failed", "producers", "latency"},
		},
		{
			name: "watermill-sql (defaults)", engine: mariadb, defaults: true,
			settings: "as it comes: batches of 100, a write for each message, polling every second", left: watermillLeft,
			open: openWatermill(false), without: []string{"latency"},
		},
		{
			name: "sqlqueue/sqlite", engine: sqlite,
			settings: "Concurrency 1,000; no log; WAL, synchronous NORMAL; modernc.org/sqlite", left: oursLeft,
			failed: oursFailed("1", sqliteNumbers),
			open:   openSQLite(tuned),
		},
		{
			name: "sqlqueue/sqlite (defaults)", engine: sqlite, defaults: true,
			settings: "zero Config: 10 handlers, a line of log for each job; WAL, synchronous NORMAL; modernc.org/sqlite", left: oursLeft,
			open: openSQLite(byDefault),
		},
		{
			name: "bare loop/sqlite", engine: sqlite,
			settings: "hand-written SQL on sqlqueue's tables: delete 1,000, reserve 1,000 in one transaction", left: oursLeft,
			failed: oursFailed("1", sqliteNumbers),
			open:   openBareSQLite, without: []string{"sleep", "latency"},
		},
		{
			name: "goqite", engine: sqlite,
			settings: "Receive and Delete in a loop, SendTx; one connection; WAL, synchronous NORMAL; modernc.org/sqlite",
			left:     `SELECT count(*) FROM goqite WHERE received > 0 OR timeout <= strftime('%Y-%m-%dT%H:%M:%fZ')`,
			open:     openGoqite, without: []string{"sleep", "failed"},
		},
	}
	for _, peer := range []system{
		{
			name:     "Graphile Worker",
			settings: "concurrentJobs 24, localQueue.size 500, completeJobBatchDelay 0 (its published benchmark); addJobs",
			left:     graphileLeft, failed: graphileFailed,
		},
		{
			name: "Graphile Worker (defaults)", defaults: true, settings: "as it comes: concurrentJobs 1, no local queue",
			left: graphileLeft,
		},
		{
			name: "pg-boss", settings: "batchSize 1,000, burstWhenBatchFull, LISTEN/NOTIFY, polling every 0.5 s otherwise; insert",
			left:   `SELECT count(*) FROM pgboss.job WHERE name = 'job' AND state < 'completed' AND start_after <= now()`,
			failed: pgbossFailed,
		},
	} {
		peer.engine = postgres
		peer.command = []string{filepath.Join(peersDir(), "node_modules/.bin/node"), filepath.Join(peersDir(), "peer.mjs")}
		all = append(all, peer)
	}
	return all
}

func systemNamed(name string) (system, bool) {
	for _, s := range systems() {
		if s.name == name {
			return s, true
		}
	}
	return system{}, false
}

// sourceDir is where this module's sources are.
func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

func peersDir() string { return filepath.Join(sourceDir(), "peers") }
