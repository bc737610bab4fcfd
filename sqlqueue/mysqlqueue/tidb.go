package mysqlqueue

import (
	"context"
	"database/sql"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// through is the DB of an Executor.
func (k *known) through(on sqldb.Executor) sqldb.DB { return sqldb.SQL(locking{on, k}, translate) }

// locking has statements lock what they say that they lock. TiDB takes SKIP LOCKED and then locks nothing, so that two would take
// themselves for the owner of a row. Without these words it locks, and waits for others' locks.
type locking struct {
	sqldb.Executor
	known *known
}

func (l locking) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return l.Executor.ExecContext(ctx, l.adapted(query), args...)
}

func (l locking) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return l.Executor.QueryContext(ctx, l.adapted(query), args...)
}

func (l locking) adapted(query string) string {
	if l.known.tidb.Load() {
		return strings.TrimSuffix(query, " SKIP LOCKED")
	}
	return query
}
