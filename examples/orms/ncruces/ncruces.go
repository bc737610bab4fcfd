// Package ncruces opens SQLite with github.com/ncruces/go-sqlite3. It is a package of its own, since mattn's driver registers the same
// name, sqlite3.
package ncruces

import (
	"database/sql"

	"github.com/ncruces/go-sqlite3/driver"
)

// Open opens a file.
func Open(file string) (*sql.DB, error) {
	return driver.Open("file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
}
