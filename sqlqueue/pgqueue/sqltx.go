package pgqueue

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// sqlTx is an sqldb.DB over a transaction of database/sql. A store checks the encoding of its first one, and takes the others to be of the
// same pool.
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
