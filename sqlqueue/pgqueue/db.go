package pgqueue

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// pgxDB is an sqldb.DB over a connection or a transaction.
type pgxDB struct {
	db interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
		Conn() *pgx.Conn
	}
}

var (
	_ = pgxDB{connection(nil)}
	_ = pgxDB{pgx.Tx(nil)}
)

func (d pgxDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := checkEncoding(d.db.Conn()); err != nil {
		return 0, err
	}
	tag, err := d.db.Exec(ctx, query, args...)
	return tag.RowsAffected(), readOnly(d.db.Conn(), translate(err))
}

func (d pgxDB) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	if err := checkEncoding(d.db.Conn()); err != nil {
		return nil, err
	}
	rows, err := d.db.Query(ctx, query, args...)
	if err != nil {
		return nil, readOnly(d.db.Conn(), translate(err))
	}
	return pgxRows{rows, d.db.Conn()}, nil
}

type pgxRows struct {
	pgx.Rows
	conn *pgx.Conn
}

func (r pgxRows) Err() error { return readOnly(r.conn, translate(r.Rows.Err())) }

func (r pgxRows) Close() error {
	r.Rows.Close()
	return nil
}

// poolDB is an sqldb.DB over the store's pool. Rows have a connection until they are closed.
type poolDB struct{ *store }

func (d poolDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	conn, err := d.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	return pgxDB{conn}.Exec(ctx, query, args...)
}

func (d poolDB) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	conn, err := d.acquire(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := pgxDB{conn}.Query(ctx, query, args...)
	if err != nil {
		conn.Release()
		return nil, err
	}
	return pooledRows{rows, conn}, nil
}

type pooledRows struct {
	sqldb.Rows
	conn connection
}

// Close may be called more than once, as Release may.
func (r pooledRows) Close() error {
	err := r.Rows.Close()
	r.conn.Release()
	return err
}

// drain calls row for each row, and closes the rows.
func drain(rows sqldb.Rows, row func() error) error {
	var err error
	for err == nil && rows.Next() {
		err = row()
	}
	return cmp.Or(err, rows.Close(), rows.Err())
}
