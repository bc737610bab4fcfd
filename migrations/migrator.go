package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// ErrNewerSchema is in the error of Up, Down, DownAll and Validate when the database has a version that this package does not know,
// as after going back to an older release. They change nothing then.
var ErrNewerSchema = errors.New("use a newer sqlqueue")

// Migrator applies the migrations to one database. It is safe for concurrent use. Make one with [New].
//
// Up, Down and DownAll hold a lock of the database from before they look until they are done, so any number of them may start at
// once, in any processes: one works, the others wait, and then find nothing left to do. The end of the context ends the wait. A
// process or session that dies gives the lock back with it, but on PostgreSQL a pooler in transaction mode must not be between: the
// lock belongs to a session. Each method uses one connection of the pool, and only while it runs.
type Migrator struct {
	db *sql.DB
	naming
	files fs.FS
	known []Migration
}

// New returns a Migrator. It does not talk to the database. The caller says which dialect db speaks, and keeps db. The prefix stands
// before the name of every table and index, and may have letters, digits and underscores of ASCII, at most 32; empty for none.
func New(db *sql.DB, dialect Dialect, prefix string, options ...Option) (*Migrator, error) {
	if db == nil {
		return nil, errors.New("migrations.New needs a database")
	}
	naming, err := newNaming(dialect, prefix, options)
	if err != nil {
		return nil, err
	}
	files, err := naming.files(dialect)
	if err != nil {
		return nil, err
	}
	known, err := list(embedded, dialect)
	if err != nil {
		return nil, err
	}
	return newMigrator(db, naming, files, known)
}

func newMigrator(db *sql.DB, naming naming, files fs.FS, known []Migration) (*Migrator, error) {
	m := &Migrator{db: db, naming: naming, files: files, known: known}
	if m.engine.repeatable != nil {
		var err error
		if m.files, err = edited(files, m.engine.repeatable); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Up applies every migration that is not applied yet, and returns those, oldest first. It changes nothing, and says why, when a table or an
// index of something else has a name that it would use. Steps whose tables are all there, but which the version table does not know of
// because somebody has emptied it, are recorded again, and count as applied by this Up. Each is one transaction, but on MySQL and
// MariaDB, which cannot roll back a change of tables: what was interrupted there is completed by the next Up. On an error it returns
// what it applied before.
func (m *Migrator) Up(ctx context.Context) ([]Migration, error) {
	return m.change(ctx, true, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// Down takes back the newest migration that is applied, with all the data in its tables, and returns it, or nothing when none is
// applied. It is one transaction, but on MySQL and MariaDB: what was interrupted there is completed by the next Down.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	return m.change(ctx, false, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		return err
	})
}

// DownAll takes back every migration that is applied, with all the data, and returns them, newest first. The empty version table
// stays. On an error it returns what it took back before.
func (m *Migrator) DownAll(ctx context.Context) ([]Migration, error) {
	changed, err := m.change(ctx, false, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, 0)
		return err
	})
	slices.Reverse(changed)
	return changed, err
}

// Status returns every migration that this package knows or the database has, oldest first. It changes nothing and does not wait for
// the lock, so while another process migrates it tells what is done so far.
func (m *Migrator) Status(ctx context.Context) (status []Migration, err error) {
	err = m.session(ctx, func(conn *sql.Conn) error {
		status, err = m.status(ctx, conn)
		return err
	})
	return status, err
}

// Version returns the newest version that is applied, 0 for none. Like Status it only reads.
func (m *Migrator) Version(ctx context.Context) (int64, error) {
	status, err := m.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range slices.Backward(status) {
		if s.Applied {
			return s.Version, nil
		}
	}
	return 0, nil
}

// Validate returns an error that says what is wrong and what to do, when the database has a version that this package does not know
// or lacks one below another that it has, or when the embedded files are not well formed. A database that is merely behind is
// valid, and so is an empty one. Like Status it only reads.
func (m *Migrator) Validate(ctx context.Context) error {
	if err := checkFiles(embedded); err != nil {
		return err
	}
	status, err := m.Status(ctx)
	if err != nil {
		return err
	}
	return m.check(status)
}

// change runs migrate under the lock unless there is nothing to do, and returns what it changed, oldest first.
func (m *Migrator) change(ctx context.Context, up bool, migrate func(*goose.Provider) error) (changed []Migration, err error) {
	err = m.locked(ctx, func(db *sql.DB) error {
		before, err := m.status(ctx, db)
		if err != nil {
			return err
		}
		if err := m.check(before); err != nil {
			return err
		}
		todo := slices.DeleteFunc(slices.Clone(before), func(s Migration) bool { return s.Applied == up })
		if len(todo) == 0 {
			return nil
		}
		var unrecorded []Migration
		if up {
			if m.engine.prepare != nil {
				if err := m.engine.prepare(ctx, db); err != nil {
					return err
				}
			}
			if unrecorded, err = m.checkNames(ctx, db, todo); err != nil {
				return err
			}
		}
		provider, err := m.provider(ctx, db, unrecorded)
		if err != nil {
			return err
		}
		failure := m.explain(migrate(provider))
		changed, err = m.changedSince(ctx, db, before)
		if failure != nil {
			return failure
		}
		return err
	})
	return changed, err
}

// changedSince looks once more, even when ctx has ended.
func (m *Migrator) changedSince(ctx context.Context, db *sql.DB, before []Migration) (changed []Migration, err error) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	after, err := m.status(ctx, db)
	if err != nil {
		return nil, err
	}
	for i := range after {
		if after[i].Applied != before[i].Applied {
			changed = append(changed, after[i])
		}
	}
	return changed, nil
}

// provider makes goose's, after it has recorded the steps that are applied without being recorded.
func (m *Migrator) provider(ctx context.Context, db *sql.DB, unrecorded []Migration) (*goose.Provider, error) {
	store, err := database.NewStore(m.engine.goose, m.quoted(VersionTable))
	if err != nil {
		return nil, err
	}
	versions := versionTable{store, m}
	if err := versions.ensure(ctx, db, unrecorded); err != nil {
		return nil, err
	}
	edit := marked
	if m.engine.adapt != nil {
		adapted, err := m.engine.adapt(ctx, db)
		if err != nil {
			return nil, err
		}
		if adapted != nil {
			edit = func(sql string) string { return marked(adapted(sql)) }
		}
	}
	files, err := edited(m.files, edit)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, db, files,
		goose.WithStore(versions),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
}

// explain names the migration that failed.
func (m *Migrator) explain(err error) error {
	var partial *goose.PartialError
	if !errors.As(err, &partial) {
		return err
	}
	version := partial.Failed.Source.Version
	return fmt.Errorf("migration %d (%s) %s: %w", version, m.known[version-1].Name, partial.Failed.Direction, partial.Err)
}

// check compares what is applied with what is known.
func (m *Migrator) check(status []Migration) error {
	var newest int64
	for _, s := range slices.Backward(status) {
		switch {
		case s.Applied && s.Version > int64(len(m.known)):
			return fmt.Errorf("the database's schema is version %d, this sqlqueue knows up to %d: %w",
				s.Version, len(m.known), ErrNewerSchema)
		case s.Applied:
			newest = max(newest, s.Version)
		case s.Version < newest:
			return fmt.Errorf("%s has version %d but not version %d (%s), so that step was left out or its row was removed: "+
				"restore the table from a backup, or insert the row once you are sure that the step is in the schema",
				m.prefix+VersionTable, newest, s.Version, s.Name)
		}
	}
	return nil
}
