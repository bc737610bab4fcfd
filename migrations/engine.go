package migrations

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3/database"
)

// engine is what differs between the databases.
type engine struct {
	goose database.Dialect
	quote byte // around names
	// exists is a query whether the table %s exists where statements look for it.
	exists string
	// versions are the columns of goose's version table.
	versions string
	// objects is a query for what has one of the names %s there: name, kind (table, index, view and so on), and column, a row for each.
	objects string
	// appliedAt is an expression over the rows of one version: seconds since 1970 UTC.
	appliedAt string
	// lock waits for the migration lock that belongs to a version table, until ctx ends. release gives it back in any case, if need
	// be by closing the connection.
	lock func(ctx context.Context, conn *sql.Conn, table string) (release func(), err error)

	// The others may be nil. setup changes settings of the connection, and restore changes them back.
	setup func(ctx context.Context, conn *sql.Conn) (restore func(), err error)
	// prepare comes before migrations are applied, under the lock.
	prepare func(ctx context.Context, db *sql.DB) error
	// adapt says what a server of another make needs changed in a file; nil: nothing.
	adapt func(ctx context.Context, db *sql.DB) (edit func(sql string) string, err error)
	// repeatable changes a file so that it can be run again after it was interrupted.
	repeatable func(sql string) string
}

var engines = map[Dialect]engine{Postgres: postgresIn(""), MySQL: mysql, SQLite: sqlite}
