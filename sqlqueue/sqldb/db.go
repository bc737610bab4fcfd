package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
)

// DB runs statements: on a pool, or in a transaction. Errors are those that the store returns, as ErrNotMigrated.
type DB interface {
	// Exec returns the number of rows affected.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows are the methods of *sql.Rows.
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
	defer func() { _ = rows.Close() }() // Err has the error that matters
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Executor runs statements: a *sql.DB, *sql.Conn or *sql.Tx, or an ORM's type for these, such as the ConnPool of GORM, a *sqlx.Tx or a
// bun.Tx.
type Executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// CheckTx returns an error if a Queue cannot be bound to this transaction: it is nil, or a nil pointer, or it is a pool, on which each
// statement is a transaction by itself. Other packages' pools are not recognised.
func CheckTx(tx Executor) error {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the transaction is nil")
	}
	if _, isPool := tx.(*sql.DB); isPool {
		return errors.New("a *sql.DB is not a transaction: use the *sql.Tx of its BeginTx")
	}
	return nil
}

// SQL makes a DB of an Executor. Translate turns the database driver's errors into those of package driver.
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
