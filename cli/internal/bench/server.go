package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/migrations"
)

// Setting is one of a server's that decides how fast it is.
type Setting struct{ name, value string }

// sqliteSettings reads what decides how fast a commit is, for this connection.
const sqliteSettings = `
SELECT 'version', sqlite_version()
UNION ALL SELECT 'journal_mode', upper(journal_mode) FROM pragma_journal_mode
UNION ALL SELECT 'synchronous', CASE synchronous WHEN 0 THEN 'OFF' WHEN 1 THEN 'NORMAL' WHEN 2 THEN 'FULL' ELSE 'EXTRA' END ` +
	`FROM pragma_synchronous`

// postgresSettings reads what decides how fast a commit is, for this session.
const postgresSettings = `
SELECT 'version', current_setting('server_version')
UNION ALL SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'fsync', 'full_page_writes')
ORDER BY 1`

// mysqlSettings reads what decides how fast a commit is.
const mysqlSettings = `SHOW VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog')`

// settingsQueries read names and values, one of them the version.
var settingsQueries = map[migrations.Dialect]string{
	migrations.Postgres: postgresSettings,
	migrations.MySQL:    mysqlSettings,
	migrations.SQLite:   sqliteSettings,
}

// serverSettings reads the settings of an open database.
func serverSettings(ctx context.Context, d *open.Database) (settings []Setting, err error) {
	rows, err := d.DB.QueryContext(ctx, settingsQueries[d.Dialect])
	if err != nil {
		return nil, fmt.Errorf("cannot read the settings of %s: %w", d, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s Setting
		if err := rows.Scan(&s.name, &s.value); err != nil {
			return nil, err
		}
		settings = append(settings, s)
	}
	return settings, rows.Err()
}

// engineOf tells MariaDB, which says so in its version, from MySQL.
func engineOf(dialect migrations.Dialect, settings []Setting) string {
	for _, s := range settings {
		if s.name == "version" && strings.Contains(s.value, "MariaDB") {
			return "mariadb"
		}
	}
	return string(dialect)
}

// meanings tell what a setting means for the figures.
var meanings = map[Setting]string{
	{"synchronous_commit", "on"}: "a commit returns when it is on disk, also on synchronous standbys: single jobs wait for that",
	{"synchronous_commit", "remote_apply"}: "a commit returns when it is on disk and synchronous standbys show it: " +
		"single jobs wait for that",
	{"synchronous_commit", "remote_write"}: "a commit returns when it is on disk and synchronous standbys have it in memory: " +
		"single jobs wait for that",
	{"synchronous_commit", "local"}: "a commit returns when it is on disk here, and standbys are not waited for: " +
		"single jobs wait for the disk",
	{"synchronous_commit", "off"}: "a commit returns before it is on disk: single jobs are fast, and a crash can lose the last jobs",
	{"fsync", "on"}:               "committed data is on disk: the database survives a power cut",
	{"fsync", "off"}:              "nothing is forced to disk: fast, and a power cut can destroy the database",
	{"full_page_writes", "on"}:    "a page's first change after a checkpoint writes all of it to the log: safe, and slower for a while",
	{"full_page_writes", "off"}:   "less is written to the log: faster, and a power cut can leave pages half written",

	{"innodb_flush_log_at_trx_commit", "0"}: "a commit returns before it is written: single jobs are fast, and a crash of the server " +
		"can lose the last second",
	{"innodb_flush_log_at_trx_commit", "1"}: "a commit returns when it is on disk: single jobs wait for that",
	{"innodb_flush_log_at_trx_commit", "2"}: "a commit returns before it is on disk: single jobs are fast, " +
		"and a power cut can lose the last second",
	{"log_bin", "ON"}:    "each commit is also written to the binary log, which replicas and restores need",
	{"log_bin", "OFF"}:   "there is no binary log: less is written, and no replica can follow",
	{"sync_binlog", "0"}: "the binary log, if there is one, is not forced to disk: faster, and a power cut can lose the end of it",
	{"sync_binlog", "1"}: "the binary log, if there is one, is on disk before a commit returns: single jobs wait for that too",

	{"journal_mode", "WAL"}:   "a commit is appended to a log: readers and the writer do not wait for each other",
	{"synchronous", "NORMAL"}: "a commit returns before it is on disk: single jobs are fast, and a power cut can lose the last ones",
}
