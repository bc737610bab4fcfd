// Package migrationstest tests the migrations on a real server. It is for sqlqueue's own tests, and for those who run sqlqueue on a
// server that speaks one of the dialects and is not tested here.
package migrationstest

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sqlqueue/sqlqueue/migrations"
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
			if a.Version != int64(i+1) || !a.Applied || a.Name == "" || a.AppliedAt.Before(start) ||
				a.AppliedAt.After(s.now(t).Add(time.Minute)) {
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
	if _, err := s.db.ExecContext(t.Context(),
		"INSERT INTO "+s.quoted(prefix+"jobs")+` (queue, payload) VALUES ('mail', '{}')`); err != nil {
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

func (s suite) newerSchema(t *testing.T) {
	m := s.up(t, "")
	newer := migrations.Latest() + 6
	if _, err := s.db.ExecContext(t.Context(),
		fmt.Sprintf(`INSERT INTO %s (version_id, is_applied) VALUES (%d, true)`, migrations.VersionTable, newer)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the database's schema is version %d, this sqlqueue knows up to %d: use a newer sqlqueue",
		newer, migrations.Latest())
	_, up := m.Up(t.Context())
	_, down := m.Down(t.Context())
	_, downAll := m.DownAll(t.Context())
	for i, err := range []error{up, down, downAll, m.Validate(t.Context())} {
		if !errors.Is(err, migrations.ErrNewerSchema) || err.Error() != want {
			t.Errorf("error %d is %v, want %s", i, err, want)
		}
	}
	status, err := m.Status(t.Context())
	if last := status[len(status)-1]; err != nil || len(status) != int(migrations.Latest())+1 || last.Version != newer || !last.Applied ||
		last.Name != "" {
		t.Errorf("Status is %v, %v", status, err)
	}
	if version, err := m.Version(t.Context()); err != nil || version != newer {
		t.Errorf("Version is %d, %v", version, err)
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
