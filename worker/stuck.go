package worker

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// A handler is stuck when it has not returned Config.StuckAfter after its timeout, or after its reservation was found lost.
// Nothing in Go ends a goroutine, so the worker settles the job without it. The handler keeps its slot until it returns.

// checkStuck settles a job if its handler is stuck, and otherwise has the keeper look again when it would be.
func (k *keeper) checkStuck(ctx context.Context, r *run, now time.Time) {
	at := k.stuckAt(r)
	switch {
	case at.IsZero():
	case now.Before(at):
		k.dueAt = earlier(k.dueAt, at)
	case r.claim():
		k.settleStuck(ctx, r)
	}
}

// stuckAt is the time from which the handler of a job is stuck. Zero: there is none.
func (k *keeper) stuckAt(r *run) (at time.Time) {
	started := k.slots.startOf(r)
	if started.IsZero() || !r.starts {
		return at
	}
	after := k.executor.config.StuckAfter
	if r.rules.timeout > 0 {
		at = started.Add(r.rules.timeout + after)
	}
	if lost := r.lostAt.Add(after); !r.lostAt.IsZero() && (at.IsZero() || lost.Before(at)) {
		at = lost
	}
	return at
}

// settleStuck ends a job whose handler is stuck: as timed out, or as lost.
func (k *keeper) settleStuck(ctx context.Context, r *run) {
	k.stuck[r] = true
	k.reports.stuck(r)
	go func() {
		why := fmt.Errorf("%w after %v, and its handler has not returned", ErrTimedOut, r.rules.timeout)
		r.took = time.Since(k.slots.startOf(r))
		if r.lostAt.IsZero() {
			k.executor.conclude(ctx, r, why, ErrTimedOut)
		} else {
			k.executor.conclude(ctx, r, nil, sqlqueue.ErrReservationLost)
		}
		k.slots.end(r, false)
	}()
}

// stuckIDs are the jobs of the handlers that are stuck.
func (k *keeper) stuckIDs() []int64 { return sortedIDs(maps.Keys(k.stuck)) }

func sortedIDs(runs iter.Seq[*run]) (ids []int64) {
	for r := range runs {
		ids = append(ids, r.info.ID)
	}
	slices.Sort(ids)
	return ids
}
