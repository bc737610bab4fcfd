package sqlitequeue

import (
	"strings"
)

// keyHeld reports whether an error says that the index of unique keys, and not a trigger's or somebody's own, has an entry already. SQLite
// names the columns.
func keyHeld(err error, index string) bool {
	table := strings.TrimSuffix(index, "_unique")
	return strings.Contains(err.Error(), "UNIQUE constraint failed: "+table+".queue, "+table+".unique_key")
}
