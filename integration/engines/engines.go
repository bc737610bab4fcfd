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
	{name: "group-replication", recipe: "group-replication.sh", variable: mysql},
	{name: "citus", recipe: "container.sh citus", variable: postgres},
}
