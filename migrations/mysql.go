package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3/database"
)

// mysql is also MariaDB's.
var mysql = engine{
	versions: `id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, version_id bigint NOT NULL,
    is_applied boolean NOT NULL, tstamp datetime NULL DEFAULT CURRENT_TIMESTAMP`,
	goose:  database.DialectMySQL,
	quote:  '`',
	exists: `SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '%s')`,
	objects: `SELECT table_name, CASE table_type WHEN 'VIEW' THEN 'view' ELSE 'table' END, column_name
		FROM information_schema.tables JOIN information_schema.columns USING (table_schema, table_name)
		WHERE table_schema = DATABASE() AND table_name IN (%s)`,
	appliedAt:  `CAST(UNIX_TIMESTAMP(MAX(tstamp)) AS SIGNED)`,
	lock:       lockMySQL,
	setup:      setupMySQL,
	prepare:    prepareMySQL,
	adapt:      adaptMySQL,
	repeatable: repeatableMySQL,
}

// setupMySQL sets what migrations rely on, whatever the server, its init_connect or the DSN say: how their SQL is read, and that nothing
// ends the wait for another migration. The connection is closed at the end, instead of being set back.
func setupMySQL(ctx context.Context, conn *sql.Conn) (restore func(), err error) {
	restore = func() { discard(conn) }
	var version string
	if err := conn.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&version); err != nil {
		return nil, err
	}
	limit := `max_execution_time = 0`
	if strings.Contains(version, "MariaDB") {
		limit = `max_statement_time = 0`
	}
	for _, statement := range []string{
		`SET NAMES utf8mb4`,
		`SET SESSION TRANSACTION READ WRITE`,
		`SET SESSION sql_mode = 'STRICT_TRANS_TABLES', autocommit = 1, completion_type = 0, sql_safe_updates = 0, ` +
			`sql_select_limit = 18446744073709551615, ` + limit,
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			restore()
			return nil, err
		}
	}
	return restore, nil
}

// lockMySQL takes a named lock, which belongs to the session.
func lockMySQL(ctx context.Context, conn *sql.Conn, table string) (func(), error) {
	var name sql.NullString
	if err := conn.QueryRowContext(ctx, `SELECT DATABASE()`).Scan(&name); err != nil {
		return nil, err
	}
	if !name.Valid {
		return nil, errors.New("the address names no database")
	}
	lock := mysqlLockName(name.String, table)
	for {
		// In pieces, so that the server forgets a client that is gone.
		var got sql.NullBool
		if err := conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT GET_LOCK('%s', 10)`, lock)).Scan(&got); err != nil {
			return nil, err
		}
		switch {
		case !got.Valid:
			return nil, errors.New("GET_LOCK failed in the server")
		case got.Bool:
			return func() { unlock(ctx, conn, fmt.Sprintf(`DO RELEASE_LOCK('%s')`, lock)) }, nil
		}
	}
}

// mysqlLockName is different for each database, since the server has one set of names for all, and of at most 64 characters. Some
// servers see no difference between capital and small letters in names of databases.
func mysqlLockName(database, table string) string {
	return fmt.Sprintf("sqlqueue_migrations_%x", sha256.Sum256([]byte(strings.ToLower(database)+"/"+table)))[:64]
}

// repeatableMySQL makes up for DDL that commits by itself.
func repeatableMySQL(sql string) string {
	sql = alterColumn.ReplaceAllStringFunc(sql, func(statement string) string {
		part := alterColumn.FindStringSubmatch(statement)
		there := map[string]string{"ADD": "=", "DROP": "<>"}[part[2]] + " 0"
		return fmt.Sprintf("\nSET @sqlqueue_step = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()"+
			" AND table_name = '%s' AND column_name = '%s') %s, '%s', 'DO 0');\nPREPARE sqlqueue_step FROM @sqlqueue_step;\n"+
			"EXECUTE sqlqueue_step;\n"+
			"DEALLOCATE PREPARE sqlqueue_step;",
			part[1], part[3], there, strings.ReplaceAll(strings.TrimSpace(strings.TrimSuffix(statement, ";")), "'", "''"))
	})
	return strings.NewReplacer(
		"\nCREATE TABLE `", "\nCREATE TABLE IF NOT EXISTS `",
		"\nDROP TABLE `", "\nDROP TABLE IF EXISTS `",
	).Replace(sql)
}

// alterColumn is a statement that adds or drops one column.
var alterColumn = regexp.MustCompile("\nALTER TABLE `(\\w+)` (ADD|DROP) COLUMN (\\w+)[^;]*;")

// prepareMySQL refuses servers that are too old.
func prepareMySQL(ctx context.Context, db *sql.DB) error {
	var version string
	if err := db.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&version); err != nil {
		return err
	}
	return supportedMySQL(version)
}

// forTiDB changes a file for TiDB: the only time that it takes as a default is that of the session's zone, and it has no utf16.
var forTiDB = strings.NewReplacer(
	"(UTC_TIMESTAMP(6))", "CURRENT_TIMESTAMP(6)",
	"CHECK (CONVERT(CONVERT(name USING utf16) USING utf8mb4) = name),\n", "\n",
)

// adaptMySQL implements engine.adapt.
func adaptMySQL(ctx context.Context, db *sql.DB) (edit func(sql string) string, err error) {
	var version string
	if err := db.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&version); err != nil || !strings.Contains(version, "TiDB") {
		return nil, err
	}
	return forTiDB.Replace, nil
}

var versionNumber = regexp.MustCompile(`(\d+)\.(\d+)\.(\d+)`)

// supportedMySQL judges what VERSION() answers. A server of another make that speaks the protocol, such as TiDB, is not judged.
func supportedMySQL(version string) error {
	match := versionNumber.FindStringSubmatch(strings.TrimPrefix(version, "5.5.5-")) // some MariaDB put it there, for old replicas
	if match == nil || strings.Contains(version, "TiDB") {
		return nil
	}
	var number []int
	for _, part := range match[1:] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		number = append(number, n)
	}
	if strings.Contains(version, "MariaDB") {
		if slices.Compare(number, []int{10, 6, 0}) < 0 {
			return fmt.Errorf("this is MariaDB %s; sqlqueue needs 10.6 or later, which has SKIP LOCKED", version)
		}
		return nil
	}
	if slices.Compare(number, []int{8, 0, 16}) < 0 {
		return fmt.Errorf("this is MySQL %s; sqlqueue needs 8.0.16 or later, which has SKIP LOCKED and keeps CHECKs", version)
	}
	return nil
}
