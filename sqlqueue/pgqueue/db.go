package pgqueue

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/operator"
)

// pgxDB is an operator.DB over a pool or a transaction.
type pgxDB struct {
	db interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
}

var (
	_ = pgxDB{(*pgxpool.Pool)(nil)}
	_ = pgxDB{pgx.Tx(nil)}
)

func (d pgxDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := d.db.Exec(ctx, query, args...)
	return tag.RowsAffected(), translate(err)
}

func (d pgxDB) Query(ctx context.Context, query string, args ...any) (operator.Rows, error) {
	rows, err := d.db.Query(ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	return pgxRows{rows}, nil
}

type pgxRows struct{ pgx.Rows }

func (r pgxRows) Err() error { return translate(r.Rows.Err()) }

func (r pgxRows) Close() error {
	r.Rows.Close()
	return nil
}

// arrayLiterals writes slices as PostgreSQL's array literals, which both pgx's stdlib driver and lib/pq pass on as they are.
type arrayLiterals struct{ operator.DB }

func (d arrayLiterals) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return d.DB.Exec(ctx, query, literals(args)...)
}

func (d arrayLiterals) Query(ctx context.Context, query string, args ...any) (operator.Rows, error) {
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
