package sqlitequeue

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Hold: see sqlqueue.Store. There are no locks on rows: in the caller's transaction it is the whole database that nobody else can
// write to any more.
func (s *store) Hold(ctx context.Context, r sqlqueue.Reservation) error {
	return s.Tx(ctx, func(db sqldb.DB) error {
		lost, err := s.lost(ctx, db, []sqlqueue.Reservation{r})
		if err == nil && lost[0] {
			err = sqlqueue.ErrReservationLost
		}
		return err
	})
}
