package migrations

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// SQL returns the statements of the steps after a version, oldest first, for tools that apply files of SQL, such as Flyway, Atlas, Alembic
// or Rails: each ends with a semicolon at the end of a line. With down they take the steps back, newest first. They also record the steps
// where [Migrator] does, so that workers know the version, and both ways can be mixed. after 0 stands for all; the prefix is that of [New].
//
// With a [Schema] the steps from 0 begin with a statement that makes it if need be, which needs the right CREATE on the database: leave it
// out where the schema is there and the role lacks the right. The steps back leave the schema.
//
// Nothing waits for others meanwhile: the tool sees to it that one process migrates at a time.
func SQL(dialect Dialect, prefix string, after int64, down bool, options ...Option) (string, error) {
	naming, err := newNaming(dialect, prefix, options)
	if err != nil {
		return "", err
	}
	files, err := naming.files(dialect)
	if err != nil {
		return "", err
	}
	known, err := list(embedded, dialect)
	if err != nil {
		return "", err
	}
	if after < 0 || after > int64(len(known)) {
		return "", fmt.Errorf("there is no version %d: the newest is %d", after, len(known))
	}
	steps := known[after:]
	if down {
		slices.Reverse(steps)
	}
	versions := naming.quoted(VersionTable)
	var b strings.Builder
	if after == 0 && !down {
		if naming.schema != "" {
			fmt.Fprintf(&b, "-- Leave this out if the schema is there and the role may not make schemas\n"+
				"CREATE SCHEMA IF NOT EXISTS \"%s\";\n\n", naming.schema)
		}
		fmt.Fprintf(&b, "-- Which steps are applied\nCREATE TABLE %s (\n    %s\n);\n", versions, naming.engine.versions)
		fmt.Fprintf(&b, "INSERT INTO %s (version_id, is_applied) VALUES (0, %s);\n", versions, truth(dialect))
	}
	for _, step := range steps {
		file, err := fs.ReadFile(files, fmt.Sprintf("%05d_%s.sql", step.Version, step.Name))
		if err != nil {
			return "", err
		}
		up, back, _ := strings.Cut(strings.TrimPrefix(string(file), "-- +goose Up\n"), "\n-- +goose Down\n")
		fmt.Fprintf(&b, "\n-- Step %d: %s\n", step.Version, strings.ReplaceAll(step.Name, "_", " "))
		if down {
			fmt.Fprintf(&b, "%s\nDELETE FROM %s WHERE version_id = %d;\n", strings.TrimSpace(back), versions, step.Version)
		} else {
			fmt.Fprintf(&b, "%s\nINSERT INTO %s (version_id, is_applied) VALUES (%d, %s);\n",
				strings.TrimSpace(up), versions, step.Version, truth(dialect))
		}
	}
	if after == 0 && down {
		fmt.Fprintf(&b, "\nDROP TABLE %s;\n", versions)
	}
	return strings.TrimPrefix(b.String(), "\n"), nil
}

// truth is how a dialect writes true.
func truth(dialect Dialect) string {
	if dialect == SQLite {
		return "1"
	}
	return "true"
}
