package migrations

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func TestPrefixed(t *testing.T) {
	for _, c := range []struct{ name, sql, want string }{
		{"names", `DROP TABLE "jobs"; CREATE INDEX "a" ON "b" (c);`, `DROP TABLE "p_jobs"; CREATE INDEX "p_a" ON "p_b" (c);`},
		{"collation", `"t" (q text COLLATE "C") "Customers"`, `"p_t" (q text COLLATE "C") "p_Customers"`},
		{"doubled quote", `"a""b"`, `"p_a""b"`},
		{"string", `DEFAULT 'say "x"' "t"`, `DEFAULT 'say "x"' "p_t"`},
		{"quote in a string", `'it''s "x"' "t"`, `'it''s "x"' "p_t"`},
		{"line comment", "-- the \"x\", it's\n\"t\" -- \"y\"", "-- the \"x\", it's\n\"p_t\" -- \"y\""},
		{"block comment", "/* \"x\" it's */\"t\"/*/ \"y\" */\"u\"", "/* \"x\" it's */\"p_t\"/*/ \"y\" */\"p_u\""},
		{"other quote", "`t` \"u\"", "`t` \"p_u\""},
		{"operators", `1 - 2 / 3 * "t"`, `1 - 2 / 3 * "p_t"`},
		{"unfinished", `"t`, `"p_t`},
		{"unfinished string", `'"t"`, `'"t"`},
		{"unfinished comment", `/* "t"`, `/* "t"`},
		{"letters of several bytes", `"t" '队列' -- 队`, `"p_t" '队列' -- 队`},
		{"empty", ``, ``},
	} {
		if got := (naming{engines[Postgres], "", "p_"}).in(c.sql); got != c.want {
			t.Errorf("%s: %s became %s, want %s", c.name, c.sql, got, c.want)
		}
	}
	if got := (naming{engines[MySQL], "", "p_"}).in("`t` \"u\""); got != "`p_t` \"u\"" {
		t.Errorf("with backquotes: %s", got)
	}
}

// All names have the schema but those of new indexes, which may have none.
func TestNamesWithASchema(t *testing.T) {
	for sql, want := range map[string]string{
		`CREATE TABLE "t" (q text COLLATE "C");`:        `CREATE TABLE "app"."p_t" (q text COLLATE "C");`,
		`CREATE INDEX "i" ON "t" (c);`:                  `CREATE INDEX "p_i" ON "app"."p_t" (c);`,
		"SELECT 1;\nCREATE UNIQUE INDEX \"i\" ON \"t\"": "SELECT 1;\nCREATE UNIQUE INDEX \"p_i\" ON \"app\".\"p_t\"",
		`DROP INDEX "i";`:                               `DROP INDEX "app"."p_i";`,
		`COMMENT ON COLUMN "t".id IS 'the "id"';`:       `COMMENT ON COLUMN "app"."p_t".id IS 'the "id"';`,
	} {
		if got := (naming{engines[Postgres], "app", "p_"}).in(sql); got != want {
			t.Errorf("%s became %s, want %s", sql, got, want)
		}
	}
}

func TestBadSchema(t *testing.T) {
	for _, schema := range []string{"a b", "a-b", "a.b", `a"b`, "a'b", "a%sb", "é", "a\n", strings.Repeat("x", 64)} {
		if _, err := New(&sql.DB{}, Postgres, "", Schema(schema)); err == nil || !strings.Contains(err.Error(), "at most 63") {
			t.Errorf("New with schema %q: %v", schema, err)
		}
	}
	for _, dialect := range []Dialect{MySQL, SQLite} {
		if _, err := Files(dialect, "", Schema("app")); err == nil ||
			!strings.Contains(err.Error(), "use another database, on SQLite another file") {
			t.Errorf("%s with a schema: %v", dialect, err)
		}
		if _, err := Files(dialect, "", Schema("")); err != nil {
			t.Errorf("%s without one: %v", dialect, err)
		}
	}
}

func TestMarked(t *testing.T) {
	const begin, end = "-- +goose StatementBegin\n", "-- +goose StatementEnd\n"
	for sql, want := range map[string]string{
		"-- +goose Up\nA;\nB;\n":                  "-- +goose Up\n" + begin + "A;\n" + end + begin + "B;\n" + end,
		"-- what;\nA (\n    -- why;\n    b\n);\n": "-- what;\n" + begin + "A (\n    -- why;\n    b\n);\n" + end,
		"A;\n\n-- +goose Down\nB; ":               begin + "A;\n" + end + "\n-- +goose Down\n" + begin + "B; \n" + end,
		"":                                        "",
	} {
		if got := marked(sql); got != want {
			t.Errorf("%q is marked as %q, want %q", sql, got, want)
		}
	}
}

func TestBadPrefixAndDialect(t *testing.T) {
	db := &sql.DB{}
	for _, prefix := range []string{"a b", "a-b", "a.b", `a"b`, "a`b", "a'b", "a%sb", "é", "a\n", strings.Repeat("x", 33)} {
		if _, err := New(db, Postgres, prefix); err == nil || !strings.Contains(err.Error(), "at most 32") {
			t.Errorf("New with prefix %q: %v", prefix, err)
		}
		if _, err := Files(SQLite, prefix); err == nil {
			t.Errorf("Files accepts the prefix %q", prefix)
		}
	}
	if _, err := New(db, "oracle", ""); err == nil || !strings.Contains(err.Error(), `"postgres"`) {
		t.Errorf("New with a wrong dialect: %v", err)
	}
	if _, err := New(nil, SQLite, ""); err == nil {
		t.Error("New accepts a nil database")
	}
}

// three is a Migrator with three steps; the third is broken until its file is replaced.
func three(t *testing.T, db *sql.DB, files fstest.MapFS) *Migrator {
	t.Helper()
	for _, step := range []string{"00001_a", "00002_b", "00003_c"} {
		if files[step+".sql"] == nil {
			files[step+".sql"] = &fstest.MapFile{
				Data: []byte("-- +goose Up\nCREATE TABLE \"" + step + "\" (id integer);\n-- +goose Down\nDROP TABLE \"" + step + "\";\n"),
			}
		}
	}
	m, err := newMigrator(db, naming{engine: engines[SQLite]}, files, []Migration{
		{Version: 1, Name: "a"}, {Version: 2, Name: "b"}, {Version: 3, Name: "c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openFile(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func versions(migrations []Migration) (versions []int64) {
	for _, m := range migrations {
		versions = append(versions, m.Version)
	}
	return versions
}

func TestSeveralVersions(t *testing.T) {
	db := openFile(t)
	broken := fstest.MapFS{"00003_c.sql": {
		Data: []byte("-- +goose Up\nCREATE TABLE \"c\" (id integer);\nCREATE TABEL \"d\";\n-- +goose Down\nDROP TABLE \"c\";\n"),
	}}
	applied, err := three(t, db, broken).Up(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "migration 3 (c) up: ") || !slices.Equal(versions(applied), []int64{1, 2}) {
		t.Errorf("Up with a broken third step: %v, %v", applied, err)
	}
	if _, err := db.ExecContext(t.Context(), `SELECT * FROM c`); err == nil {
		t.Error("the broken step left a table")
	}
	m := three(t, db, fstest.MapFS{})
	if applied, err := m.Up(t.Context()); err != nil || !slices.Equal(versions(applied), []int64{3}) {
		t.Errorf("Up: %v, %v", applied, err)
	}
	if taken, err := m.Down(t.Context()); err != nil || !slices.Equal(versions(taken), []int64{3}) {
		t.Errorf("Down: %v, %v", taken, err)
	}
	if version, err := m.Version(t.Context()); err != nil || version != 2 {
		t.Errorf("the version after it is %d, %v", version, err)
	}
	if taken, err := m.DownAll(t.Context()); err != nil || !slices.Equal(versions(taken), []int64{2, 1}) {
		t.Errorf("DownAll: %v, %v", taken, err)
	}
}

func TestDownIsOneTransaction(t *testing.T) {
	db := openFile(t)
	broken := fstest.MapFS{"00003_c.sql": {
		Data: []byte("-- +goose Up\nCREATE TABLE \"c\" (id integer);\n-- +goose Down\nDROP TABLE \"c\";\nDROP TABLE \"d\";\n"),
	}}
	m := three(t, db, broken)
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if taken, err := m.DownAll(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "migration 3 (c) down: ") || len(taken) != 0 {
		t.Errorf("DownAll with a broken third step: %v, %v", taken, err)
	}
	if _, err := db.ExecContext(t.Context(), `SELECT * FROM c`); err != nil {
		t.Errorf("the step that failed dropped a table: %v", err)
	}
}

func TestGap(t *testing.T) {
	db := openFile(t)
	m := three(t, db, fstest.MapFS{})
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM sqlqueue_migrations WHERE version_id = 2`); err != nil {
		t.Fatal(err)
	}
	_, up := m.Up(t.Context())
	_, down := m.Down(t.Context())
	for _, err := range []error{m.Validate(t.Context()), up, down} {
		if err == nil || !strings.Contains(err.Error(), "has version 3 but not version 2 (b)") {
			t.Errorf("the error of a gap is %v", err)
		}
	}
	status, err := m.Status(t.Context())
	if err != nil || len(status) != 3 || status[1].Applied || !status[2].Applied {
		t.Errorf("Status of a gap is %v, %v", status, err)
	}
}

func TestSupportedMySQL(t *testing.T) {
	for version, good := range map[string]bool{
		"8.0.16": true, "8.0.36-0ubuntu0.22.04.1": true, "8.4.3": true, "9.7.0": true, "10.0.1": true,
		"8.0.15": false, "5.7.44-log": false,
		"10.6.0-MariaDB": true, "10.11.19-MariaDB-0+deb12u1": true,
		"5.5.5-10.6.12-MariaDB-log": true, "11.8.3-MariaDB-ubu2404": true, "12.0.2-MariaDB": true,
		"10.5.29-MariaDB": false, "5.5.5-10.3.39-MariaDB": false,
		"8.0.11-TiDB-v8.5.0": true, "something": true, "": true,
	} {
		if err := supportedMySQL(version); (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestMySQLLockName(t *testing.T) {
	name := mysqlLockName("shop", "sqlqueue_migrations")
	if len(name) > 64 || mysqlLockName(strings.Repeat("队", 64), strings.Repeat("x", 64)) == name {
		t.Errorf("the lock is %s", name)
	}
	if name == mysqlLockName("shop2", "sqlqueue_migrations") || name == mysqlLockName("shop", "app_sqlqueue_migrations") ||
		name != mysqlLockName("Shop", "sqlqueue_migrations") {
		t.Error("the lock is not one for each database and version table")
	}
}

// Whoever opened the file before its holder removed it must not take the lock of a file that is gone for the lock.
func TestLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	var holders atomic.Int32
	done := make(chan error)
	for range 8 {
		go func() {
			for range 50 {
				release, err := lockFile(context.Background(), path)
				if err != nil {
					done <- err
					return
				}
				if holders.Add(1) != 1 {
					done <- errors.New("two hold the lock")
					return
				}
				holders.Add(-1)
				release()
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	release, err := lockFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a canceled wait is %v", err)
	}
	if _, err := lockFile(t.Context(), filepath.Join(path, "no", "directory")); err == nil {
		t.Error("a lock in no directory")
	}
}

// plain is a driver whose connections have nothing of what they may have beyond sqldriver.Conn.
type plain struct {
	driver sqldriver.Driver
	file   string
}

func (p plain) Connect(context.Context) (sqldriver.Conn, error) {
	conn, err := p.driver.Open(p.file)
	return struct{ sqldriver.Conn }{conn}, err
}

func (p plain) Driver() sqldriver.Driver { return p.driver }

func TestPlainDriver(t *testing.T) {
	db := sql.OpenDB(plain{openFile(t).Driver(), filepath.Join(t.TempDir(), "queue.db")})
	defer db.Close()
	m, err := New(db, SQLite, "")
	if err != nil {
		t.Fatal(err)
	}
	if applied, err := m.Up(t.Context()); err != nil || int64(len(applied)) != Latest() {
		t.Errorf("Up: %v, %v", applied, err)
	}
	if taken, err := m.DownAll(t.Context()); err != nil || int64(len(taken)) != Latest() {
		t.Errorf("DownAll: %v, %v", taken, err)
	}
}

// TestStoresKnowTheNewestVersion: a new step and the stores that need it are released together.
func TestStoresKnowTheNewestVersion(t *testing.T) {
	if Latest() != driver.SchemaVersion {
		t.Errorf("the newest version is %d, and the stores work with %d", Latest(), driver.SchemaVersion)
	}
}

// TestForTiDB: nothing is left of what TiDB refuses.
func TestForTiDB(t *testing.T) {
	files, err := Files(MySQL, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		sql, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, refused := range []string{"DEFAULT (", "utf16"} {
			if text := forTiDB.Replace(string(sql)); strings.Contains(text, refused) {
				t.Errorf("%s has %s", name, refused)
			}
		}
	}
}
