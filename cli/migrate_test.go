package cli

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// exec runs a statement on the database, beside the program.
func (s *shell) exec(statement string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file()+"?_busy_timeout=10000")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(s.t.Context(), statement, args...); err != nil {
		s.t.Fatal(err)
	}
}

// number reads one from the database, beside the program.
func (s *shell) number(query string) (n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.file()+"?_busy_timeout=10000")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(s.t.Context(), query).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *shell) file() string { return strings.TrimPrefix(s.dsn, "sqlite:") }

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	var known []struct {
		Version int64
		Name    string
	}
	other := migrated(t)
	fromJSON(t, other.ok("migrate", "status", "--json"), &known)
	var applied, takenBack, waiting []string // a line each
	width := len("create_jobs")
	for _, m := range known {
		width = max(width, len(m.Name))
		waiting = append(waiting, fmt.Sprintf(`{"version":%d,"name":%q,"applied":false}`, m.Version, m.Name))
		applied = append(applied, fmt.Sprintf("applied %d %s\n", m.Version, m.Name))
		takenBack = append([]string{fmt.Sprintf("rolled back %d %s\n", m.Version, m.Name)}, takenBack...)
	}
	status := fmt.Sprintf("VERSION  %-*s  APPLIED\n", width, "NAME")
	for _, m := range known {
		status += fmt.Sprintf("%7d  %-*s  no\n", m.Version, width, m.Name)
	}
	up, version := strings.Join(applied, ""), fmt.Sprintln(len(known))
	for _, step := range []struct {
		args string
		want string
	}{
		{"up", up},
		{"up", "nothing to do: the tables are up to date\n"},
		{"version", version},
		{"validate", "valid\n"},
		{"down --yes", takenBack[0]},
		{"down --all --yes", strings.Join(takenBack[1:], "")},
		{"down --yes", "nothing to do: no step is applied\n"},
		{"down --all --yes", "nothing to do: no step is applied\n"},
		{"version", "0\n"},
		{"status --json", "[" + strings.Join(waiting, ",\n ") + "]\n"},
		{"status", status},
		{"up", up},
		{"down --all --yes", strings.Join(takenBack, "")},
	} {
		want := result{stdout: step.want}
		if strings.HasPrefix(step.args, "up") || strings.HasPrefix(step.args, "down") {
			want.stderr = "database: sqlite file " + s.file() + "\n"
		}
		if got := s.run(append([]string{"migrate"}, strings.Fields(step.args)...)...); got != want {
			t.Fatalf("migrate %s: %+v, want %q", step.args, got, step.want)
		}
	}
	s.ok("migrate", "up")
	if got := s.ok("migrate", "status"); !strings.Contains(got, "ago)") && !strings.Contains(got, "(now)") {
		t.Errorf("the status does not tell when:\n%s", got)
	}
}

// Only migrate up makes the file.
func TestNoDatabase(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, command := range []string{
		"migrate down --yes", "migrate status", "migrate version", "migrate validate", "push a", "work --exec true", "queues", "jobs list",
		"failed", "retry --all", "pause", "clear --yes", "flush --yes", "prune-failed", "monitor a",
	} {
		args := strings.Fields(command)
		s.fails(1, []string{"there is no database", s.file(), "run sqlqueue migrate up"}, args...)
		if left, err := os.ReadDir(filepath.Dir(s.file())); err != nil || len(left) != 0 {
			t.Fatalf("%q has left %v, %v", args, left, err)
		}
	}
}

// Every connection is closed at the end: SQLite then removes its other files. WAL lets readers go on beside a writer.
func TestFiles(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	s.work("true")
	left, err := os.ReadDir(filepath.Dir(s.file()))
	if err != nil || len(left) != 1 {
		t.Errorf("there is %v, %v, want the database alone", left, err)
	}
	header, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	const wal = 2 // the version of the file's format, for writing and for reading
	if header[18] != wal || header[19] != wal {
		t.Error("the database is not in WAL mode")
	}
}

// A directory that is not there is not made.
func TestNoDirectory(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.dsn = "sqlite:" + filepath.Join(t.TempDir(), "no", "such.db")
	s.fails(1, []string{"cannot connect to sqlite file " + s.file() + ": unable to open database file (14)\n"}, "migrate", "up")
}

func TestFileIsNoDatabase(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if err := os.WriteFile(s.file(), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.fails(1, []string{"file is not a database"}, "migrate", "up")
	s.fails(1, []string{"file is not a database"}, "queues")
}

func TestTablesMissing(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.exec("CREATE TABLE other (id INTEGER)")
	for _, args := range [][]string{
		{"push", "a"},
		{"work", "--exec", "true"},
		{"queues"},
		{"jobs", "show", "1"},
		{"failed"},
		{"retry", "--all"},
		{"pause"},
		{"clear", "--yes"},
	} {
		s.fails(1, []string{"sqlqueue's tables are missing: run sqlqueue migrate up"}, args...)
	}
}

func TestTablesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec("INSERT INTO sqlqueue_migrations (version_id, is_applied) VALUES (99, 1)")
	s.ok("push", "a") // nothing says that this program cannot work with them
	s.exec("INSERT INTO job_schema (compatible_from) VALUES (99)")
	for _, args := range [][]string{{"push", "a"}, {"work", "--exec", "true"}, {"queues"}} {
		s.fails(1, []string{
			"the tables are of version 99, this program knows version " + strconv.Itoa(driver.SchemaVersion) + ": use a newer sqlqueue",
		}, args...)
	}
	for _, args := range [][]string{{"migrate", "up"}, {"migrate", "down", "--yes"}, {"migrate", "validate"}} {
		s.fails(1, []string{"version 99", "use a newer sqlqueue"}, args...)
	}
	s.exec("UPDATE sqlqueue_migrations SET is_applied = 0 WHERE version_id > 0")
	s.fails(1, []string{"run sqlqueue migrate up"}, "queues")
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.ok("migrate", "up", "--prefix", "shop_")
	s.ok("--prefix", "shop_", "push", "a")
	s.exec("SELECT 1 FROM shop_jobs")
	s.fails(1, []string{"run sqlqueue migrate up"}, "push", "a")
	for _, prefix := range []string{"a-b", "a b", "ä", `"`, "a;", strings.Repeat("p", 33)} {
		for _, args := range [][]string{{"queues"}, {"migrate", "up"}, {"work", "--exec", "true"}} {
			s.fails(2, []string{"table prefix", "letters, digits and underscores"}, append(args, "--prefix", prefix)...)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.fails(2, []string{`the schema "app": SQLite has none; name another file in the address`}, "migrate", "up", "--schema", "app")
	s.fails(2, []string{`the schema "app": MySQL and MariaDB have none; name another database in the address`},
		"queues", "--schema", "app", "--dsn", "mysql://app@127.0.0.1:1/shop")
	const postgres = "postgres://app@127.0.0.1:1/shop"
	for _, schema := range []string{"a-b", "a.b", `"`, "ä", strings.Repeat("s", 64)} {
		s.fails(2, []string{"schema", "at most 63 letters, digits and underscores"}, "queues", "--dsn", postgres, "--schema", schema)
	}
	s.fails(2, []string{"PostgreSQL keeps names that begin with pg_"}, "queues", "--dsn", postgres, "--schema", "pg_app")

	got := s.ok("migrate", "sql", "--dialect", "postgres", "--prefix", "p_", "--schema", "App")
	for _, want := range []string{
		`CREATE SCHEMA IF NOT EXISTS "App";`, `CREATE TABLE "App"."p_sqlqueue_migrations" (`, `CREATE TABLE "App"."p_jobs" (`,
		`CREATE INDEX "p_jobs_expiry" ON "App"."p_jobs" (expires_at)`, `INSERT INTO "App"."p_sqlqueue_migrations"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the statements lack %s", want)
		}
	}
	if got := s.ok("migrate", "sql", "--dialect", "postgres", "--schema", "App", "--down"); strings.Contains(got, "SCHEMA") ||
		!strings.Contains(got, `DROP TABLE "App"."sqlqueue_migrations";`) {
		t.Errorf("to take the steps back: %s", got)
	}
	s.fails(2, []string{"on MySQL and MariaDB use another database"}, "migrate", "sql", "--dialect", "mysql", "--schema", "app")
}

// Ten processes may start at once.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	results := make([]result, 10)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = s.run("migrate", "up") })
	}
	group.Wait()
	applied := 0
	for _, got := range results {
		if got.code != 0 {
			t.Errorf("exit code %d: %s", got.code, got.stderr)
		}
		if strings.HasPrefix(got.stdout, "applied") {
			applied++
		}
	}
	if applied != 1 {
		t.Errorf("%d have applied the step, want 1", applied)
	}
}

// The statements go to tools that know nothing of sqlqueue; what they make is complete.
func TestMigrateSQL(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.exec(s.ok("migrate", "sql"))
	if got := s.ok("migrate", "up"); got != "nothing to do: the tables are up to date\n" {
		t.Errorf("printed %q", got)
	}
	s.ok("push", "a")
	s.exec(s.ok("migrate", "sql", "--down"))
	if n := s.number("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'"); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	newest := strconv.Itoa(driver.SchemaVersion)
	if got := s.ok("migrate", "sql", "--dialect", "mariadb", "--prefix", "app_", "--after", newest); got != "" {
		t.Errorf("after the newest version: %q", got)
	}
	if got := s.ok("migrate", "sql", "--dialect", "postgres", "--prefix", "app_"); !strings.Contains(got, `CREATE TABLE "app_jobs" (`) {
		t.Errorf("for PostgreSQL: %s", got)
	}
	s.fails(2, []string{`unknown dialect "oracle"`}, "migrate", "sql", "--dialect", "oracle")
	s.fails(2, []string{"there is no version 99"}, "migrate", "sql", "--after", "99")
}
