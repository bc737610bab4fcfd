// Package migrations holds sqlqueue's tables as goose migrations for PostgreSQL, MySQL, MariaDB and SQLite, and applies them.
//
// A [Migrator] works on a *sql.DB of the application, whatever its driver; the package imports none. An application that runs
// goose itself takes the files from [Files] and keeps goose's versions in the table [VersionTable].
package migrations

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// VersionTable is the name of the table in which goose keeps what was applied. The table prefix stands before it.
const VersionTable = "sqlqueue_migrations"

// Dialect names a kind of database, and the directory that holds its files.
type Dialect string

// The dialects. MySQL is also MariaDB's.
const (
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
	SQLite   Dialect = "sqlite"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	// Name says what the step does, as in the name of its file. It is empty for a version that this package does not know.
	Name    string
	Applied bool
	// AppliedAt is in UTC, to the second, and zero unless Applied. goose writes it in the time zone of the session that migrates,
	// and it is read back in the zone of the session that asks: it is off where the two differ. On SQLite both are UTC.
	AppliedAt time.Time
}

//go:embed postgres/*.sql mysql/*.sql sqlite/*.sql
var embedded embed.FS

// Latest is the newest version that this package knows. Versions start at 1 and have no gaps.
func Latest() int64 {
	known, _ := list(embedded, Postgres)
	return int64(len(known))
}

// Option is for [New], [Files] and [SQL].
type Option func(*naming)

// Schema names the PostgreSQL schema of the tables, as Config.Schema of package sqlqueue does. It may have letters, digits and underscores
// of ASCII, at most 63. Up and the statements of SQL make the schema if it is not there. Empty: the tables are where the search_path says.
func Schema(name string) Option { return func(n *naming) { n.schema = name } }

// naming is what tables and indexes are called.
type naming struct {
	engine         engine
	schema, prefix string
}

func newNaming(dialect Dialect, prefix string, options []Option) (naming, error) {
	n := naming{prefix: prefix}
	for _, option := range options {
		option(&n)
	}
	engine, ok := engines[dialect]
	switch {
	case !ok:
		return n, fmt.Errorf("unknown dialect %q: use %q, %q (also for MariaDB) or %q", dialect, Postgres, MySQL, SQLite)
	case !validPrefix.MatchString(prefix):
		return n, fmt.Errorf("table prefix %q: use letters, digits and underscores only, at most 32", prefix)
	case n.schema != "" && dialect != Postgres:
		return n, fmt.Errorf("schema %q: only PostgreSQL has schemas; on MySQL and MariaDB use another database, on SQLite another file",
			n.schema)
	case !validSchema.MatchString(n.schema):
		return n, fmt.Errorf("schema %q: use letters, digits and underscores only, at most 63", n.schema)
	}
	n.engine = engine
	if n.schema != "" {
		n.engine = postgresIn(n.schema)
	}
	return n, nil
}

// quoted returns the name of a table as statements have it.
func (n naming) quoted(table string) string {
	quote := string(n.engine.quote)
	if n.schema != "" {
		return quote + n.schema + quote + "." + quote + n.prefix + table + quote
	}
	return quote + n.prefix + table + quote
}

// Files returns the migrations of a dialect, for an application's own goose: plain goose files, all in the root. Every table and
// index has the prefix before its name; with the empty prefix the files are returned as they are. The prefix may have letters,
// digits and underscores of ASCII, at most 32; anything else is an error, and so is an unknown dialect. The files do not make a [Schema].
func Files(dialect Dialect, prefix string, options ...Option) (fs.FS, error) {
	naming, err := newNaming(dialect, prefix, options)
	if err != nil {
		return nil, err
	}
	return naming.files(dialect)
}

func (n naming) files(dialect Dialect) (fs.FS, error) {
	files, err := fs.Sub(embedded, string(dialect))
	if err != nil || n.schema == "" && n.prefix == "" {
		return files, err
	}
	return edited(files, n.in)
}

var (
	validPrefix = regexp.MustCompile(`^[A-Za-z0-9_]{0,32}$`)
	validSchema = regexp.MustCompile(`^[A-Za-z0-9_]{0,63}$`)
)

// list reads the names of a dialect's files, in the order of their versions.
func list(root fs.FS, dialect Dialect) ([]Migration, error) {
	entries, err := fs.ReadDir(root, string(dialect))
	if err != nil {
		return nil, err
	}
	var known []Migration
	for i, entry := range entries {
		match := fileName.FindStringSubmatch(entry.Name())
		if match == nil {
			return nil, fmt.Errorf("%s/%s is not the name of a migration: use five digits, an underscore, words and .sql, "+
				"such as %05d_add_tags.sql", dialect, entry.Name(), i+1)
		}
		version, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil {
			return nil, err
		}
		if version != int64(i+1) {
			return nil, fmt.Errorf("%s/%s should be version %d: versions start at 1 and have no gaps and no doubles",
				dialect, entry.Name(), i+1)
		}
		known = append(known, Migration{Version: version, Name: match[2]})
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%s has no migrations", dialect)
	}
	return known, nil
}

var fileName = regexp.MustCompile(`^(\d{5})_(\w+)\.sql$`)

// checkFiles says what is wrong with a set of files: names, gaps, a missing half, or dialects that differ in their steps.
func checkFiles(root fs.FS) error {
	var errs []error
	var first []Migration
	for _, dialect := range []Dialect{Postgres, MySQL, SQLite} {
		known, err := list(root, dialect)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if first == nil {
			first = known
		}
		for i := range max(len(first), len(known)) {
			if i >= len(first) || i >= len(known) || first[i] != known[i] {
				errs = append(errs,
					fmt.Errorf("version %d is not the same step in every dialect: %s differs; give it the same name in each", i+1, dialect))
				break
			}
		}
		for _, m := range known {
			if err := checkFile(root, fmt.Sprintf("%s/%05d_%s.sql", dialect, m.Version, m.Name)); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func checkFile(root fs.FS, name string) error {
	sql, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	_, rest, hasUp := strings.Cut("\n"+string(sql), "\n-- +goose Up\n")
	up, down, hasDown := strings.Cut(rest, "\n-- +goose Down\n")
	if !hasUp || !hasDown || !strings.Contains(up, ";") || !strings.Contains(down, ";") {
		return fmt.Errorf("%s needs the lines %q and, after it, %q, with statements under each", name, "-- +goose Up", "-- +goose Down")
	}
	return nil
}
