package sqlitequeue

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Check implements driver.Store.
func (s *store) Check(ctx context.Context) error {
	var version string
	const selectVersion = "SELECT sqlite_version()"
	if err := sqldb.Each(ctx, s.DB, selectVersion, nil, func(scan func(...any) error) error { return scan(&version) }); err != nil {
		return err
	}
	if !supported(version) {
		return fmt.Errorf("%w: SQLite is of version %s: 3.35 or newer is needed, for RETURNING", sqlqueue.ErrUnsupportedServer, version)
	}
	return s.CheckSchema(ctx)
}

func supported(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 3 || major == 3 && minor >= 35
}
