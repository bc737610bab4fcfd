package mysqlqueue

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const (
	errCheckMySQL     = 3819 // a CHECK of the table says no
	errCheckMariaDB   = 4025 // the same
	errTooDeep        = 3157 // MySQL: JSON is nested too deeply
	errShutdown       = 1053 // server shutdown in progress
	errNotPrepared    = 1047 // Galera: the node is not part of a primary component
	errDuplicate      = 1062
	errOther          = 1105 // what proxies answer when they lose a server
	errNoTable        = 1146
	errDuringCommit   = 1180
	errLockTimeout    = 1205
	errDeadlock       = 1213
	errChanged        = 1020 // MariaDB: the row has changed since it was read (innodb_snapshot_isolation)
	errInterrupted    = 1317
	errKilled         = 1927 // MariaDB: the connection was killed
	errTimedOut       = 1969 // MariaDB: max_statement_time
	errHook           = 3100 // Group Replication: a hook failed
	errRolledBack     = 3101 // Group Replication: rolled back during commit
	firstOfClients    = 2000 // errors that libraries of clients, and proxies with them, make up themselves
	lastOfClients     = 2999
	firstOfOthers     = 8000 // TiDB's and ProxySQL's own
	deadlockInMessage = "Got error 149 "
)

func server(err error) *mysql.MySQLError {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e
	}
	return &mysql.MySQLError{}
}

// translate marks the error of a table that is not there, and explains the one of JSON that the server does not take.
func translate(err error) error {
	switch server(err).Number {
	case errNoTable:
		if !errors.Is(err, sqlqueue.ErrNotMigrated) {
			return fmt.Errorf("%w (%w)", sqlqueue.ErrNotMigrated, err)
		}
	case errCheckMySQL, errCheckMariaDB, errTooDeep:
		return fmt.Errorf("the server does not take the payload as JSON; MariaDB takes 31 levels of nesting, MySQL 100: %w", err)
	}
	return err
}

// transient: nothing of the transaction was kept, and it may go better next time.
func transient(err error) bool {
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		return false
	}
	switch e := server(err); e.Number {
	case errDeadlock, errLockTimeout, errChanged, errRolledBack:
		return true
	case errDuringCommit:
		return strings.Contains(e.Message, deadlockInMessage)
	}
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)
}

// outcome marks the error of a COMMIT, or of a statement that commits by itself, after which it may have been committed all the same: no
// answer of the server came, or only that it broke off, which can come when the commit was done already.
func outcome(err error) error {
	if err == nil || errors.Is(err, driver.ErrBadConn) { // the driver says ErrBadConn only when nothing was sent, or it was refused
		return err
	}
	e := server(err)
	switch n := e.Number; {
	case n == 0, n == errShutdown, n == errNotPrepared, n == errOther, n == errInterrupted, n == errKilled, n == errTimedOut, n == errHook,
		n == errDuringCommit && !transient(err), n >= firstOfClients && n <= lastOfClients, n >= firstOfOthers:
		return fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, err)
	}
	return err
}
