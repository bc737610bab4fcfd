package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// object is a table or an index that a step makes, or what the database has under its name.
type object struct {
	name    string
	kind    string   // table, index, view and so on, in lower case
	columns []string // of a table
}

var (
	create = regexp.MustCompile("(?m)^CREATE (TABLE|INDEX|UNIQUE INDEX) (?:IF NOT EXISTS )?(?:\"\\w+\"\\.)?[\"`](\\w+)[\"`]")
	column = regexp.MustCompile(`(?m)^    ([a-z]\w*) `)
)

// makes lists the tables and indexes that a step makes by statements of their own.
func (m *Migrator) makes(step Migration) ([]object, error) {
	file, err := fs.ReadFile(m.files, fmt.Sprintf("%05d_%s.sql", step.Version, step.Name))
	if err != nil {
		return nil, err
	}
	up, _, _ := strings.Cut(string(file), "\n-- +goose Down\n")
	var made []object
	for _, at := range create.FindAllStringSubmatchIndex(up, -1) {
		o := object{name: up[at[4]:at[5]], kind: "index"}
		if up[at[2]:at[3]] == "TABLE" {
			o.kind = "table"
			body, _, _ := strings.Cut(up[at[1]:], "\n)")
			for _, c := range column.FindAllStringSubmatch(body, -1) {
				o.columns = append(o.columns, c[1])
			}
		}
		made = append(made, o)
	}
	return made, nil
}

// found returns what the database has under the names of the objects, where new ones would be made.
func (m *Migrator) found(ctx context.Context, db querier, made []object) ([]object, error) {
	names := make([]string, len(made))
	for i, o := range made {
		names[i] = "'" + o.name + "'"
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(m.engine.objects, strings.Join(names, ", ")))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []object
	for rows.Next() {
		var o object
		var column sql.NullString
		if err := rows.Scan(&o.name, &o.kind, &column); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(f object) bool { return f.name == o.name && f.kind == o.kind })
		if i < 0 {
			i = len(found)
			found = append(found, o)
		}
		if column.Valid {
			found[i].columns = append(found[i].columns, column.String)
		}
	}
	return found, rows.Err()
}

// checkNames refuses to go on when something else has a name that a step would use. Our tables are known by their columns. It returns the
// steps that are applied although the version table does not say so, as after its rows were deleted.
func (m *Migrator) checkNames(ctx context.Context, db querier, todo []Migration) (applied []Migration, err error) {
	for _, step := range todo {
		made, err := m.makes(step)
		if err != nil {
			return nil, err
		}
		if len(made) == 0 {
			continue
		}
		found, err := m.found(ctx, db, made)
		if err != nil {
			return nil, err
		}
		tables, missing := false, []string{}
		for _, o := range made {
			same := slices.DeleteFunc(slices.Clone(found), func(f object) bool { return !strings.EqualFold(f.name, o.name) })
			if len(same) == 0 {
				missing = append(missing, o.name)
			}
			for _, f := range same {
				if o.kind == "table" {
					if err := o.isThat(f); err != nil {
						return nil, err
					}
					tables = true
				}
			}
		}
		switch {
		case len(found) == 0 || m.engine.repeatable != nil: // a step that was interrupted goes on
		case !tables:
			return nil, fmt.Errorf("the %s %s exists already and is not sqlqueue's: use a table prefix", found[0].kind, found[0].name)
		case len(missing) > 0:
			return nil, fmt.Errorf("%s does not say that step %d (%s) was applied, but some of its tables are there, and %s not: "+
				"restore what is missing from a backup, or drop sqlqueue's tables, with the jobs in them, and migrate again; "+
				"if they are not sqlqueue's, use a table prefix",
				m.prefix+VersionTable, step.Version, step.Name, strings.Join(missing, ", "))
		default:
			applied = append(applied, step)
		}
	}
	return applied, nil
}

// isThat says why what was found is not the table.
func (o object) isThat(found object) error {
	if found.kind != "table" {
		return fmt.Errorf("the %s %s exists already and is not sqlqueue's: use a table prefix", found.kind, found.name)
	}
	for _, name := range o.columns {
		if !slices.ContainsFunc(found.columns, func(has string) bool { return strings.EqualFold(has, name) }) {
			if owner := ownerOf(found); owner != "" {
				return fmt.Errorf(
					"the table %s exists already and is not sqlqueue's: use a table prefix, another schema or another database (%s)",
					found.name, owner,
				)
			}
			const most = 8
			has := strings.Join(found.columns[:min(most, len(found.columns))], ", ")
			if len(found.columns) > most {
				has += " and more"
			}
			return fmt.Errorf("the table %s exists already and is not sqlqueue's: use a table prefix (it has no column %s; it has %s)",
				found.name, name, has)
		}
	}
	return nil
}
