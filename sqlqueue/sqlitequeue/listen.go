package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var _ driver.Listener = (*store)(nil)

const (
	// The version of the database is read after a 64th of the time since its last change, but after leastIdle at the earliest and after
	// mostIdle at the latest.
	mostIdle  = 50 * time.Millisecond
	leastIdle = time.Millisecond
	idleShare = 64
)

// Listen implements driver.Listener. It takes a connection of the pool and reads the number that every commit of another connection
// changes, which takes a few microseconds.
func (s *store) Listen(ctx context.Context, _ []string, heard func()) error {
	if most := s.pool.Stats().MaxOpenConnections; s.bound || most > 0 && most < 3 {
		return errors.ErrUnsupported
	}
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var known sql.NullInt64
	for changed := time.Now(); ; {
		var version int64
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
			return err
		}
		if !known.Valid || version != known.Int64 {
			known, changed = sql.NullInt64{Int64: version, Valid: true}, time.Now()
			s.places.Changed()
			heard()
		}
		timer.Reset(min(max(time.Since(changed)/idleShare, leastIdle), mostIdle))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
