package mysqlqueue

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// %[1]d id, %[2]s number.
const holdSQL = `
SELECT id FROM {jobs} FORCE INDEX (PRIMARY) WHERE id = %[1]d AND reserved = 1 AND reserved_by = %[2]s FOR UPDATE`

// Hold implements driver.Store.
func (s *store) Hold(ctx context.Context, r sqlqueue.Reservation) error {
	held := false
	err := s.tx(ctx, func(db sqldb.DB) error {
		held = false
		return each(ctx, db, s.sql(holdSQL, r.ID, text(r.By)), func(scan func(...any) error) error {
			held = true
			return scan(new(int64))
		})
	})
	if err == nil && !held {
		err = sqlqueue.ErrReservationLost
	}
	return err
}
