package worker

import (
	"slices"
	"time"
)

// prefetchAtMost is how long a job may wait here for a slot. After that it is given back, because handlers have become slower.
const prefetchAtMost = time.Second

// keeper owns the jobs that the worker holds: those that it has reserved and that have not ended. Some run in a slot, some wait
// for a slot, and some wait until their start is written to the database. The keeper says which reservations to touch, and when
// (heartbeat.go), and which handlers are stuck (stuck.go).
//
// It is used only by the goroutine of Run.
type keeper struct {
	slots    *slots
	executor *executor
	reports  *reporter
	control  *control

	held         []*run
	startPending []*run             // of held: they start when the database has answered that it has written their start
	touching     []*run             // of held: the exchange that is under way touches them
	locked       map[*run]time.Time // of held: a transaction had locked their rows; when to try again to write a start
	stuck        map[*run]bool      // settled, but the handler has not returned
	dueAt        time.Time          // when something that is held may have to be touched, or looked at, next
}

// add takes in a job that was reserved. Its slot is another matter: see slots.add.
func (k *keeper) add(r *run) {
	r.index = len(k.held)
	k.held = append(k.held, r)
	if r.expire > 0 {
		k.dueAt = earlier(k.dueAt, r.touchAt)
	}
	if r.startPending {
		k.startPending = append(k.startPending, r)
	}
}

// remove is the opposite of add.
func (k *keeper) remove(r *run) {
	delete(k.locked, r)
	last := len(k.held) - 1
	k.held[r.index] = k.held[last]
	k.held[r.index].index = r.index
	k.held[last] = nil
	k.held = k.held[:last]
}

// withdraw removes those jobs that have not started and that match. It returns those of them that are to be given back: their
// reservations are still this worker's.
func (k *keeper) withdraw(match func(*run) bool) []*run {
	waiting := k.slots.withdraw(match)
	k.startPending = slices.DeleteFunc(k.startPending, func(r *run) bool {
		if !match(r) {
			return false
		}
		waiting = append(waiting, r)
		return true
	})
	for _, r := range waiting {
		k.remove(r)
		if !r.gone {
			r.startPending, r.verdict = false, verdict{kind: unstarted}
		}
	}
	return slices.DeleteFunc(waiting, func(r *run) bool { return r.gone })
}

// waitedTooLong matches jobs that have been reserved for prefetchAtMost.
func waitedTooLong(now time.Time) func(*run) bool {
	return func(r *run) bool { return now.Sub(r.shared.at) >= prefetchAtMost }
}

func all(*run) bool { return true }

// free is how many slots there are for which no job is reserved. It is less than zero while jobs are reserved ahead.
func (k *keeper) free() int {
	busy, ready := k.slots.load()
	return k.control.slots - busy - ready - len(k.startPending)
}

// waiting is how many jobs are held that have not started.
func (k *keeper) waiting() int {
	_, ready := k.slots.load()
	return ready + len(k.startPending)
}

// running are the ids of the jobs that are held.
func (k *keeper) running() []int64 { return sortedIDs(slices.Values(k.held)) }
