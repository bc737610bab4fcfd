package migrations

import (
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

func TestFiles(t *testing.T) {
	for dialect, engine := range engines {
		original, err := fs.Sub(embedded, string(dialect))
		if err != nil {
			t.Fatal(err)
		}
		quote := string(engine.quote)
		name := regexp.MustCompile(quote + `([a-z]\w+)` + quote)
		for _, prefix := range []string{"", "p_", "App2_", strings.Repeat("x", 32)} {
			files, err := Files(dialect, prefix)
			if err != nil {
				t.Fatal(err)
			}
			if err := fstest.TestFS(files, "00001_create_jobs.sql"); err != nil {
				t.Error(err)
			}
			names, err := fs.Glob(original, "*")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range names {
				before, errBefore := fs.ReadFile(original, file)
				after, errAfter := fs.ReadFile(files, file)
				if err := errors.Join(errBefore, errAfter); err != nil {
					t.Fatal(err)
				}
				// by the files' own rule, so the comments have no quoted names
				if want := name.ReplaceAllString(string(before), quote+prefix+"$1"+quote); string(after) != want {
					t.Errorf("%s/%s with prefix %q differs in more than the prefix", dialect, file, prefix)
				}
				for _, quoted := range name.FindAllStringSubmatch(string(before), -1) {
					if len(prefix+quoted[1]) > 63 {
						t.Errorf("%s/%s: the name %s%s is longer than PostgreSQL's 63 bytes", dialect, file, prefix, quoted[1])
					}
				}
			}
		}
	}
}

func TestEmbeddedFiles(t *testing.T) {
	if err := checkFiles(embedded); err != nil {
		t.Error(err)
	}
	if Latest() < 1 {
		t.Errorf("the latest version is %d", Latest())
	}
	// what is interrupted on MySQL can be completed only if it can be run again
	files, err := Files(MySQL, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*")
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
		for _, half := range []string{up, down} {
			ends := len(regexp.MustCompile(`(?m);$`).FindAllString(half, -1))
			made := repeatableMySQL("\n" + half)
			repeatable := 0
			for _, start := range []string{
				"CREATE TABLE IF NOT EXISTS", "DROP TABLE IF EXISTS", "REPLACE INTO", "DELETE FROM", "SET @sqlqueue_step = ",
			} {
				repeatable += strings.Count(made, "\n"+start)
			}
			if ends != 1 && ends != repeatable {
				t.Errorf("mysql/%s: %d statements, %d of which can be repeated: have one statement in a file, "+
					"or only CREATE TABLE, DROP TABLE, "+
					"REPLACE, DELETE, and ALTER TABLE that adds or drops one column", name, ends, repeatable)
			}
		}
	}
}

// What else has a name of sqlqueue's is found by what the files make.
func TestStepsTellWhatTheyMake(t *testing.T) {
	for dialect := range engines {
		testWhatStepsMake(t, dialect)
	}
	testWhatStepsMake(t, Postgres, Schema("queue"))
}

func testWhatStepsMake(t *testing.T, dialect Dialect, options ...Option) {
	t.Helper()
	m, err := New(&sql.DB{}, dialect, "app_", options...)
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.makes(m.known[0])
	if err != nil {
		t.Fatal(err)
	}
	var tables, indexes []string
	for _, o := range made {
		switch {
		case o.kind == "index":
			indexes = append(indexes, o.name)
		case len(o.columns) < 5 && o.name != "app_job_schema" || len(o.columns) == 0 || slices.Contains(o.columns, "primary"):
			t.Errorf("%s: the columns of %s are %v", dialect, o.name, o.columns)
			fallthrough
		default:
			tables = append(tables, o.name)
		}
	}
	want := []string{
		"app_jobs", "app_failed_jobs", "app_job_queues", "app_job_workers", "app_job_counts", "app_job_subscriptions", "app_job_schema",
	}
	if !slices.Equal(tables, want) || dialect != MySQL && len(indexes) != 6 {
		t.Errorf("%s: tables %v, indexes %v", dialect, tables, indexes)
	}
}

// Package sqldb has a list of the names that a prefix stands before, and puts it before no other.
func TestStoresKnowWhatTheFilesMake(t *testing.T) {
	const quote = "!"
	names := (&sqldb.Database{Prefix: "p_", Dialect: sqldb.Dialect{Quote: quote}}).Names("{", "}")
	known := func(name string) bool { return names.In("{"+name+"}") == quote+"p_"+name+quote }
	if !known(VersionTable) || known("customers") {
		t.Errorf("%s is known: %v, customers: %v", VersionTable, known(VersionTable), known("customers"))
	}
	for dialect, engine := range engines {
		quote := string(engine.quote)
		quoted := regexp.MustCompile(quote + `([a-z]\w+)` + quote)
		files, err := fs.Glob(embedded, string(dialect)+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := fs.ReadFile(embedded, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range quoted.FindAllStringSubmatch(string(file), -1) {
				if !known(match[1]) {
					t.Errorf("%s has %s, which the list in sqldb does not", name, match[1])
				}
			}
		}
	}
}

func TestCheckFiles(t *testing.T) {
	const good = "-- +goose Up\nCREATE TABLE \"t\" (id int);\n\n-- +goose Down\nDROP TABLE \"t\";\n"
	set := func(change func(fstest.MapFS)) fs.FS {
		files := fstest.MapFS{}
		for _, dialect := range []Dialect{Postgres, MySQL, SQLite} {
			for _, name := range []string{"00001_one.sql", "00002_two.sql"} {
				files[string(dialect)+"/"+name] = &fstest.MapFile{Data: []byte(good)}
			}
		}
		change(files)
		return files
	}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, c := range []struct {
		want   string // in the error; empty for none
		change func(fstest.MapFS)
	}{
		{"", func(fstest.MapFS) {}},
		{"mysql/00003_four.sql should be version 2", func(f fstest.MapFS) {
			delete(f, "mysql/00002_two.sql")
			f["mysql/00003_four.sql"] = file(good)
		}},
		{"postgres/00002_zwei.sql should be version 3", func(f fstest.MapFS) { f["postgres/00002_zwei.sql"] = file(good) }},
		{"sqlite/2_two.sql is not the name", func(f fstest.MapFS) { f["sqlite/2_two.sql"] = file(good) }},
		{"version 2 is not the same step in every dialect: sqlite", func(f fstest.MapFS) { delete(f, "sqlite/00002_two.sql") }},
		{"version 3 is not the same step in every dialect: mysql", func(f fstest.MapFS) { f["mysql/00003_three.sql"] = file(good) }},
		{"version 2 is not the same step in every dialect: mysql", func(f fstest.MapFS) {
			f["mysql/00002_deux.sql"] = f["mysql/00002_two.sql"]
			delete(f, "mysql/00002_two.sql")
		}},
		{"mysql has no migrations", func(f fstest.MapFS) {
			maps.DeleteFunc(f, func(name string, _ *fstest.MapFile) bool { return strings.HasPrefix(name, "mysql/") })
			f["mysql"] = &fstest.MapFile{Mode: fs.ModeDir}
		}},
		{"postgres/00001_one.sql needs", func(f fstest.MapFS) { f["postgres/00001_one.sql"] = file("-- +goose Up\nSELECT 1;\n") }},
		{
			"postgres/00001_one.sql needs",
			func(f fstest.MapFS) { f["postgres/00001_one.sql"] = file("-- +goose Up\nSELECT 1;\n-- +goose Down\n") },
		},
		{"postgres/00001_one.sql needs", func(f fstest.MapFS) {
			f["postgres/00001_one.sql"] = file("-- +goose Down\nSELECT 1;\n-- +goose Up\nSELECT 1;\n")
		}},
	} {
		err := checkFiles(set(c.change))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error is %v, want %q", err, c.want)
		}
	}
}
