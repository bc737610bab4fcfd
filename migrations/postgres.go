package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"

	"github.com/pressly/goose/v3/database"
)

var postgres = engine{
	goose:     database.DialectPostgres,
	quote:     '"',
	exists:    `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = '%s')`,
	appliedAt: `extract(epoch FROM max(tstamp)::timestamptz)::bigint`,
	lock:      lockPostgres,
}

// lockPostgres takes an advisory lock, which belongs to the session and the database.
func lockPostgres(ctx context.Context, conn *sql.Conn, table string) (func(), error) {
	hash := fnv.New64a()
	hash.Write([]byte(table))
	id := int64(hash.Sum64())
	if _, err := conn.ExecContext(ctx, fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, id)); err != nil {
		return nil, err
	}
	return func() { unlock(ctx, conn, fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, id)) }, nil
}
