package migrationstest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/migrations"
)

// A push from any language, in a session whose clock shows local time.
func (s suite) plainInsert(t *testing.T) {
	s.up(t, "")
	db := s.localTime(t)
	late := "" // seconds that the database's clock is ahead of available_at and created_at
	switch s.dialect {
	case migrations.Postgres:
		late = `extract(epoch FROM clock_timestamp() - available_at), extract(epoch FROM clock_timestamp() - created_at)`
	case migrations.MySQL:
		late = `TIMESTAMPDIFF(MICROSECOND, available_at, UTC_TIMESTAMP(6)) / 1e6, TIMESTAMPDIFF(MICROSECOND, created_at, ` +
			`UTC_TIMESTAMP(6)) / 1e6`
	case migrations.SQLite:
		const now = `CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`
		late = fmt.Sprintf(`(%s - available_at) / 1e6, (%s - created_at) / 1e6`, now, now)
	}
	if _, err := db.ExecContext(t.Context(),
		`INSERT INTO jobs (queue, payload) VALUES ('mail', '{"job":"send_invoice","data":{"order_id":42}}')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO jobs (payload) VALUES ('{}')`); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(),
		`SELECT id, queue, priority, attempts, reserved, reserved_at IS NULL AND reserved_by IS NULL AND expires_at IS NULL
		AND unique_key IS NULL, `+late+` FROM jobs ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for _, want := range []string{"mail", "default"} {
		var id, priority, attempts int64
		var queue string
		var reserved, null bool
		var available, created float64
		if !rows.Next() {
			t.Fatalf("the job in queue %s is missing: %v", want, rows.Err())
		}
		if err := rows.Scan(&id, &queue, &priority, &attempts, &reserved, &null, &available, &created); err != nil {
			t.Fatal(err)
		}
		if id < 1 || queue != want || priority != 0 || attempts != 0 || reserved || !null {
			t.Errorf("the job is id %d, queue %s, priority %d, attempts %d, reserved %t, else NULL %t",
				id, queue, priority, attempts, reserved, null)
		}
		if max(available, -available, created, -created) > 30 {
			t.Errorf("available_at is %g s and created_at %g s ago, want now", available, created)
		}
	}
}

func (s suite) appliedAtInLocalTime(t *testing.T) {
	start := s.now(t).Add(-time.Minute)
	applied, err := s.migrator(t, s.localTime(t), "").Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range applied {
		if a.AppliedAt.Before(start) || a.AppliedAt.After(s.now(t).Add(time.Minute)) {
			t.Errorf("it says %v, now is %v", a.AppliedAt, s.now(t))
		}
	}
}

// localTime opens a pool of one connection, 8 hours east of UTC. SQLite has no such setting.
func (s suite) localTime(t *testing.T) *sql.DB {
	t.Helper()
	db := s.open(t)
	db.SetMaxOpenConns(1)
	set := map[migrations.Dialect]string{
		migrations.Postgres: `SET TIME ZONE INTERVAL '+08:00' HOUR TO MINUTE`,
		migrations.MySQL:    `SET time_zone = '+08:00'`,
		migrations.SQLite:   `SELECT 1`,
	}[s.dialect]
	if _, err := db.ExecContext(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	return db
}

func (s suite) badRows(t *testing.T) {
	s.up(t, "")
	insert := func(queue, columns, values string) error {
		_, err := s.db.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO jobs (queue%s) VALUES ('%s'%s)`, columns, queue, values))
		return err
	}
	for _, queue := range []string{"q", "Mail_2 (new)", strings.Repeat("q", 191), strings.Repeat("队", 191), "it''s"} {
		if err := insert(queue, ", payload", ", '{}'"); err != nil {
			t.Errorf("the queue %q is refused: %v", queue, err)
		}
	}
	for _, queue := range []string{"", " ", " mail", "mail ", "a,b", ",", strings.Repeat("q", 192)} {
		if insert(queue, ", payload", ", '{}'") == nil {
			t.Errorf("the queue %q is accepted", queue)
		}
	}
	for _, bad := range [][2]string{
		{", payload", ", '{'"},
		{", payload", ", NULL"},
		{", payload, attempts", ", '{}', -1"},
		{", payload, priority", ", '{}', 32768"},
		{", payload, reserved_by", ", '{}', 'w-1'"},
		{", payload, expires_at", ", '{}', created_at"},
		{", payload, reserved", ", '{}', " + map[bool]string{true: "true", false: "1"}[s.dialect == migrations.Postgres]},
		{", payload, unique_key", ", '{}', '" + strings.Repeat("k", 192) + "'"},
	} {
		if insert("q", bad[0], bad[1]) == nil {
			t.Errorf("a job with queue%s = q%s is accepted", bad[0], bad[1])
		}
	}
	for _, want := range []bool{true, false} {
		if err := insert("q", ", payload, unique_key", ", '{}', 'k'"); (err == nil) != want {
			t.Errorf("a unique key is accepted: %t, want %t: %v", err == nil, want, err)
		}
	}
	if insert("other", ", payload, unique_key", ", '{}', 'k'") != nil {
		t.Error("another queue's unique key counts")
	}
}

func (s suite) comments(t *testing.T) {
	s.up(t, "")
	query := `SELECT c.relname || '.' || a.attname, COALESCE(col_description(c.oid, a.attnum), ''), COALESCE(obj_description(c.oid), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname <> '` + migrations.VersionTable + `'`
	if s.dialect == migrations.MySQL {
		query = `SELECT CONCAT(table_name, '.', column_name), column_comment, table_comment
			FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
			WHERE table_schema = DATABASE() AND table_name <> '` + migrations.VersionTable + `'`
	}
	rows, err := s.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns := 0
	for rows.Next() {
		var name, column, table string
		if err := rows.Scan(&name, &column, &table); err != nil {
			t.Fatal(err)
		}
		columns++
		if column == "" || table == "" {
			t.Errorf("%s: the column's comment is %q and its table's %q", name, column, table)
		}
	}
	if err := rows.Err(); err != nil || columns < 30 {
		t.Errorf("saw %d columns: %v", columns, err)
	}
}
