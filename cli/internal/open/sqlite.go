package open

import (
	"database/sql"
	"net/url"
	"os"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// openSQLite opens sqlite:PATH in WAL mode. A new file is its owner's alone, as are the files that SQLite makes beside it: payloads are in
// them. One that is there keeps its mode.
func openSQLite(a Address, config sqlqueue.Config) (*Database, error) {
	parameters := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
		"_txlock": {"immediate"},
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
	return &Database{Address: a, Queue: queue, DB: db, Close: func() { _ = db.Close() }}, nil
}
