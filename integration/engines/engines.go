package main

// An engine is a database, or several nodes of one, that is more than one stock server.
type engine struct {
	name     string
	recipe   string            // in recipes/, with its arguments
	variable string            // with the address for the tests of the integration package
	except   map[string]string // cases of the conformance suite that do not pass there, as a pattern of go test, and the reason
}

const (
	postgres = "SQLQUEUE_TEST_POSTGRES"
	mariadb  = "SQLQUEUE_TEST_MARIADB"
	mysql    = "SQLQUEUE_TEST_MYSQL"
)

// What is different on TiDB.
const (
	waits        = "a row that another transaction has locked is waited for, not passed by"
	plainInserts = "the times that a plain INSERT leaves out are those of its session's zone, which must be UTC"
	badRows      = "rows that CHECKs keep out elsewhere are stored, and its JSON functions refuse some of their texts"
	byField      = "it has no JSON_TABLE, with which jobs are found by a field of their data"
)

// engines in the order in which they run.
var engines = []engine{
	{name: "postgres-14", recipe: "postgres.sh 14", variable: postgres},
	{name: "postgres-15", recipe: "postgres.sh 15", variable: postgres},
	{name: "postgres-16", recipe: "postgres.sh 16", variable: postgres},
	{name: "postgres-17", recipe: "postgres.sh 17", variable: postgres},
	{name: "postgres-18", recipe: "postgres.sh 18", variable: postgres},
	{name: "pgbouncer", recipe: "pgbouncer.sh", variable: postgres, except: map[string]string{
		"listen": "LISTEN belongs to a session, which a client does not have in transaction mode: workers look",
	}},
	{name: "galera", recipe: "galera.sh", variable: mariadb},
	{name: "haproxy", recipe: "haproxy.sh", variable: mariadb},
	{name: "group-replication", recipe: "group-replication.sh", variable: mysql},
	{name: "tidb", recipe: "tidb.sh", variable: mysql, except: map[string]string{
		"locks":                             waits,
		"counts/E5_a_beat_does_not_wait":    waits,
		"push/A6_a_plain_INSERT":            plainInserts,
		"unique/a_plain_INSERT":             plainInserts,
		"limits/F1_a_pattern_finds_queues_": plainInserts,
		"badrows":                           badRows,
		"extremes":                          badRows,
		"search/E6_a_payload_that":          badRows,
		"search/E6_jobs_by_a_field":         byField,
		"search/E6_of_members":              byField,
	}},
	{name: "citus", recipe: "container.sh citus", variable: postgres},
}
