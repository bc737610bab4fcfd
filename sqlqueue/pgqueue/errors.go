package pgqueue

import (
	"errors"
	"fmt"
	"strings"

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

// translate marks the error of a table that is not there.
func translate(err error) error {
	if state(err) == "42P01" {
		return fmt.Errorf("%w (%w)", sqlqueue.ErrNotMigrated, err)
	}
	return err
}

// transient: the database has rolled the transaction back, and it may go better next time.
func transient(err error) bool {
	switch state(err) {
	case "40001", "40P01":
		return true
	}
	return false
}

// outcome marks the error of a write of our own that may have been committed all the same: no answer of the server came, or only that it
// goes down, which can come while a commit waits for a standby. That a connection is closed counts as no answer, although pgx says that it is
// safe to repeat: it says so too when the connection was lost while the answer to a batch was read.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	var notConnected *pgconn.ConnectError
	if errors.As(err, &notConnected) || pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) {
		return err
	}
	if code := state(err); code != "" && !strings.HasPrefix(code, "57P") && !strings.HasPrefix(code, "08") {
		return err
	}
	return fmt.Errorf("%w: %w", sqlqueue.ErrOutcomeUnknown, err)
}
