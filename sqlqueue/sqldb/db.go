package sqldb

import (
	"context"
	"database/sql"
)

// DB runs statements: on a pool, or in a transaction. Errors are those that the store returns, as ErrNotMigrated.
type DB interface {
	// Exec returns the number of rows affected.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows is what *sql.Rows is.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Each runs a query and calls row for every row of its answer.
func Each(ctx context.Context, db DB, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // what matters of it is in Err
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Executor is a *sql.DB, *sql.Conn or *sql.Tx.
type Executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// SQL makes a DB of an Executor. Errors go through translate, which makes of a driver's errors those of package driver.
func SQL(db Executor, translate func(error) error) DB { return sqlDB{db, translate} }

// ExecutorOf returns the Executor that a DB was made of by SQL.
func ExecutorOf(db DB) (Executor, bool) {
	made, ok := db.(sqlDB)
	return made.db, ok
}

type sqlDB struct {
	db        Executor
	translate func(error) error
}

func (d sqlDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := d.db.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, d.translate(err)
	}
	return result.RowsAffected()
}

func (d sqlDB) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := d.db.QueryContext(ctx, query, args...) //nolint:rowserrcheck // who reads the rows asks for it
	if err != nil {
		return nil, d.translate(err)
	}
	return sqlRows{rows, d.translate}, nil
}

type sqlRows struct {
	*sql.Rows
	translate func(error) error
}

func (r sqlRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return r.translate(err)
	}
	return nil
}
