package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

func schemaMigrator(t *testing.T, db *sql.DB, schema string) *migrations.Migrator {
	t.Helper()
	m, err := migrations.New(db, migrations.Postgres, "", migrations.Schema(schema))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPostgresSchemas: queues in schemas of one database do not see one another, whatever is first in the search_path.
func TestPostgresSchemas(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		ctx := t.Context()
		dsn := s.NewDatabase(t)
		db := s.Open(t, dsn)
		pool := (&tables{server: s, dsn: dsn}).pool(t)
		in := func(schema string) *sqlqueue.Queue {
			t.Helper()
			q, err := pgqueue.New(pool, sqlqueue.Config{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		first, second, neither := in("first"), in("Second"), in("")
		if _, err := schemaMigrator(t, db, "first").Up(ctx); err != nil {
			t.Fatal(err)
		}
		for _, q := range []*sqlqueue.Queue{second, neither} {
			_, pushed := q.PushMany(ctx, named(1))
			if check := q.Check(ctx); !errors.Is(check, sqlqueue.ErrNotMigrated) || !errors.Is(pushed, sqlqueue.ErrNotMigrated) {
				t.Errorf("in schema %q, which has no tables: %v, %v", q.Config().Schema, check, pushed)
			}
		}
		if _, err := schemaMigrator(t, db, "Second").Up(ctx); err != nil {
			t.Fatal(err)
		}

		hears := listen(t, dsn, "Second.sqlqueue")
		if _, err := first.Push(ctx, sqlqueue.Named("a", nil), sqlqueue.OnQueue("first")); err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pgqueue.WithSQLTx(second, tx).Push(ctx, sqlqueue.Named("b", nil), sqlqueue.OnQueue("second")); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		hears("second") // and nothing of the first before it

		for q, want := range map[*sqlqueue.Queue]string{first: "first", second: "second"} {
			if jobs, err := operator.New(q).Jobs(ctx, operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].Queue != want {
				t.Errorf("the jobs in schema %s are %+v, %v", q.Config().Schema, jobs, err)
			}
		}
		byPath := postgresQueue(t, s, with(t, dsn, "search_path", `"Second",first`))
		if jobs, err := operator.New(byPath).Jobs(ctx, operator.JobFilter{}); err != nil || len(jobs) != 1 || jobs[0].Queue != "second" {
			t.Errorf("along the search_path the jobs are %+v, %v", jobs, err)
		}
		if _, err := schemaMigrator(t, db, "first").DownAll(ctx); err != nil {
			t.Fatal(err)
		}
		if err := second.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestPostgresSchemaIsMade: Up makes a schema that is missing if the role may, and otherwise says what the owner of the database can run.
func TestPostgresSchemaIsMade(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		ctx := t.Context()
		admin := s.Open(t, s.NewDatabase(t))
		role := "r" + strings.ToLower(rand.Text()[:8])
		mustExec(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'")
		t.Cleanup(func() { // after the database, in which it owns tables, has been dropped
			if _, err := admin.ExecContext(context.WithoutCancel(ctx), "DROP ROLE "+role); err != nil {
				t.Error(err)
			}
		})
		dsn := s.NewDatabase(t)
		owner := s.Open(t, dsn)
		address := mustURL(t, dsn)
		address.User = url.UserPassword(role, password)
		m := schemaMigrator(t, s.Open(t, address.String()), "Queue")
		_, err := m.Up(ctx)
		cure := `CREATE SCHEMA "Queue" AUTHORIZATION ` + role
		if err == nil || !strings.Contains(err.Error(), `there is no schema "Queue", and this role may not make one`) ||
			!strings.Contains(err.Error(), cure) {
			t.Fatalf("without the right Up says %v", err)
		}
		if status, err := m.Status(ctx); err != nil || status[0].Applied {
			t.Errorf("without the schema the status is %v, %v", status, err)
		}
		mustExec(t, owner, cure)
		if _, err := m.Up(ctx); err != nil {
			t.Fatal(err)
		}

		// another session makes it at the same time
		tx, err := owner.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "CREATE SCHEMA late"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		late := schemaMigrator(t, s.Open(t, dsn), "late")
		go func() { _, err := late.Up(ctx); done <- err }()
		for waits := 0; waits == 0; {
			if err := owner.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE SCHEMA%'`).Scan(&waits); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				t.Fatalf("Up did not wait for the other session: %v", err)
			case <-ctx.Done():
				t.Fatal("Up never waited for the other session")
			default:
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPostgresSchemaMigrations: printed statements, an application's goose and a Migrator see each other's work in a schema. Tables of
// others with the same names count there, and nowhere else.
func TestPostgresSchemaMigrations(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		ctx := t.Context()
		dsn := migrated(t, s, "", migrations.Schema("printed"))
		db := s.Open(t, dsn)
		if applied, err := schemaMigrator(t, db, "printed").Up(ctx); err != nil || len(applied) != 0 {
			t.Errorf("after the printed statements Up applied %v, %v", applied, err)
		}

		files, err := migrations.Files(migrations.Postgres, "", migrations.Schema("goose"))
		if err != nil {
			t.Fatal(err)
		}
		provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("goose."+migrations.VersionTable),
			goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, "CREATE SCHEMA goose")
		if _, err := provider.Up(ctx); err != nil {
			t.Fatal(err)
		}
		if taken, err := schemaMigrator(t, db, "goose").DownAll(ctx); err != nil || len(taken) != int(migrations.Latest()) {
			t.Errorf("after goose's Up DownAll took back %v, %v", taken, err)
		}

		mustExec(t, db, "CREATE SCHEMA theirs", "CREATE TABLE theirs.jobs (id bigint)", "CREATE TABLE public.jobs (id bigint)")
		_, err = schemaMigrator(t, db, "theirs").Up(ctx)
		if err == nil || !strings.Contains(err.Error(), "the table jobs exists already and is not sqlqueue's") {
			t.Errorf("beside another's table Up says %v", err)
		}
		if _, err := schemaMigrator(t, db, "ours").Up(ctx); err != nil {
			t.Error(err)
		}
	})
}
