package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

const (
	busyFor   = time.Minute // how long an operation waits for other connections
	firstWait = time.Millisecond
	mostWait  = 50 * time.Millisecond
)

// whileBusy repeats f while other connections keep it out, until ctx ends or start is too long ago.
func whileBusy(ctx context.Context, start time.Time, f func() error) error {
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ended(ctx, err)
		case !isBusy(err) || time.Since(start) >= busyFor:
			return err
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ended(ctx, err)
		case <-timer.C:
		}
	}
}

// ended adds to an error why ctx has ended: some drivers only say that a statement was interrupted.
func ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// reader reads on the pool. Outside of WAL mode, readers have to wait for a writer that commits.
type reader struct{ sqldb.DB }

func (r reader) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	var first sqldb.Rows
	err := whileBusy(ctx, time.Now(), func() error {
		rows, err := r.DB.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		// Some drivers run the statement only now. After the first row there is no more to wait for.
		more := rows.Next()
		if err := rows.Err(); err != nil {
			_ = rows.Close()
			return err
		}
		first = &peeked{Rows: rows, more: more}
		return nil
	})
	return first, err
}

// peeked are rows whose first Next has been called.
type peeked struct {
	sqldb.Rows
	more, begun bool
}

func (p *peeked) Next() bool {
	if !p.begun {
		p.begun = true
		return p.more
	}
	return p.Rows.Next()
}
