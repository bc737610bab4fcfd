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

// Migrations find the tables where a push does, also in a later schema of the search_path.
func TestPostgresMigratesWhereStatementsLook(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		admin := s.Open(t, dsn)
		mustExec(t, admin, "CREATE SCHEMA app", `CREATE SCHEMA "MySchema"`)
		migrator := func(path string) *migrations.Migrator {
			m, err := migrations.New(s.Open(t, with(t, dsn, "search_path", path)), migrations.Postgres, "")
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		if _, err := migrator(`"MySchema"`).Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		both := `app,"MySchema"`
		q, err := pgqueue.New((&tables{server: s, dsn: with(t, dsn, "search_path", both)}).pool(t), sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.PushMany(t.Context(), named(1)); err != nil {
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
			if err := admin.QueryRowContext(t.Context(),
				`SELECT coalesce(string_agg(schemaname, ' '), '') FROM pg_tables WHERE tablename = 'jobs'`).
				Scan(&schemas); err != nil || schemas != []string{"", "MySchema"}[want] {
				t.Errorf("the table jobs is in %q, %v", schemas, err)
			}
		}
		_, err = migrator(`nowhere`).Up(t.Context())
		if err == nil || !strings.Contains(err.Error(), "search_path") {
			t.Errorf("without a schema Up says %v", err)
		}
	})
}

// Migrations wait for each other and for tables, whatever time-outs the session has, and give the session back as it was.
func TestPostgresMigratesUnderTimeouts(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		admin := s.Open(t, dsn)
		blocker, err := admin.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = blocker.Rollback() }()
		if _, err := blocker.ExecContext(t.Context(), "LOCK TABLE jobs"); err != nil {
			t.Fatal(err)
		}
		short := dsn
		for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
			short = with(t, short, name, "50ms")
		}
		short = with(t, short, "default_transaction_isolation", "serializable")
		db := s.Open(t, short)
		db.SetMaxOpenConns(1)
		before := sessionSettings(t, db)
		down, up := make(chan error, 1), make(chan error, 1)
		start := func(db *sql.DB, step func(*migrations.Migrator) error, done chan error, waits string) {
			m, err := migrations.New(db, migrations.Postgres, "")
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- step(m) }()
			for longer := 0; longer == 0; {
				if err := admin.QueryRowContext(t.Context(),
					`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
					AND wait_event = $1 AND clock_timestamp() - query_start > interval '150 ms'`, waits).Scan(&longer); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %v", err)
				case <-t.Context().Done():
					t.Fatal("it never waited")
				default:
				}
			}
		}
		start(s.Open(t, short), func(m *migrations.Migrator) error { _, err := m.DownAll(t.Context()); return err }, down, "relation")
		start(db, func(m *migrations.Migrator) error { _, err := m.Up(t.Context()); return err }, up, "advisory")
		if err := blocker.Rollback(); err != nil {
			t.Fatal(err)
		}
		for _, done := range []chan error{down, up} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if after := sessionSettings(t, db); after != before {
			t.Errorf("the session had %s, and has %s", before, after)
		}
	})
}

func sessionSettings(t *testing.T, db *sql.DB) (settings string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN
		('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'default_transaction_isolation', `+
		`'search_path', 'client_encoding')`).
		Scan(&settings); err != nil {
		t.Fatal(err)
	}
	return settings
}

// What keeps tables from being made is said in plain words.
func TestPostgresMigratesReadOnly(t *testing.T) {
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := s.NewDatabase(t)
		m, err := migrations.New(s.Open(t, with(t, dsn, "default_transaction_read_only", "on")), migrations.Postgres, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "the session is read-only") {
			t.Errorf("Up says %v", err)
		}
	})
}
