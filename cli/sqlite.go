package cli

import (
	"database/sql"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// openSQLite opens sqlite:PATH in WAL mode. A new file is its owner's alone, as are the files that SQLite makes beside it: payloads are in
// them. One that is there keeps its mode.
func openSQLite(a address, config sqlqueue.Config) (*database, error) {
	parameters := url.Values{
		"_busy_timeout": {"10000"}, // milliseconds
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_txlock":       {"immediate"},
	}
	name := strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(a.path)
	if file, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil { // otherwise SQLite says what is wrong
		_ = file.Close()
	}
	db, err := sql.Open("sqlite", "file:"+name+"?"+parameters.Encode())
	if err != nil {
		return nil, err
	}
	queue, err := sqlitequeue.New(db, config)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &database{address: a, queue: queue, db: db, close: func() { _ = db.Close() }}, nil
}

// sqliteSettings reads what decides how fast a commit is, for this connection.
const sqliteSettings = `
SELECT 'version', sqlite_version()
UNION ALL SELECT 'journal_mode', upper(journal_mode) FROM pragma_journal_mode
UNION ALL SELECT 'synchronous', CASE synchronous WHEN 0 THEN 'OFF' WHEN 1 THEN 'NORMAL' WHEN 2 THEN 'FULL' ELSE 'EXTRA' END FROM pragma_synchronous`
