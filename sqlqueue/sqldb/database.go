package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Database is the part of a store that is the same for every SQL database.
type Database struct {
	Dialect Dialect
	Schema  string // that holds the tables; empty: the database chooses
	Prefix  string // before the names of tables and indexes
	DB      DB     // the store's pool, or the caller's transaction
	Bound   bool   // DB is the caller's transaction

	// Tx runs f in a transaction at READ COMMITTED: in one of the store's own, which is repeated after a deadlock, or in the caller's.
	Tx func(ctx context.Context, f func(DB) error) error

	// Within is Tx with the store that is bound to the transaction, for what the store does in methods of its own.
	Within func(ctx context.Context, f func(Store) error) error

	// Insert is the store's push, in a transaction that Tx has begun.
	Insert func(ctx context.Context, db DB, jobs []driver.NewJob) ([]driver.Pushed, error)
}

// Store is a driver.Store that works on a Database. Package operator needs one.
type Store interface {
	driver.Store
	SQL() *Database
}

// Of returns the Database of a store, or of the store that it wraps.
func Of(s driver.Store) (*Database, error) {
	on, ok := driver.As[Store](s)
	if !ok {
		return nil, errors.New("the queue's store has no SQL database")
	}
	return on.SQL(), nil
}

// Force is the text after a table's name that makes a statement use an index, where the database would not by itself.
func (d *Database) Force(index string) string {
	if d.Dialect.Force == "" {
		return ""
	}
	return fmt.Sprintf(d.Dialect.Force, d.Table(index))
}

// KeyHeld reports whether a statement failed because a unique key is held by another job.
func (d *Database) KeyHeld(err error) bool { return d.Dialect.KeyHeld(err, d.Prefix+"jobs_unique") }

// Clock reads the database's clock.
func (d *Database) Clock(ctx context.Context) (time.Time, error) {
	if d.Dialect.Now == "" {
		return time.Now().UTC(), nil
	}
	var now time.Time
	query := "SELECT " + fmt.Sprintf(d.Dialect.Micros, d.Dialect.Now)
	err := Each(ctx, d.DB, query, nil, func(scan func(...any) error) error { return scan(Reading(&now)...) })
	return now, err
}

// CheckSchema checks that the tables exist, and that this program can work with their version: its own, or a later one if no step in
// between stops older programs.
func (d *Database) CheckSchema(ctx context.Context) error {
	var version, compatible sql.NullInt64
	err := Each(ctx, d.DB, fmt.Sprintf("SELECT max(version_id), (SELECT max(compatible_from) FROM %s) FROM %s WHERE is_applied",
		d.Table("job_schema"), d.Table("sqlqueue_migrations")), nil,
		func(scan func(...any) error) error { return scan(&version, &compatible) })
	switch later := version.Int64 > driver.SchemaVersion; {
	case err != nil:
		return err
	case version.Int64 == 0:
		return driver.ErrNotMigrated
	case later && compatible.Int64 > driver.SchemaVersion, version.Int64 < driver.SchemaVersion:
		return &driver.SchemaError{Have: version.Int64, Need: driver.SchemaVersion}
	}
	return nil
}
