package pgqueue

import (
	"context"
	"errors"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// $1 id, $2 number.
const holdSQL = `
SELECT id FROM "jobs" WHERE id = $1 AND reserved_by = $2 AND reserved FOR UPDATE`

// Hold implements driver.Store.
func (s *store) Hold(ctx context.Context, r sqlqueue.Reservation) error {
	rows, err := s.DB.Query(ctx, s.names.In(holdSQL), r.ID, r.By)
	if err != nil {
		return err
	}
	held := rows.Next()
	if err := errors.Join(rows.Close(), rows.Err()); err != nil {
		return err
	}
	if !held {
		return sqlqueue.ErrReservationLost
	}
	return nil
}
