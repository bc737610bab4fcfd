package worker

import (
	"context"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// The heartbeat keeps reservations from expiring. A reservation is touched, which extends it to its full length again, when a
// third of that has passed. So it survives a touch that fails. Touches have no timer of their own: each exchange takes along
// those that are due, and the loop never rests past keeper.dueAt.
//
// A touch also writes the start of a last try. Such a job waits in keeper.startPending until the database has answered, and
// then its handler starts. So a job whose worker dies before the handler began has not used up its last try.
const (
	heartbeatShare = 3 // the part of its time after which a reservation is touched

	// lockedRetry is how soon the worker tries again what another transaction has locked.
	lockedRetry = 250 * time.Millisecond
)

// kept notes that the reservation was made, or touched, by an exchange that was sent at that time.
func (r *run) kept(expire time.Duration, sent time.Time) {
	r.expire, r.touchAt = expire, sent.Add(expire/heartbeatShare)
}

// heartbeat chooses what the next exchange touches: reservations whose time has come, those whose length an operator has
// changed, those whose handlers have made progress, and last tries whose start is to be written. It goes through all that is held
// only when something may be due, and then settles also the jobs of stuck handlers.
func (k *keeper) heartbeat(ctx context.Context, now time.Time) {
	k.touching = append(k.touching[:0], k.startable(now)...)
	if now.Before(k.dueAt) {
		return
	}
	k.dueAt = now.Add(controlEvery)
	for _, r := range k.held {
		k.checkStuck(ctx, r, now)
		if r.gone {
			continue
		}
		expire := k.control.expire(r.info.Queue)
		switch due := r.expire > 0 && !now.Before(r.touchAt) || expire != r.expire || r.progressDue(now); {
		case due && !r.startPending:
			k.touching = append(k.touching, r)
		case !due && r.expire > 0:
			k.dueAt = earlier(k.dueAt, r.touchAt)
		}
	}
}

// startable are the last tries whose start is to be written now: no more than there are slots for. A job that waits for a slot with its
// start written has used up its last try if the worker dies.
func (k *keeper) startable(now time.Time) []*run {
	places := k.free() + len(k.startPending)
	var runs []*run
	for _, r := range k.startPending {
		if len(runs) < places && !now.Before(k.locked[r]) {
			runs = append(runs, r)
		}
	}
	return runs
}

// nextStart is the earliest time at which a last try can be started, no later than latest.
func (k *keeper) nextStart(latest time.Time) time.Time {
	if k.free()+len(k.startPending) <= 0 {
		return latest
	}
	for _, r := range k.startPending {
		latest = earlier(latest, k.locked[r])
	}
	return latest
}

// touchAll has all that is held touched by the next exchange.
func (k *keeper) touchAll(now time.Time) {
	for _, r := range k.held {
		if r.expire > 0 {
			r.touchAt, k.dueAt = now, earlier(k.dueAt, now)
		}
	}
}

// touches is what heartbeat has chosen, for the exchange.
func (k *keeper) touches() (touches []driver.Touch) {
	for _, r := range k.touching {
		touches = append(touches, driver.Touch{
			Reservation: r.info.Reservation(), Expire: k.control.expire(r.info.Queue), Start: r.startPending,
			Progress: r.shared.progress.Load(),
		})
	}
	return touches
}

// lockedIDs are the jobs that could not be touched last time: their reservations may seem to have expired.
func (k *keeper) lockedIDs() (ids []int64) {
	for r := range k.locked {
		ids = append(ids, r.info.ID)
	}
	return ids
}

// touched takes the answer to the touches of an exchange into account. It starts the last tries whose start is now written, and
// ends the contexts of handlers whose reservations are lost.
func (k *keeper) touched(touches []driver.Touch, answer driver.Exchanged, sent time.Time) {
	if len(touches) == 0 {
		return
	}
	lost, locked := setOf(answer.Lost), setOf(answer.Locked)
	var start []*run
	for i, r := range k.touching {
		of := touches[i].Reservation
		delete(k.locked, r)
		switch {
		case locked[of]:
			k.locked[r], r.touchAt = sent.Add(lockedRetry), sent.Add(min(lockedRetry, r.expire/6))
		case !lost[of]:
			r.kept(touches[i].Expire, sent)
			if p := touches[i].Progress; p != nil {
				r.shared.progress.CompareAndSwap(p, nil)
				r.progressAt = sent.Add(progressEvery)
			}
			if r.startPending {
				r.startPending = false
				start = append(start, r)
			}
		case r.shared.completed.Load():
			r.gone = true // the handler has committed its own transaction, and has not returned yet
		default:
			k.reports.lost(r, nil)
			r.gone, r.lostAt = true, time.Now()
			k.withdraw(func(other *run) bool { return other == r })
			k.slots.interrupt(r, sqlqueue.ErrReservationLost)
		}
		if r.expire > 0 {
			k.dueAt = earlier(k.dueAt, r.touchAt)
		}
	}
	if start == nil {
		return
	}
	k.startPending = slices.DeleteFunc(k.startPending, func(r *run) bool { return !r.startPending })
	k.slots.add(start...)
}
