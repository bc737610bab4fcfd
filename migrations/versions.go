package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/pressly/goose/v3/database"
)

// versionTable is goose's own store under a quoted name. Its look for the table is ours, because goose's takes the name literally,
// quotes and all.
type versionTable struct {
	database.Store
	m *Migrator
}

func (t versionTable) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	return t.m.versionTableExists(ctx, db)
}

// ensure makes the table, with the row for version 0 that goose wants, and records steps. goose would do it too, but it takes three seconds
// to report an error, and gives up where MySQL stopped between table and row.
func (t versionTable) ensure(ctx context.Context, db *sql.DB, unrecorded []Migration) error {
	exists, err := t.TableExists(ctx, db)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if !exists {
		if err := t.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
	}
	rows, err := t.ListMigrations(ctx, tx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if err := t.Insert(ctx, tx, database.InsertRequest{Version: 0}); err != nil {
			return err
		}
	}
	for _, step := range unrecorded {
		if err := t.Insert(ctx, tx, database.InsertRequest{Version: step.Version}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (m *Migrator) versionTableExists(ctx context.Context, db querier) (exists bool, err error) {
	err = db.QueryRowContext(ctx, fmt.Sprintf(m.engine.exists, m.prefix+VersionTable)).Scan(&exists)
	return exists, err
}

// status is Status on a connection.
func (m *Migrator) status(ctx context.Context, db querier) ([]Migration, error) {
	status := slices.Clone(m.known)
	exists, err := m.versionTableExists(ctx, db)
	if err != nil || !exists {
		return status, err
	}
	rows, err := db.QueryContext(ctx,
		fmt.Sprintf(`SELECT version_id, %s FROM %s WHERE version_id > 0 GROUP BY version_id ORDER BY version_id`,
			m.engine.appliedAt, m.quoted(VersionTable)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var version, seconds int64
		if err := rows.Scan(&version, &seconds); err != nil {
			return nil, err
		}
		if version > int64(len(m.known)) {
			status = append(status, Migration{Version: version})
			version = int64(len(status))
		}
		status[version-1].Applied = true
		status[version-1].AppliedAt = time.Unix(seconds, 0).UTC()
	}
	return status, rows.Err()
}
