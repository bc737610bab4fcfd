package integration

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// eachPostgres runs a subtest for each PostgreSQL server.
func eachPostgres(t *testing.T, test func(t *testing.T, s *servers.Server)) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("PostgreSQL only")
		}
		test(t, s)
	})
}

func execSQL(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Migrations find the tables where a push does, also in a later schema of the search_path.
func TestPostgresMigratesWhereStatementsLook(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		admin := s.Open(t, dsn)
		execSQL(t, admin, "CREATE SCHEMA app", `CREATE SCHEMA "My Schema"`)
		migrator := func(path string) *migrations.Migrator {
			m, err := migrations.New(s.Open(t, with(t, dsn, "search_path", path)), migrations.Postgres, "")
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		if _, err := migrator(`"My Schema"`).Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		both := `app, "My Schema"`
		q, err := pgqueue.New((&tables{server: s, dsn: with(t, dsn, "search_path", both)}).pool(t), sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.PushJSON(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		m := migrator(both)
		if version, err := m.Version(t.Context()); err != nil || version != migrations.Latest() {
			t.Errorf("the version is %d, %v", version, err)
		}
		if applied, err := m.Up(t.Context()); err != nil || len(applied) != 0 {
			t.Errorf("Up applied %v, %v", applied, err)
		}
		for want, change := range []func() ([]migrations.Migration, error){
			func() ([]migrations.Migration, error) { return m.DownAll(t.Context()) },
			func() ([]migrations.Migration, error) { return m.Up(t.Context()) },
		} { // the table of versions stays, and so does where the others belong
			if _, err := change(); err != nil {
				t.Fatal(err)
			}
			var schemas string
			if err := admin.QueryRowContext(t.Context(), `SELECT coalesce(string_agg(schemaname, ' '), '') FROM pg_tables WHERE tablename = 'jobs'`).
				Scan(&schemas); err != nil || schemas != []string{"", "My Schema"}[want] {
				t.Errorf("the table jobs is in %q, %v", schemas, err)
			}
		}
		_, err = migrator(`nowhere`).Up(t.Context())
		if err == nil || !strings.Contains(err.Error(), "search_path") {
			t.Errorf("without a schema Up says %v", err)
		}
	})
}

// Up waits for another migration, whatever time-outs the session has, and gives the session back as it was.
func TestPostgresMigratesUnderTimeouts(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		holder := s.Open(t, dsn)
		holder.SetMaxOpenConns(1)
		// FNV-1a of the name of the table of versions, as in docs/migrations.md
		const lock = "SELECT pg_advisory_lock(%)"
		_ = lock
	})
}
