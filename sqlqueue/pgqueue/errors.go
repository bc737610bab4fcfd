package pgqueue

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// state returns the error's SQLSTATE, whichever driver it is from, or nothing.
func state(err error) string {
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		return server.SQLState()
	}
	return ""
}

// cures are what to do about what the server refuses for good, by SQLSTATE.
var cures = map[string]string{
	"28000": checkUser, // invalid_authorization_specification
	"28P01": checkUser, // invalid_password
	"3D000": "create the database, or name another in the address",
	"42501": "grant the role this right (docs/security.md has the least grants), and look at the table's row security policies",

	"22001": changedTables, // string_data_right_truncation: a column was made shorter
	"23502": changedTables, // not_null_violation: a column was added
	"428C9": changedTables, // generated_always
	"42703": changedTables, // undefined_column
	"42804": changedTables, // datatype_mismatch
	"42809": changedTables, // wrong_object_type
	"42883": changedTables, // undefined_function, as of an operator for the column's type
	"42P10": changedTables, // invalid_column_reference: ON CONFLICT without the index

	"26000": prepared, // invalid_sql_statement_name
	"42P05": prepared, // duplicate_prepared_statement
}

const (
	prepared      = "prepared statements do not stay with their connection: " + unfitMode
	checkUser     = "check the user and the password in the address, and the server's pg_hba.conf"
	changedTables = "the tables are not as sqlqueue migrate up makes them, or other tables of these names come first in the search_path: " +
		"compare them with migrations/postgres"
)

// translate turns the error of a missing table into ErrNotMigrated, and what the server refuses for good into a *RefusedError.
func translate(err error) error {
	var refused *sqlqueue.RefusedError
	if err == nil || errors.As(err, &refused) || errors.Is(err, sqlqueue.ErrNotMigrated) {
		return err
	}
	code := state(err)
	if code == "42P01" {
		return fmt.Errorf("%w (%w)", sqlqueue.ErrNotMigrated, err)
	}
	if cure := cures[code]; cure != "" {
		return &sqlqueue.RefusedError{Err: err, Cure: cure}
	}
	if code == "08P01" && strings.Contains(err.Error(), "bind message") { // another client's statement has the name
		return &sqlqueue.RefusedError{Err: err, Cure: prepared}
	}
	return because(unavailable(err), err)
}

// unavailable tells apart why a server, or a proxy, answers and does not serve now. It is empty for other errors.
func unavailable(err error) string {
	var notConnected *pgconn.ConnectError
	switch code := state(err); {
	case code == "57P03":
		return "the server is starting, stopping or recovering"
	case strings.HasPrefix(code, "08"):
		return "a pooler answers, and does not reach its server"
	case code == "" && errors.As(err, &notConnected) &&
		(errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)):
		return "the connection is accepted and closed at once, as by a proxy whose server is down"
	}
	return ""
}

// because puts a reason before an error, once.
func because(why string, err error) error {
	if why == "" || strings.Contains(err.Error(), why) {
		return err
	}
	return fmt.Errorf("%s: %w", why, err)
}

// readOnly turns the error of a session that may not write into a *RefusedError. A standby is none of these: it may become the primary.
func readOnly(conn *pgx.Conn, err error) error {
	if state(err) != "25006" || conn == nil {
		return err
	}
	switch conn.PgConn().ParameterStatus("in_hot_standby") {
	case "off":
	case "on":
		return because("the server is a standby: give the primary's address, "+
			"or those of all and target_session_attrs=read-write", err)
	default: // a pooler does not say
		return err
	}
	return &sqlqueue.RefusedError{
		Err: err,
		Cure: "the role, the database, the address or the transaction sets default_transaction_read_only or READ ONLY: " +
			"take it away, or use a role that may write",
	}
}

// transient reports whether the database has rolled the transaction back because of others, or because the client was silent for too long,
// so that it is worth another try: as PostgreSQL, Citus, CockroachDB and YugabyteDB say it.
func transient(err error) bool {
	switch state(err) {
	case "40001", "40P01", "25P03": // serialization_failure, deadlock_detected, idle_in_transaction_session_timeout
		return true
	}
	return false
}

// outcome marks the error of a write of the store's own that may have been committed all the same: because the server did not answer, or
// answered only that it is going down, which it can while a commit waits for a standby. A closed connection counts as no answer, although
// pgx calls it safe to retry: it does so, too, when the connection was lost while the answer to a batch was read.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	var notConnected *pgconn.ConnectError
	if errors.As(err, &notConnected) || pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) {
		return err
	}
	const statementCompletionUnknown = "40003" // CockroachDB
	code := state(err)
	if code != "" && code != statementCompletionUnknown && !strings.HasPrefix(code, "57P") && !strings.HasPrefix(code, "08") {
		return err
	}
	return fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, err)
}

// keyHeld reports whether an error says that the index of unique keys has an entry already, and not some other unique index.
func keyHeld(err error, index string) bool {
	const uniqueViolation = "23505"
	if state(err) != uniqueViolation {
		return false
	}
	var pgx *pgconn.PgError
	if errors.As(err, &pgx) {
		return pgx.ConstraintName == index
	}
	var pq interface{ Get(field byte) string } // lib/pq
	const constraint = 'n'
	return errors.As(err, &pq) && pq.Get(constraint) == index
}
