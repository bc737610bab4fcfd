// Package migrationstest tests the migrations on a real server. It is for sqlqueue's own tests, and for those who run sqlqueue on a
// server that speaks one of the dialects and is not tested here.
package migrationstest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Run runs every case. Each call of open returns a new pool on the same database, which must be empty, is emptied before each case,
// and is left with whatever the last case made. The user needs to see and end its own other sessions, which servers allow by default.
func Run(t *testing.T, open func(t testing.TB) *sql.DB, dialect migrations.Dialect) {
	s := suite{open: open, dialect: dialect, db: open(t)}
	cases := []struct {
		name     string
		dialects []migrations.Dialect
		run      func(*testing.T)
	}{
		{"UpAndDown", all, s.upAndDown},
		{"StatusOnlyReads", all, s.statusOnlyReads},
		{"PlainInsert", all, s.plainInsert},
		{"AppliedAtInLocalTime", all, s.appliedAtInLocalTime},
		{"BadRowsAreRefused", all, s.badRows},
		{"EveryColumnHasAComment", servers, s.comments},
		{"PrefixBesideEmptyPrefix", all, s.prefix},
		{"OwnGoose", all, s.ownGoose},
		{"TenAtOnce", all, s.tenAtOnce},
		{"PoolOfOneConnection", all, s.oneConnection},
		{"WaitEndsWithContext", all, s.waitEndsWithContext},
		{"CancelWhileMigrating", all, s.cancelWhileMigrating},
		{"DeadSessionGivesLockBack", servers, s.deadSession},
		{"NewerSchema", all, s.newerSchema},
		{"TablesOfOthers", all, s.tablesOfOthers},
		{"TablesOfOtherQueues", all, s.tablesOfQueues},
		{"PrintedStatements", all, s.printed},
		{"EmptiedVersionTable", all, s.emptiedVersionTable},
		{"SomeTablesUnrecorded", []migrations.Dialect{migrations.Postgres, migrations.SQLite}, s.someTablesUnrecorded},
		{"InterruptedUp", []migrations.Dialect{migrations.MySQL}, s.interruptedUp},
		{"InterruptedDown", []migrations.Dialect{migrations.MySQL}, s.interruptedDown},
	}
	for _, c := range cases {
		if !slices.Contains(c.dialects, dialect) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s.empty(t)
			c.run(t)
		})
	}
}

var (
	servers = []migrations.Dialect{migrations.Postgres, migrations.MySQL}
	all     = append(slices.Clone(servers), migrations.SQLite)
)

type suite struct {
	open    func(t testing.TB) *sql.DB
	dialect migrations.Dialect
	db      *sql.DB
}

// now is the database's clock, to the second.
func (s suite) now(t *testing.T) time.Time {
	t.Helper()
	var seconds int64
	if err := s.db.QueryRowContext(t.Context(), map[migrations.Dialect]string{
		migrations.Postgres: "SELECT CAST(extract(epoch FROM clock_timestamp()) AS bigint)",
		migrations.MySQL:    "SELECT UNIX_TIMESTAMP()",
		migrations.SQLite:   "SELECT CAST(strftime('%s', 'now') AS INTEGER)",
	}[s.dialect]).Scan(&seconds); err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0).UTC()
}

func (s suite) upAndDown(t *testing.T) {
	m := s.migrator(t, s.db, "")
	s.wantVersion(t, m, 0)

	for range 2 {
		start := s.now(t).Add(-time.Minute)
		applied, err := m.Up(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(applied) != int(migrations.Latest()) {
			t.Fatalf("Up applied %v, want versions 1 to %d", applied, migrations.Latest())
		}
		for i, a := range applied {
			if a.Version != int64(i+1) || !a.Applied || a.Name == "" || a.AppliedAt.Before(start) || a.AppliedAt.After(s.now(t).Add(time.Minute)) {
				t.Errorf("Up applied %+v as number %d, now is %v", a, i+1, s.now(t))
			}
		}
		status, err := m.Status(t.Context())
		if err != nil || !slices.Equal(status, applied) {
			t.Errorf("Status is %v, %v after Up applied %v", status, err, applied)
		}
		s.wantVersion(t, m, migrations.Latest())
		if again, err := m.Up(t.Context()); err != nil || len(again) != 0 {
			t.Errorf("a second Up applied %v, %v", again, err)
		}

		one, err := m.Down(t.Context())
		if err != nil || len(one) != 1 || one[0].Version != migrations.Latest() || one[0].Applied {
			t.Fatalf("Down took back %v, %v, want version %d", one, err, migrations.Latest())
		}
		s.wantVersion(t, m, migrations.Latest()-1)
		rest, err := m.DownAll(t.Context())
		if err != nil || len(rest) != int(migrations.Latest()-1) {
			t.Fatalf("DownAll took back %v, %v", rest, err)
		}
		s.wantVersion(t, m, 0)
		if none, err := m.Down(t.Context()); err != nil || len(none) != 0 {
			t.Errorf("Down took back %v, %v when nothing was applied", none, err)
		}
		if left := s.tables(t); !slices.Equal(left, []string{migrations.VersionTable}) {
			t.Errorf("the tables %v are left, want only that of the versions", left)
		}
	}
}

func (s suite) statusOnlyReads(t *testing.T) {
	m := s.migrator(t, s.db, "")
	status, err := m.Status(t.Context())
	if err != nil || len(status) != int(migrations.Latest()) || status[0].Applied || !status[0].AppliedAt.IsZero() {
		t.Errorf("Status of an empty database is %v, %v", status, err)
	}
	s.wantVersion(t, m, 0)
	if err := m.Validate(t.Context()); err != nil {
		t.Errorf("Validate of an empty database: %v", err)
	}
	if none, err := m.DownAll(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("DownAll of an empty database took back %v, %v", none, err)
	}
	if tables := s.tables(t); len(tables) != 0 {
		t.Errorf("reading made the tables %v", tables)
	}
}

// A push from any language, in a session whose clock shows local time.
func (s suite) plainInsert(t *testing.T) {
	s.up(t, "")
	db := s.localTime(t)
	late := "" // seconds that the database's clock is ahead of available_at and created_at
	switch s.dialect {
	case migrations.Postgres:
		late = `extract(epoch FROM clock_timestamp() - available_at), extract(epoch FROM clock_timestamp() - created_at)`
	case migrations.MySQL:
		late = `TIMESTAMPDIFF(MICROSECOND, available_at, UTC_TIMESTAMP(6)) / 1e6, TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) / 1e6`
	case migrations.SQLite:
		const now = `CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`
		late = fmt.Sprintf(`(%s - available_at) / 1e6, (%s - created_at) / 1e6`, now, now)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO jobs (queue, payload) VALUES ('mail', '{"job":"send_invoice","data":{"order_id":42}}')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO jobs (payload) VALUES ('{}')`); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), `SELECT id, queue, priority, attempts, reserved, reserved_at IS NULL AND reserved_by IS NULL AND expires_at IS NULL
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
			t.Errorf("the job is id %d, queue %s, priority %d, attempts %d, reserved %t, else NULL %t", id, queue, priority, attempts, reserved, null)
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

func (s suite) prefix(t *testing.T) {
	const prefix = "App2_"
	s.up(t, "")
	plain := s.tables(t)
	m := s.up(t, prefix)
	s.wantVersion(t, m, migrations.Latest())

	var want []string
	for _, name := range plain {
		want = append(want, name, prefix+name)
	}
	slices.Sort(want)
	if got := s.tables(t); !slices.EqualFunc(got, want, strings.EqualFold) {
		t.Errorf("the tables are %v, want %v", got, want)
	}
	if _, err := s.migrator(t, s.db, "").DownAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantVersion(t, m, migrations.Latest())
	if _, err := m.Up(t.Context()); err != nil {
		t.Errorf("a second Up: %v", err)
	}
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO "+s.quoted(prefix+"jobs")+` (queue, payload) VALUES ('mail', '{}')`); err != nil {
		t.Error(err)
	}
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.tables(t); !slices.EqualFunc(got, []string{prefix + migrations.VersionTable, migrations.VersionTable}, strings.EqualFold) {
		t.Errorf("the tables are %v after both went down", got)
	}
}

// An application's goose and a Migrator see each other's work.
func (s suite) ownGoose(t *testing.T) {
	for _, prefix := range []string{"", "app_"} {
		files, err := migrations.Files(s.dialect, prefix)
		if err != nil {
			t.Fatal(err)
		}
		dialect := goose.Dialect(s.dialect)
		if s.dialect == migrations.SQLite {
			dialect = goose.DialectSQLite3
		}
		own, err := goose.NewProvider(dialect, s.db, files, goose.WithTableName(prefix+migrations.VersionTable))
		if err != nil {
			t.Fatal(err)
		}
		m := s.migrator(t, s.db, prefix)
		if results, err := own.Up(t.Context()); err != nil || len(results) != int(migrations.Latest()) {
			t.Fatalf("goose applied %v, %v", results, err)
		}
		s.wantVersion(t, m, migrations.Latest())
		if again, err := m.Up(t.Context()); err != nil || len(again) != 0 {
			t.Errorf("Up after goose applied %v, %v", again, err)
		}
		if _, err := m.DownAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.up(t, prefix)
		if _, err := own.DownTo(t.Context(), 0); err != nil {
			t.Errorf("goose down after Up: %v", err)
		}
		s.wantVersion(t, m, 0)
	}
}

func (s suite) tenAtOnce(t *testing.T) {
	for _, step := range []func(*migrations.Migrator) ([]migrations.Migration, error){
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.Up(t.Context()) },
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.DownAll(t.Context()) },
		func(m *migrations.Migrator) ([]migrations.Migration, error) { return m.Up(t.Context()) },
	} {
		start := time.Now()
		changed := make(chan []migrations.Migration, 10)
		var group sync.WaitGroup
		for range cap(changed) {
			m := s.migrator(t, s.open(t), "")
			group.Go(func() {
				did, err := step(m)
				if err != nil {
					t.Error(err)
				}
				changed <- did
			})
		}
		group.Wait()
		close(changed)
		workers := 0
		for did := range changed {
			if len(did) == int(migrations.Latest()) {
				workers++
			} else if len(did) != 0 {
				t.Errorf("one of them did %v", did)
			}
		}
		if workers != 1 {
			t.Errorf("%d of them did the work, want 1", workers)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

func (s suite) oneConnection(t *testing.T) {
	db := s.open(t)
	db.SetMaxOpenConns(1)
	m := s.migrator(t, db, "")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := m.Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s.wantVersion(t, m, migrations.Latest())
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s suite) waitEndsWithContext(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := s.migrator(t, s.open(t), "").Up(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error of a wait that ran out is %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it came %v after the call with 200 ms to wait", took)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.migrator(t, s.db, "").Up(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("the error with a canceled context is %v", err)
	}

	down.unblock()
	if err := <-down.done; err != nil {
		t.Errorf("Down that was held up: %v", err)
	}
	// whoever gave up holds no lock
	if _, err := s.migrator(t, s.open(t), "").Up(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s suite) cancelWhileMigrating(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)
	start := time.Now()
	down.cancel()
	if <-down.done == nil {
		t.Error("Down says nothing of the end of its context")
	}
	if took := time.Since(start); took > 20*time.Second { // some drivers of SQLite wait for the busy_timeout all the same
		t.Errorf("it came %v after its context ended", took)
	}
	down.unblock()
	m := s.migrator(t, s.open(t), "")
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	s.wantVersion(t, m, 0)
}

func (s suite) deadSession(t *testing.T) {
	s.up(t, "")
	down := s.blockedDown(t)
	next := make(chan error, 1)
	m := s.migrator(t, s.open(t), "")
	go func() {
		_, err := m.Up(t.Context())
		next <- err
	}()
	if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf(s.endSession(), down.session)); err != nil {
		t.Fatal(err)
	}
	if <-down.done == nil {
		t.Error("Down says nothing of the end of its session")
	}
	down.unblock()
	if err := <-next; err != nil {
		t.Errorf("the next in line: %v", err)
	}
	if _, err := m.DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	s.up(t, "")
}

// blocked is a Down that holds the migration lock and cannot go on until unblock.
type blocked struct {
	done    chan error
	cancel  context.CancelFunc
	unblock func()
	session int64 // the server's number of its session, not on SQLite
}

func (s suite) blockedDown(t *testing.T) blocked {
	tx, err := s.open(t).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	down := blocked{done: make(chan error, 1), cancel: cancel, unblock: func() { _ = tx.Rollback() }}
	t.Cleanup(down.unblock)
	t.Cleanup(cancel)
	hold := `SELECT 1 FROM ` + s.firstToGo(t)
	if s.dialect == migrations.SQLite {
		hold = `UPDATE jobs SET attempts = 0` // of no row, but it takes the database's write lock
	}
	if _, err := tx.ExecContext(t.Context(), hold); err != nil {
		t.Fatal(err)
	}

	db := s.open(t)
	if s.dialect == migrations.SQLite {
		db.SetMaxOpenConns(1)
		if _, err := db.ExecContext(t.Context(), `PRAGMA busy_timeout = 15000`); err != nil {
			t.Fatal(err)
		}
	}
	m := s.migrator(t, db, "")
	go func() {
		_, err := m.Down(ctx)
		down.done <- err
	}()
	if s.dialect == migrations.SQLite {
		var file string
		if err := s.db.QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
			t.Fatal(err)
		}
		s.eventually(t, func() bool { return isLocked(file + "-" + migrations.VersionTable + ".lock") })
		return down
	}
	s.eventually(t, func() bool { return s.db.QueryRowContext(t.Context(), s.findDrop()).Scan(&down.session) == nil })
	return down
}

// firstToGo is the table that Down changes first.
func (s suite) firstToGo(t *testing.T) string {
	files, err := migrations.Files(s.dialect, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(files, slices.Max(names))
	if err != nil {
		t.Fatal(err)
	}
	_, down, _ := strings.Cut(string(text), "-- +goose Down")
	found := regexp.MustCompile(`(?:DROP|ALTER) TABLE ["` + "`" + `]?(\w+)`).FindStringSubmatch(down)
	if found == nil {
		t.Fatalf("Down of the last step changes no table:\n%s", down)
	}
	return found[1]
}

// isLocked reports whether a file is there and somebody has locked it.
func isLocked(file string) bool {
	if _, err := os.Stat(file); err != nil {
		return false
	}
	lock := flock.New(file)
	defer func() { _ = lock.Close() }()
	mine, err := lock.TryLock()
	return err == nil && !mine
}

// findDrop selects the session whose DROP TABLE or ALTER TABLE waits.
func (s suite) findDrop() string {
	if s.dialect == migrations.Postgres {
		return `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND (query LIKE 'DROP TABLE%' OR query LIKE 'ALTER TABLE%')`
	}
	return `SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%' AND (info LIKE 'DROP TABLE%' OR info LIKE '%ALTER TABLE%')`
}

func (s suite) endSession() string {
	if s.dialect == migrations.Postgres {
		return `SELECT pg_terminate_backend(%d)`
	}
	return `KILL %d`
}

func (s suite) newerSchema(t *testing.T) {
	m := s.up(t, "")
	newer := migrations.Latest() + 6
	if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO %s (version_id, is_applied) VALUES (%d, true)`, migrations.VersionTable, newer)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the database's schema is version %d, this sqlqueue knows up to %d: use a newer sqlqueue", newer, migrations.Latest())
	_, up := m.Up(t.Context())
	_, down := m.Down(t.Context())
	_, downAll := m.DownAll(t.Context())
	for i, err := range []error{up, down, downAll, m.Validate(t.Context())} {
		if !errors.Is(err, migrations.ErrNewerSchema) || err.Error() != want {
			t.Errorf("error %d is %v, want %s", i, err, want)
		}
	}
	status, err := m.Status(t.Context())
	if last := status[len(status)-1]; err != nil || len(status) != int(migrations.Latest())+1 || last.Version != newer || !last.Applied || last.Name != "" {
		t.Errorf("Status is %v, %v", status, err)
	}
	if version, err := m.Version(t.Context()); err != nil || version != newer {
		t.Errorf("Version is %d, %v", version, err)
	}
}

// A table of the same name is neither used nor dropped, and nothing is left beside it.
// What others have under one of our names is recognised before anything is changed.
func (s suite) tablesOfOthers(t *testing.T) {
	columns := "id integer, " // as another framework has them
	for _, name := range []string{"queue", "payload", "attempts", "reserved_at", "available_at", "created_at", "name", "url", "minute", "host"} {
		columns += name + " integer, "
	}
	columns = strings.TrimSuffix(columns, ", ")
	others := map[string][]string{
		"the view job_queues": {"CREATE TABLE theirs (id integer)", "CREATE VIEW job_queues AS SELECT id FROM theirs"},
	}
	for _, table := range sqldb.Tables() {
		others["the table "+table+" "] = []string{"CREATE TABLE " + table + " (" + columns + ")"}
	}
	if s.dialect != migrations.MySQL { // where an index belongs to its table
		for _, index := range []string{"jobs_ready", "jobs_unique", "failed_jobs_queue", "job_counts_minute"} {
			others["the index "+index+" "] = []string{"CREATE TABLE theirs (id integer)", "CREATE INDEX " + index + " ON theirs (id)"}
		}
	}
	if s.dialect == migrations.Postgres {
		others["the sequence jobs "] = []string{"CREATE SEQUENCE jobs"}
		others["the type job_workers "] = []string{"CREATE TYPE job_workers AS ENUM ('a')"}
		others["the materialized view jobs "] = []string{"CREATE MATERIALIZED VIEW jobs AS SELECT 1 AS id"}
	}
	for what, statements := range others {
		t.Run(strings.TrimSpace(what), func(t *testing.T) {
			s.empty(t)
			for _, statement := range statements {
				if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			defer s.dropOthers(t, what)
			before := s.tables(t)
			m := s.migrator(t, s.db, "")
			_, err := m.Up(t.Context())
			if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "is not sqlqueue's: use a table prefix") {
				t.Errorf("Up says %v, want it to name %s", err, what)
			}
			s.wantVersion(t, m, 0)
			if after := s.tables(t); !slices.Equal(after, before) {
				t.Errorf("the tables were %v, and are %v", before, after)
			}
			if _, err := s.up(t, "app_").DownAll(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// tablesOfQueues: tables of Laravel and think-queue, which have our names, are known as theirs.
func (s suite) tablesOfQueues(t *testing.T) {
	for _, c := range []struct{ table, columns, says string }{
		{"jobs", "queue, payload, attempts, reserved_at, available_at, created_at", "Laravel's queue, whose jobs sqlqueue import laravel takes over"},
		{"jobs", "queue, payload, attempts, reserve_time, available_time, create_time", "think-queue's queue, whose jobs sqlqueue import think-queue takes over"},
		{"jobs", "queue, payload, attempts, reserved, reserved_at, available_at, created_at", "think-queue's queue"},
		{"failed_jobs", "uuid, connection, queue, payload, exception, failed_at", "Laravel's queue"},
		{"failed_jobs", "connection, queue, payload, exception, fail_time", "think-queue's queue"},
		{"job_batches", "name, total_jobs, pending_jobs, failed_jobs, failed_job_ids, options", "Laravel's queue"},
	} {
		s.empty(t)
		statement := "CREATE TABLE " + c.table + " (id integer, " + strings.ReplaceAll(c.columns, ",", " integer,") + " integer)"
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		before := s.tables(t)
		_, err := s.migrator(t, s.db, "").Up(t.Context())
		want := "the table " + c.table + " exists already and is not sqlqueue's: use a table prefix, another schema or another database (it is that of " + c.says
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Up says %v, want %s", err, want)
		}
		if after := s.tables(t); !slices.Equal(after, before) {
			t.Errorf("the tables were %v, and are %v", before, after)
		}
	}
}

// printed is what SQL says for other tools: it makes what Up makes, and records it, also from a version in between.
func (s suite) printed(t *testing.T) {
	run := func(prefix string, after int64, down bool) {
		t.Helper()
		text, err := migrations.SQL(s.dialect, prefix, after, down)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range split(text) {
			if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%v in\n%s", err, statement)
			}
		}
	}
	for _, prefix := range []string{"", "app_"} {
		m := s.migrator(t, s.db, prefix)
		run(prefix, 0, false)
		s.wantVersion(t, m, migrations.Latest())
		if applied, err := m.Up(t.Context()); err != nil || len(applied) != 0 {
			t.Errorf("afterwards Up applies %v, %v", applied, err)
		}
		run(prefix, 2, true)
		s.wantVersion(t, m, 2)
		run(prefix, 2, false)
		s.wantVersion(t, m, migrations.Latest())
		run(prefix, 0, true)
		if left := s.tables(t); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	}
}

// dropOthers drops what is not a table.
func (s suite) dropOthers(t *testing.T, what string) {
	t.Helper()
	words := strings.Fields(what)
	if kind := strings.Join(words[1:len(words)-1], " "); kind != "table" && kind != "index" {
		if _, err := s.db.ExecContext(t.Context(), "DROP "+kind+" "+words[len(words)-1]); err != nil {
			t.Error(err)
		}
	}
}

// A test suite that empties every table empties the table of versions as well.
func (s suite) emptiedVersionTable(t *testing.T) {
	for _, how := range []string{"DELETE FROM ", "DROP TABLE "} {
		m := s.up(t, "")
		if _, err := s.db.ExecContext(t.Context(), "INSERT INTO jobs (payload) VALUES ('{}')"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.ExecContext(t.Context(), how+migrations.VersionTable); err != nil {
			t.Fatal(err)
		}
		if applied, err := m.Up(t.Context()); err != nil || len(applied) != int(migrations.Latest()) {
			t.Fatalf("after %s Up applied %v, %v", how, applied, err)
		}
		s.wantVersion(t, m, migrations.Latest())
		var jobs int
		if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&jobs); err != nil || jobs != 1 {
			t.Errorf("of 1 job %d are left, %v", jobs, err)
		}
		if _, err := m.DownAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a step is done or not done, some of its tables without the others are not what Up can complete.
func (s suite) someTablesUnrecorded(t *testing.T) {
	m := s.up(t, "")
	for _, statement := range []string{"DELETE FROM " + migrations.VersionTable, "DROP TABLE job_counts"} {
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err := m.Up(t.Context())
	if err == nil || !strings.Contains(err.Error(), migrations.VersionTable) || !strings.Contains(err.Error(), "job_counts, job_counts_minute not") {
		t.Errorf("Up says %v, want it to name the table of versions and what is missing", err)
	}
	s.wantVersion(t, m, 0)
}

// MySQL commits each statement: whatever a dead server or process left, the next Up goes on from there.
func (s suite) interruptedUp(t *testing.T) {
	var up []string
	for _, step := range s.statements(t) {
		up = append(up, step.up...)
	}
	for done := range len(up) + 1 {
		s.empty(t)
		for _, statement := range up[:done] {
			if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		s.wantVersion(t, s.up(t, ""), migrations.Latest())
	}
	if _, err := s.migrator(t, s.db, "").DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	// a version table that was made, and its first row was not
	if _, err := s.db.ExecContext(t.Context(), `DELETE FROM `+migrations.VersionTable); err != nil {
		t.Fatal(err)
	}
	s.wantVersion(t, s.up(t, ""), migrations.Latest())
}

// Down takes back one step after the other, and records each: whatever a dead server left of one, the next Down goes on from there.
func (s suite) interruptedDown(t *testing.T) {
	steps := s.statements(t)
	m := s.up(t, "")
	for i := len(steps) - 1; i >= 0; i-- {
		before := int64(i)
		for done := range len(steps[i].down) + 1 {
			if _, err := m.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range len(steps) - 1 - i {
				if _, err := m.Down(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range steps[i].down[:done] {
				if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.Down(t.Context()); err != nil {
				t.Error(err)
			}
			s.wantVersion(t, m, before)
		}
	}
}

// step is the statements of a file.
type step struct{ up, down []string }

// statements are those of the files, in the order in which they run.
func (s suite) statements(t *testing.T) (steps []step) {
	files, err := migrations.Files(s.dialect, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(file), "-- +goose Up\n")
		up, down, _ := strings.Cut(body, "-- +goose Down\n")
		steps = append(steps, step{split(up), split(down)})
	}
	return steps
}

func split(body string) (statements []string) {
	for part := range strings.SplitSeq(body, ";\n") {
		if strings.TrimSpace(part) != "" {
			statements = append(statements, part)
		}
	}
	return statements
}

func (s suite) migrator(t *testing.T, db *sql.DB, prefix string) *migrations.Migrator {
	t.Helper()
	m, err := migrations.New(db, s.dialect, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s suite) up(t *testing.T, prefix string) *migrations.Migrator {
	t.Helper()
	m := s.migrator(t, s.db, prefix)
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (s suite) wantVersion(t *testing.T, m *migrations.Migrator, want int64) {
	t.Helper()
	if got, err := m.Version(t.Context()); err != nil || got != want {
		t.Errorf("the version is %d, %v, want %d", got, err, want)
	}
	if err := m.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s suite) tables(t *testing.T) (names []string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), map[migrations.Dialect]string{
		migrations.Postgres: `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`,
		migrations.MySQL:    `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`,
		migrations.SQLite:   `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'`,
	}[s.dialect])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func (s suite) empty(t *testing.T) {
	t.Helper()
	for _, name := range s.tables(t) {
		if _, err := s.db.ExecContext(t.Context(), "DROP TABLE "+s.quoted(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s suite) quoted(name string) string {
	if s.dialect == migrations.MySQL {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}

func (s suite) eventually(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen within 20 s")
		}
	}
}
