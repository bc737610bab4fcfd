package mysqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Check implements driver.Store.
func (s *store) Check(ctx context.Context) error {
	var version string
	if err := one(ctx, s.DB, "SELECT VERSION()", &version); err != nil {
		return err
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	if err := s.checkBinlog(ctx); err != nil {
		return err
	}
	if _, err := s.session(ctx, s.DB); err != nil {
		return err
	}
	return s.CheckSchema(ctx)
}

func isTiDB(version string) bool { return strings.Contains(version, "TiDB") }

var versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)`)

// checkVersion checks what VERSION() answers, such as "8.4.3", "10.11.6-MariaDB-log" or "8.0.11-TiDB-v8.5.0".
func checkVersion(version string) error {
	if isTiDB(version) { // the number before its own is that of the MySQL that it resembles, which says nothing about SKIP LOCKED and CHECK
		return nil
	}
	oldest, name := [3]int{8, 0, 16}, "MySQL"
	const why = "SKIP LOCKED, with which workers pass each other's jobs, and CHECK, which keeps bad rows out, are missing in it"
	if strings.Contains(version, "MariaDB") {
		oldest, name = [3]int{10, 6, 0}, "MariaDB"
	}
	number := versionNumber.FindStringSubmatch(version)
	if number == nil {
		return fmt.Errorf("%w: the server's version %q is not understood: MySQL 8.0.16 or later, or MariaDB 10.6 or later is needed",
			sqlqueue.ErrUnsupportedServer, version)
	}
	for i, need := range oldest {
		have, err := strconv.Atoi(number[i+1])
		if err != nil || have > need {
			return err
		}
		if have < need {
			return fmt.Errorf("%w: %s %s is too old: MySQL 8.0.16 or later, or MariaDB 10.6 or later is needed; %s",
				sqlqueue.ErrUnsupportedServer, name, version, why)
		}
	}
	return nil
}

// A server without these variables, such as TiDB, has no such restriction.
const binlogSQL = `SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')`

// checkBinlog refuses a server that would refuse every write at READ COMMITTED, with error 1665.
func (s *store) checkBinlog(ctx context.Context) error {
	variables := map[string]string{}
	err := each(ctx, s.DB, binlogSQL, func(scan func(...any) error) error {
		var name, value string
		err := scan(&name, &value)
		variables[name] = value
		return err
	})
	if err == nil && variables["log_bin"] == "ON" && variables["binlog_format"] == "STATEMENT" {
		err = fmt.Errorf("%w: the server's binlog_format is STATEMENT, with which InnoDB refuses writes "+
			"at READ COMMITTED (error 1665): set it to ROW or MIXED", sqlqueue.ErrUnsupportedServer)
	}
	return err
}

const sessionSQL = `
SELECT @@max_allowed_packet, @@autocommit, @@unique_checks, @@sql_safe_updates, @@sql_select_limit >= 9223372036854775807,
    @@character_set_client, @@character_set_connection, COALESCE(@@character_set_results, 'none'), VERSION()`

// session returns the server's max_allowed_packet. The first time, it also notes whether the server is TiDB, and refuses settings of the
// session under which jobs would be lost or changed in silence.
func (s *store) session(ctx context.Context, db sqldb.DB) (packet int64, err error) {
	if packet = s.known.packet.Load(); packet != 0 {
		return packet, nil
	}
	var autocommit, uniqueChecks, safeUpdates, allRows bool
	var sent, kept, received, version string
	if err := one(ctx, db, sessionSQL, &packet, &autocommit, &uniqueChecks, &safeUpdates, &allRows, &sent, &kept, &received,
		&version); err != nil {
		return 0, err
	}
	const utf8 = "utf8mb4"
	const of = "in the connections of this *sql.DB"
	const from = "out of the DSN and the server's settings and init_connect"
	switch {
	case sent != utf8 || received != utf8:
		return 0, fmt.Errorf("%w: the connections of this *sql.DB send text as %s and receive it as %s, which changes "+
			"some characters: set charset=utf8mb4 in the DSN, or no charset", sqlqueue.ErrUnsupportedServer, sent, received)
	case kept != utf8:
		return 0, fmt.Errorf("%w: %s the server reads text as %s, which changes some characters: "+
			"take character_set_connection and collation_connection %s", sqlqueue.ErrUnsupportedServer, of, kept, from)
	case !autocommit && s.bound == nil:
		return 0, fmt.Errorf("%w: autocommit is off in the connections of this *sql.DB, so that writes would be lost: "+
			"take autocommit out of the DSN and the server's init_connect", sqlqueue.ErrUnsupportedServer)
	case !uniqueChecks:
		return 0, fmt.Errorf("%w: unique_checks is off %s, so that two jobs could get the same unique key: take it %s",
			sqlqueue.ErrUnsupportedServer, of, from)
	case safeUpdates:
		return 0, fmt.Errorf("%w: sql_safe_updates is on %s, with which the server refuses some statements: take it %s",
			sqlqueue.ErrUnsupportedServer, of, from)
	case !allRows:
		return 0, fmt.Errorf("%w: sql_select_limit is set %s, so that jobs would look lost: take it %s",
			sqlqueue.ErrUnsupportedServer, of, from)
	}
	s.known.tidb.Store(isTiDB(version))
	s.known.packet.Store(packet)
	return packet, nil
}

// each calls row for every row of the answer to a statement without arguments.
func each(ctx context.Context, db sqldb.DB, statement string, row func(scan func(...any) error) error) error {
	return sqldb.Each(ctx, db, statement, nil, row)
}

// one reads one row.
func one(ctx context.Context, db sqldb.DB, statement string, dest ...any) error {
	found := false
	err := each(ctx, db, statement, func(scan func(...any) error) error {
		found = true
		return scan(dest...)
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}
