package pgqueue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
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
	_ = pgxDB{(*pgxpool.Conn)(nil)}
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
	conn *pgxpool.Conn
}

// Close may be called more than once, as Release may.
func (r pooledRows) Close() error {
	err := r.Rows.Close()
	r.conn.Release()
	return err
}

// acquire returns a connection of the pool that texts can go through.
func (s *store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	if err := checkEncoding(conn.Conn()); err != nil {
		conn.Release()
		return nil, err
	}
	return conn, nil
}

// checkEncoding refuses a session in which texts would not come and go as they are. The server tells of the encoding whenever it changes, so to
// ask costs nothing. An empty one is a pooler's that does not tell.
func checkEncoding(conn *pgx.Conn) error {
	if conn == nil {
		return nil
	}
	return encodingError(conn.PgConn().ParameterStatus("client_encoding"), conn.PgConn().ParameterStatus("server_encoding"))
}

func encodingError(client, server string) error {
	switch {
	case client == "" || strings.EqualFold(client, "UTF8"):
		return nil
	case client == "SQL_ASCII" && (server == "SQL_ASCII" || server == "UTF8"): // nothing is converted
		return nil
	}
	return &sqlqueue.RefusedError{
		Err: fmt.Errorf("the session's client_encoding is %s, and texts of jobs are UTF-8", client),
		Cure: "set client_encoding=UTF8 in the address or in the pool's ConnConfig.RuntimeParams, which counts before what ALTER DATABASE and " +
			"ALTER ROLE have set",
	}
}

// legible returns what makes texts of a database valid UTF-8 that does not see to it by itself; otherwise nil.
func legible(conn *pgx.Conn) func(string) string {
	if conn.PgConn().ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	return func(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
}

// sqlTx is an sqldb.DB over an *sql.Tx. The encoding of the first one of a store's is asked for; the others are taken to be of the same pool.
type sqlTx struct {
	sqldb.DB
	checked *atomic.Bool
}

func (d sqlTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := d.check(ctx); err != nil {
		return 0, err
	}
	return d.DB.Exec(ctx, query, args...)
}

func (d sqlTx) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	return d.DB.Query(ctx, query, args...)
}

func (d sqlTx) check(ctx context.Context) error {
	if d.checked.Load() {
		return nil
	}
	var client, server string
	if err := sqldb.Each(ctx, d.DB, encodingsSQL, nil, func(scan func(...any) error) error { return scan(&client, &server) }); err != nil {
		return err
	}
	if err := encodingError(client, server); err != nil {
		return err
	}
	d.checked.Store(true)
	return nil
}

const encodingsSQL = "SELECT current_setting('client_encoding'), current_setting('server_encoding')"

// arrayLiterals writes slices as PostgreSQL's array literals, which both pgx's stdlib driver and lib/pq pass on as they are.
type arrayLiterals struct{ sqldb.DB }

func (d arrayLiterals) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return d.DB.Exec(ctx, query, literals(args)...)
}

func (d arrayLiterals) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	return d.DB.Query(ctx, query, literals(args)...)
}

func literals(args []any) []any {
	written := make([]any, len(args))
	for i, arg := range args {
		switch a := arg.(type) {
		case []int64:
			written[i] = literal(a, func(n int64) string { return strconv.FormatInt(n, 10) })
		case []int16:
			written[i] = literal(a, func(n int16) string { return strconv.Itoa(int(n)) })
		case []string:
			written[i] = literal(a, quote)
		case []*int64:
			written[i] = literal(a, orNull(func(n int64) string { return strconv.FormatInt(n, 10) }))
		case []*string:
			written[i] = literal(a, orNull(quote))
		default:
			written[i] = arg
		}
	}
	return written
}

func literal[T any](elements []T, write func(T) string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(write(e))
	}
	b.WriteByte('}')
	return b.String()
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quote(s string) string { return `"` + escape.Replace(s) + `"` }

func orNull[T any](write func(T) string) func(*T) string {
	return func(p *T) string {
		if p == nil {
			return "NULL"
		}
		return write(*p)
	}
}
