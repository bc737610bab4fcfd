package pgqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Check implements driver.Store.
func (s *store) Check(ctx context.Context) error {
	const oldest = 140000
	rows, err := s.DB.Query(ctx, "SELECT current_setting('server_version_num')::integer, current_setting('server_version')")
	if err != nil {
		return err
	}
	var number int
	var version string
	for rows.Next() {
		err = errors.Join(err, rows.Scan(&number, &version))
	}
	if err := errors.Join(err, rows.Close(), rows.Err()); err != nil {
		return err
	}
	if number < oldest {
		return fmt.Errorf("%w: PostgreSQL %s is too old: 14 or later is needed", sqlqueue.ErrUnsupportedServer, version)
	}
	if s.pool != nil {
		if err := s.checkPooler(ctx); err != nil {
			return err
		}
	}
	return s.CheckSchema(ctx)
}
