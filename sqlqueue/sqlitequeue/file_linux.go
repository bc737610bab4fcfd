package sqlitequeue

import (
	"os"
	"strings"
)

// deletedBeside returns which of the files that SQLite keeps beside the database was replaced or deleted while this process has it open, or
// nothing. SQLite itself deletes them only when it closes them.
func deletedBeside(path string) string {
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		name, err := os.Readlink(open + "/" + entry.Name())
		if err != nil {
			continue
		}
		if name, deleted := strings.CutSuffix(name, " (deleted)"); deleted && (name == path+"-wal" || name == path+"-shm") {
			return name
		}
	}
	return ""
}
