package mysqlqueue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestErrorsOfWrites(t *testing.T) {
	number := func(n uint16, message string) error { return &mysql.MySQLError{Number: n, Message: message} }
	for _, c := range []struct {
		name               string
		err                error
		transient, unknown bool
	}{
		{"deadlock", number(1213, ""), true, false},
		{"deadlock, wrapped", fmt.Errorf("x: %w", number(1213, "")), true, false},
		{"lock wait timeout", number(1205, ""), true, false},
		{"record has changed since last read", number(1020, ""), true, false},
		{"rolled back during commit by Group Replication", number(3101, ""), true, false},
		{"deadlock during commit", number(1180, "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"), true, false},
		{"another error during commit", number(1180, "Got error 28 - 'No space left on device' during COMMIT"), false, true},
		{"MariaDB has no number for an AUTO_INCREMENT", number(1467, ""), true, false},
		{"duplicate", number(1062, ""), false, false},
		{"read only", number(1290, ""), false, false},
		{"data too long", number(1406, ""), false, false},
		{"shutdown", number(1053, ""), false, true},
		{"interrupted", number(1317, ""), false, true},
		{"connection killed", number(1927, ""), false, true},
		{"Galera without quorum", number(1047, "WSREP has not yet prepared node for application use"), false, true},
		{"Galera: the commit was certified against", number(1213, "Deadlock found when trying to get lock"), true, false},
		{"Group Replication: a hook failed", number(3100, ""), false, true},
		{"a proxy that lost its server", number(1105, ""), false, true},
		{"a proxy that passes on its own client's error", number(2013, ""), false, true},
		{"TiDB's undetermined result", number(8501, ""), false, true},
		{"TiDB: another transaction was faster each time", number(1105, "pessimistic lock retry limit reached"), true, false},
		{"TiDB: SELECT FOR UPDATE has met a change", number(8002, "[1] can not retry select for update statement"), true, false},
		{"TiDB: stale", number(8005, "Write conflict, txnStartTS 1 is stale [try again later]"), true, false},
		{"TiDB: safe to retry", number(8022, "Error: KV error safe to retry x [try again later]"), true, false},
		{
			"TiDB: a table was changed meanwhile",
			number(8028, "Information schema is changed during the execution [try again later]"), true, false,
		},
		{"TiDB: write conflict", number(9007, "Write conflict, txnStartTS=1, reason=Optimistic [try again later]"), true, false},
		{"TiDB does not take a row of this size", number(8025, "entry too large"), false, false},
		{"TiDB has no leader of its placement driver", number(9001, "PD server timeout"), false, true},
		{"TiDB's storage does not answer", number(9002, "TiKV server timeout"), false, true},
		{"TiDB's region is not there", number(9005, "Region is unavailable"), false, true},
		{"ProxySQL's timeout", number(9001, ""), false, true},
		{"connection lost", mysql.ErrInvalidConn, true, true},
		{"nothing was sent", driver.ErrBadConn, true, false},
		{"context ended while waiting", context.DeadlineExceeded, false, true},
		{"network", io.ErrUnexpectedEOF, false, true},
	} {
		if got := transient(c.err); got != c.transient {
			t.Errorf("%s: transient is %v", c.name, got)
		}
		marked := outcome(c.err)
		if got := errors.Is(marked, sqlqueue.ErrOutcomeUnknown); got != c.unknown || !errors.Is(marked, c.err) {
			t.Errorf("%s: after a commit: %v", c.name, marked)
		}
		if c.unknown && transient(marked) {
			t.Errorf("%s: what may have been committed would be repeated", c.name)
		}
	}
	if outcome(nil) != nil {
		t.Error("success has an error")
	}
}

func TestMissingTable(t *testing.T) {
	missing := &mysql.MySQLError{Number: 1146, Message: "Table 'x.jobs' doesn't exist"}
	once := translate(missing)
	if !errors.Is(once, sqlqueue.ErrNotMigrated) || !errors.Is(once, missing) {
		t.Errorf("%v", once)
	}
	if twice := translate(once); twice.Error() != once.Error() {
		t.Errorf("%v", twice)
	}
}

func TestRefusedForGood(t *testing.T) {
	for n, cure := range map[uint16]string{
		1044: "grant the user", 1045: "password", 1142: "grant the user", 1143: "grant the user", 1175: "sql_safe_updates",
		1054: "migrate up", 1265: "migrate up", 1406: "migrate up", 1792: "transaction_read_only",
	} {
		server := &mysql.MySQLError{Number: n, Message: "no"}
		err := translate(translate(fmt.Errorf("x: %w", server)))
		var refused *sqlqueue.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Cure, cure) || !errors.Is(err, server) ||
			strings.Count(err.Error(), cure) != 1 {
			t.Errorf("%d: %v", n, err)
		}
	}
	// while another becomes the primary
	for _, e := range []*mysql.MySQLError{{Number: 1290, Message: "running with the --read-only option"}, {Number: 1836}} {
		err := translate(e)
		var refused *sqlqueue.RefusedError
		if errors.As(err, &refused) || !isReadOnly(err) {
			t.Errorf("%v", err)
		}
	}
	if isReadOnly(&mysql.MySQLError{Number: 1290, Message: "running with the --secure-file-priv option"}) {
		t.Error("another option is taken for read-only")
	}
}

// TestUnavailable: errors tell apart a replica, a node without its cluster, and a proxy without its server.
func TestUnavailable(t *testing.T) {
	for _, c := range []struct {
		number       uint16
		message, why string
	}{
		{1290, "The MySQL server is running with the --read-only option so it cannot execute this statement", "replica"},
		{1290, "The MySQL server is running with the --super-read-only option so it cannot execute this statement", "left its group"},
		{1290, "The MySQL server is running with the --skip-grant-tables option", ""},
		{1836, "Running in read-only mode", "replica"},
		{1047, "WSREP has not yet prepared node for application use", "not part of its cluster"},
		{1047, "Unknown command", ""},
		{2003, "Can't connect to remote MySQL server for client connected to '127.0.0.1:6446'", "a proxy answers"},
		{2013, "Lost connection to backend server", "a proxy answers"},
		{9001, "Max connect timeout reached while reaching hostgroup 0 after 10000ms", "a proxy answers"},
		{9001, "PD server timeout", ""},
		{1213, "Deadlock found", ""},
	} {
		server := &mysql.MySQLError{Number: c.number, Message: c.message}
		once := translate(server)
		if twice := translate(fmt.Errorf("x: %w", once)); !errors.Is(twice, server) || !strings.Contains(twice.Error(), c.why) ||
			twice.Error() != "x: "+once.Error() || c.why == "" && once != error(server) { //nolint:errorlint // the same, not wrapped
			t.Errorf("%d %s: %v, want %q", c.number, c.message, twice, c.why)
		}
	}
}

func TestKeyHeldIsToldByItsIndex(t *testing.T) {
	for message, want := range map[string]bool{
		"Duplicate entry 'default-a' for key 'jobs_unique'":                   true,
		"Duplicate entry 'default-a' for key 'jobs.jobs_unique'":              true,
		"Doppelter Eintrag 'default-a' f\u00fcr Schl\u00fcssel 'jobs_unique'": true,
		"'default-a' \u306f\u7d22\u5f15 'jobs_unique' \u3067\u91cd\u8907":     true,
		"Duplicate entry 'default-a' for key 'theirs'":                        false,
		"Duplicate entry 'a 'jobs_unique'' for key 'theirs.jobs_unique_too'":  false,
		"Duplicate entry '1' for key 'PRIMARY'":                               false,
		"":                                                                    false,
	} {
		if got := keyHeld(&mysql.MySQLError{Number: 1062, Message: message}, "jobs_unique"); got != want {
			t.Errorf("%s: %v", message, got)
		}
	}
}
