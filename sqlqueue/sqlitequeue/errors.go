package sqlitequeue

import (
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// translate names the errors that callers tell apart. The drivers have no type in common, but all of them give SQLite's own text.
func translate(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "no such table"):
		return fmt.Errorf("%w: %w", sqlqueue.ErrNotMigrated, err)
	case strings.Contains(text, "CHECK constraint failed: json_valid(payload)"):
		return fmt.Errorf("the payload is not JSON that SQLite takes (which nests at most 1,000 levels deep): %w", err)
	}
	return err
}

// isBusy tells whether the statement failed because of other connections (SQLITE_BUSY, SQLITE_LOCKED).
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "database is locked") ||
		strings.Contains(text, "database table is locked") ||
		strings.Contains(text, "database schema is locked")
}
