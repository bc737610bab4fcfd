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
	// The version of the database is read after a 64th of the time since the last push, but after leastIdle at the earliest and after
	// mostIdle at the latest.
	mostIdle  = 50 * time.Millisecond
	leastIdle = time.Millisecond
	idleShare = 64
)

// ?1 the table of jobs, whose ids are never used again.
const selectLastID = `SELECT max(seq) FROM sqlite_sequence WHERE name = ?1`

// Listen implements driver.Listener. It takes a connection of the pool and reads the number that every commit of another connection
// changes, which takes a few microseconds. Only if that has changed, it reads the last id of a job: workers write their rows, too.
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
	var known, last sql.NullInt64
	read := func(into any, query string, args ...any) error {
		// outside of WAL mode
		return whileBusy(ctx, time.Now(), func() error { return conn.QueryRowContext(ctx, query, args...).Scan(into) })
	}
	for pushed := time.Now(); ; {
		var version int64
		if err := read(&version, "PRAGMA data_version"); err != nil {
			return err
		}
		if !known.Valid || version != known.Int64 {
			first := !known.Valid
			known = sql.NullInt64{Int64: version, Valid: true}
			s.places.Changed()
			before := last
			if err := read(&last, selectLastID, s.Prefix+"jobs"); err != nil {
				return err
			}
			if first || last != before {
				pushed = time.Now()
				heard()
			}
		}
		timer.Reset(min(max(time.Since(pushed)/idleShare, leastIdle), mostIdle))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
