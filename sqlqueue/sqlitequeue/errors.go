package sqlitequeue

import (
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// translate turns the error of a missing table into ErrNotMigrated, and what SQLite refuses for good into a *RefusedError. The drivers'
// errors have no type in common, but all have SQLite's own text.
func translate(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "no such table"):
		return fmt.Errorf("%w: %w", sqlqueue.ErrNotMigrated, err)
	case strings.Contains(text, "CHECK constraint failed: json_valid(payload)"):
		return fmt.Errorf("the payload is not JSON that SQLite takes (which nests at most 1,000 levels deep): %w", err)
	}
	for said, cure := range cures {
		if strings.Contains(err.Error(), said) {
			return &sqlqueue.RefusedError{Err: err, Cure: cure}
		}
	}
	return err
}

// cures are what to do about what SQLite refuses for good, by its text. A full disk is not among them: it may get room again.
var cures = map[string]string{
	"attempt to write a readonly database": "let this user write the file and its folder, " +
		"and check that the file was not replaced and is not opened with mode=ro",
	"database disk image is malformed": "the file is damaged: restore it from a backup, " +
		"or salvage it with .recover of the sqlite3 shell",
	"file is not a database":   "the file is something else, or encrypted: check the path",
	"access permission denied": "let this user read and write the file and its folder",
	"authorization denied":     "the application's authorizer forbids the statement: let it pass",
	"not authorized":           "the application's authorizer forbids the statement: let it pass",
}

// isBusy reports whether a statement failed because of other connections (SQLITE_BUSY, SQLITE_LOCKED).
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "database is locked") ||
		strings.Contains(text, "database table is locked") ||
		strings.Contains(text, "database schema is locked")
}

// keyHeld reports whether an error says that the index of unique keys has an entry already, and not some other unique index. SQLite names
// its columns.
func keyHeld(err error, index string) bool {
	table := strings.TrimSuffix(index, "_unique")
	return strings.Contains(err.Error(), "UNIQUE constraint failed: "+table+".queue, "+table+".unique_key")
}
