package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/pressly/goose/v3/database"
)

// The table of versions is looked for as statements look for tables: along the search_path. New tables go into the first schema of it.
var postgres = engine{
	goose:  database.DialectPostgres,
	quote:  '"',
	exists: `SELECT to_regclass('"%s"') IS NOT NULL`,
	objects: `SELECT c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index'
			WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'type' END, a.attname
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relname IN (%[1]s)
		UNION ALL SELECT typname, 'type', NULL FROM pg_type
		WHERE typrelid = 0 AND typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND typname IN (%[1]s)`,
	appliedAt: `extract(epoch FROM max(tstamp)::timestamptz)::bigint`,
	lock:      lockPostgres,
	prepare:   preparePostgres,
}

// settingsPostgres is what migrations rely on, whatever the role, the database or the address sets, and what it was before.
const settingsPostgres = `
SELECT s.name, s.setting, set_config(s.name, w.value, false)
FROM pg_settings s JOIN (VALUES ('lock_timeout', '0'), ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
    ('transaction_timeout', '0'), ('client_encoding', 'UTF8'), ('standard_conforming_strings', 'on'),
    ('default_transaction_isolation', 'read committed')) AS w(name, value) USING (name)
WHERE s.setting <> w.value`

// schemaPostgres makes the schema of the table of versions, if statements find it in another one than the first, the first of the search_path,
// and returns what that was before.
const schemaPostgres = `
SELECT 'search_path', s.before, set_config('search_path', quote_ident(n.nspname) || ', ' || s.before, false)
FROM (SELECT current_setting('search_path')) AS s(before), pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('"%s"') AND n.nspname <> current_schema()`

// lockPostgres takes an advisory lock, which belongs to the session and the database.
func lockPostgres(ctx context.Context, conn *sql.Conn, table string) (func(), error) {
	before := map[string]string{}
	restore := func() {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		for name, value := range before {
			if _, err := conn.ExecContext(ctx, `SELECT set_config('`+name+`', '`+strings.ReplaceAll(value, `'`, `''`)+`', false)`); err != nil {
				discard(conn)
			}
		}
	}
	if err := setPostgres(ctx, conn, settingsPostgres, before); err != nil {
		return nil, err
	}
	hash := fnv.New64a()
	hash.Write([]byte(table))
	id := int64(hash.Sum64())
	if _, err := conn.ExecContext(ctx, fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, id)); err != nil {
		return nil, err
	}
	release := func() {
		unlock(ctx, conn, fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, id))
		restore()
	}
	if err := setPostgres(ctx, conn, fmt.Sprintf(schemaPostgres, table), before); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// setPostgres runs a query that changes settings of the session, and notes the values that they had.
func setPostgres(ctx context.Context, conn *sql.Conn, query string, before map[string]string) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, was, is string
		if err := rows.Scan(&name, &was, &is); err != nil {
			return err
		}
		before[name] = was
	}
	return rows.Err()
}

// preparePostgres says what keeps tables from being made.
func preparePostgres(ctx context.Context, db *sql.DB) error {
	var schema sql.NullString
	var standby, readOnly bool
	if err := db.QueryRowContext(ctx, `SELECT current_schema(), pg_is_in_recovery(), current_setting('transaction_read_only')::boolean`).
		Scan(&schema, &standby, &readOnly); err != nil {
		return err
	}
	switch {
	case standby:
		return errors.New("the server is a standby, which cannot be written to: migrate on the primary server")
	case readOnly:
		return errors.New("the session is read-only (default_transaction_read_only, of the role, the database or the address): " +
			"migrate with a role that may write")
	case !schema.Valid:
		return errors.New("the search_path names no schema that exists and that the role may use: name one, as with ?search_path=public in the address")
	}
	return nil
}
