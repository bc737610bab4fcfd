package mysqlqueue

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	errCheckMySQL      = 3819 // a CHECK of the table failed
	errCheckMariaDB    = 4025 // the same
	errTooDeep         = 3157 // MySQL: JSON is nested too deeply
	errShutdown        = 1053 // server shutdown in progress
	errNotPrepared     = 1047 // Galera: the node is not part of a primary component
	errDuplicate       = 1062
	errOther           = 1105 // what proxies answer when they lose a server
	errNoTable         = 1146
	errDuringCommit    = 1180
	errLockTimeout     = 1205
	errDeadlock        = 1213
	errChanged         = 1020 // MariaDB: the row has changed since it was read (innodb_snapshot_isolation)
	errInterrupted     = 1317
	errKilled          = 1927 // MariaDB: the connection was killed
	errTimedOut        = 1969 // MariaDB: max_statement_time
	errHook            = 3100 // Group Replication: a hook failed
	errRolledBack      = 3101 // Group Replication: rolled back during commit
	errNoAutoIncrement = 1467 // MariaDB, when many insert at once
	errOption          = 1290 // the server runs with an option that forbids it, such as --read-only
	errReadOnly        = 1836 // the server is read-only
	firstOfClients     = 2000 // errors that clients' libraries make, and proxies with them
	lastOfClients      = 2999
	firstOfOthers      = 8000 // those of TiDB and ProxySQL
	errConflict        = 8002 // TiDB: a row that was locked has been changed by another transaction
	errEntryTooLarge   = 8025 // TiDB: a row of more than txn-entry-size-limit, 6 MB
	deadlockInMessage  = "Got error 149 "

	// What TiDB says of transactions that others have stopped. The first has the number of all that it has no number for.
	lockLimitInMessage = "pessimistic lock retry limit reached"
	tryAgainInMessage  = "[try again later]"
)

func server(err error) *mysql.MySQLError {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e
	}
	return &mysql.MySQLError{}
}

// cures are what to do about what the server refuses for good.
var cures = map[uint16]string{
	1044: "grant the user the rights on this database (docs/security.md has the least grants)",
	1045: "check the user and the password, and from which hosts the user may connect",
	1049: "create the database, or name another in the address",
	1130: "let the user connect from this host",
	1142: "grant the user this right (docs/security.md has the least grants)",
	1143: "grant the user this right for the whole table (docs/security.md has the least grants)",
	1227: "grant the user this right",
	1370: "grant the user this right",
	1410: "grant the user this right",
	1698: "check the user and how it proves who it is, and from which hosts it may connect",
	1820: "set a new password",
	1862: "set a new password",
	3118: "unlock the account",

	1054: changedTables,
	1136: changedTables,
	1048: changedTables,
	1264: changedTables,
	1265: changedTables,
	1292: changedTables,
	1364: changedTables,
	1366: changedTables,
	1406: changedTables,

	1036: "the table is read-only: find out why, innodb_force_recovery and innodb_read_only among others",
	1175: "take sql_safe_updates out of the DSN and the server's init_connect",
	1665: "set the server's binlog_format to ROW or MIXED",
	1792: "take transaction_read_only (tx_read_only) out of the DSN and the server's settings",
}

const changedTables = "the table is not as sqlqueue migrate up makes it, or a trigger is in the way: compare it with the migration's file"

// translate turns the error of a missing table into ErrNotMigrated, and what the server refuses for good into a *RefusedError. It explains
// the error about a payload that the server does not take as JSON.
func translate(err error) error {
	var refused *sqlqueue.RefusedError
	if errors.As(err, &refused) {
		return err
	}
	e := server(err)
	if cure := cures[e.Number]; cure != "" {
		return &sqlqueue.RefusedError{Err: err, Cure: cure}
	}
	switch e.Number {
	case errNoTable:
		if !errors.Is(err, sqlqueue.ErrNotMigrated) {
			return fmt.Errorf("%w (%w)", sqlqueue.ErrNotMigrated, err)
		}
	case errCheckMySQL, errCheckMariaDB, errTooDeep:
		const why = "the server does not take the payload as JSON; MariaDB takes 31 levels of nesting, MySQL 100"
		if payload := e.Number == errTooDeep || checkOfPayload.MatchString(e.Message); payload && !strings.Contains(err.Error(), why) {
			return fmt.Errorf("%s: %w", why, err)
		}
	}
	if why := unavailable(err); why != "" && !strings.Contains(err.Error(), why) {
		return fmt.Errorf("%s: %w", why, err)
	}
	return err
}

// unavailable tells apart why a server, or a proxy, answers and takes no writes now. It is empty for other errors.
func unavailable(err error) string {
	e := server(err)
	switch {
	case isReadOnly(err):
		return "the server takes no writes: it is a replica, was the primary before a failover, or has left its group"
	case isApart(err):
		return "the node is not part of its cluster now: it has left, is joining, or has lost the majority of the others"
	case e.Number >= firstOfClients && e.Number <= lastOfClients, e.Number >= firstOfOthers && strings.Contains(e.Message, "hostgroup"):
		return "a proxy answers, and does not reach its server"
	}
	return ""
}

// isApart reports whether a node of Galera takes nothing, because it is not part of a cluster that has the majority of its nodes.
func isApart(err error) bool {
	e := server(err)
	return e.Number == errNotPrepared && strings.Contains(e.Message, "WSREP")
}

// checkOfPayload is the name of the first CHECK of jobs and of failed_jobs, which MariaDB and MySQL give it.
var checkOfPayload = regexp.MustCompile(`CONSTRAINT_1\b|jobs_chk_1\b`)

// isReadOnly reports whether the server takes no writes. That may last for ever, as on a replica, or until another server has become the
// primary, so it is no *RefusedError.
func isReadOnly(err error) bool {
	e := server(err)
	return e.Number == errReadOnly || e.Number == errOption && strings.Contains(e.Message, "read-only")
}

// keyHeld reports whether an error says that the index of unique keys has an entry already, and not some other unique index. The index is
// the last name in quotes, in every language of the server's messages, and on MySQL its table stands before it.
func keyHeld(err error, index string) bool {
	e := server(err)
	parts := strings.Split(e.Message, "'")
	if e.Number != errDuplicate || len(parts) < 2 {
		return false
	}
	name := parts[len(parts)-2]
	return name[strings.LastIndex(name, ".")+1:] == index
}

// transient reports whether nothing of the transaction was kept, and it is worth another try.
func transient(err error) bool {
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		return false
	}
	switch e := server(err); {
	case slices.Contains([]uint16{errDeadlock, errLockTimeout, errChanged, errRolledBack, errNoAutoIncrement, errConflict}, e.Number):
		return true
	case e.Number == errDuringCommit:
		return strings.Contains(e.Message, deadlockInMessage)
	case e.Number == errOther:
		return strings.Contains(e.Message, lockLimitInMessage)
	case e.Number >= firstOfOthers:
		return strings.Contains(e.Message, tryAgainInMessage)
	}
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)
}

// outcome marks the error of a COMMIT, or of a statement that commits by itself, after which it may have been committed all the same:
// because the server did not answer, or answered that it was interrupted, which it can after the commit.
func outcome(err error) error {
	if err == nil || errors.Is(err, driver.ErrBadConn) { // the driver returns ErrBadConn only if nothing was sent, or it was refused
		return err
	}
	e := server(err)
	switch n := e.Number; {
	case n != 0 && transient(err), n == errEntryTooLarge:
		return err
	case n == 0, n == errShutdown, n == errNotPrepared, n == errOther, n == errInterrupted, n == errKilled, n == errTimedOut, n == errHook,
		n == errDuringCommit, n >= firstOfClients && n <= lastOfClients, n >= firstOfOthers:
		return fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, err)
	}
	return err
}
