package integration

import (
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/migrations/migrationstest"
)

func TestMigrations(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		migrationstest.Run(t, func(tb testing.TB) *sql.DB { return s.Open(tb, dsn) }, dialectOf(s))
	})
}

// TestGooseCommand: goose's own command runs the files as they are, in the words of docs/migrations.md, and our Migrator agrees with
// what it did.
func TestGooseCommand(t *testing.T) {
	t.Parallel()
	goose := filepath.Join(t.TempDir(), "goose")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", goose, // the tags leave out drivers of other databases
		"-tags", "no_clickhouse no_libsql no_mssql no_turso no_vertica no_ydb", "github.com/pressly/goose/v3/cmd/goose")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	documented := content(t, "../docs/migrations.md")
	run := func(t *testing.T, dialect, dsn string, db *sql.DB) {
		m, err := migrations.New(db, migrations.Dialect(dialect), "")
		if err != nil {
			t.Fatal(err)
		}
		line := ""
		for l := range strings.Lines(documented) {
			if strings.HasPrefix(l, "goose ") && strings.Contains(l, "migrations/"+dialect) {
				line = strings.TrimSpace(l)
			}
		}
		if line == "" {
			t.Fatalf("docs/migrations.md has no line for goose on %s", dialect)
		}
		for _, step := range []struct {
			command string
			version int64
		}{{"up", migrations.Latest()}, {"status", migrations.Latest()}, {"reset", 0}, {"up", migrations.Latest()}} {
			words := strings.TrimSuffix(line, " up") + " " + step.command
			command := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(words, "queue.db", `"$DSN"`, 1))
			command.Dir = ".."
			command.Env = append(os.Environ(), "PATH="+filepath.Dir(goose)+":"+os.Getenv("PATH"), "DSN="+dsn)
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", words, err, output)
			}
			version, err := m.Version(t.Context())
			if err != nil || version != step.version {
				t.Fatalf("after %q our version is %d, %v, want %d", words, version, err, step.version)
			}
		}
		if err := m.Validate(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := m.DownAll(t.Context()); err != nil {
			t.Error(err)
		}
	}
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		if s.Engine == "postgres" {
			run(t, "postgres", dsn, s.Open(t, dsn))
			return
		}
		run(t, "mysql", driverDSN(t, dsn), s.Open(t, dsn))
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "queue.db")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		run(t, "sqlite", path, db)
	})
}

func dialectOf(s *servers.Server) migrations.Dialect {
	if s.Engine == "postgres" {
		return migrations.Postgres
	}
	return migrations.MySQL
}

// driverDSN is a mysql:// address as go-sql-driver takes it.
func driverDSN(t *testing.T, dsn string) string {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the address of the test's database is not one")
	}
	password, _ := address.User.Password()
	return address.User.Username() + ":" + password + "@tcp(" + address.Host + ")" + address.Path
}
