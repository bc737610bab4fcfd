package sqlitequeue

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Hold implements driver.Store. SQLite has no locks on rows: until the caller's transaction ends, nobody else can write to the database.
func (s *store) Hold(ctx context.Context, r sqlqueue.Reservation) error {
	return s.Tx(ctx, func(db sqldb.DB) error {
		lost, err := s.lost(ctx, db, []sqlqueue.Reservation{r})
		if err == nil && lost[0] {
			err = sqlqueue.ErrReservationLost
		}
		return err
	})
}
