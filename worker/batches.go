package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	batchesSoonest = 50 * time.Millisecond // how soon after a look the worker looks again, when jobs of batches have ended
	batchesLatest  = time.Second           // when it does at the latest, and how often it goes through the open batches
	batchesUnused  = 5 * time.Second       // how often it looks whether there are any, if exchanges do not tell
	batchesShare   = 20                    // looks take at most this part of the time
	batchesWithin  = 10 * time.Second      // how long one may take
)

// batches finds out which batches have ended: soon after this worker has settled jobs of them, and once a second of all open ones, since
// another worker may have died between the last settlement and the look. Exchanges tell whether there are open ones (driver.Chores). A look
// goes beside the exchanges, and only one at a time.
//
// It is used only by the goroutine of Run.
type batches struct {
	talk *talk
	log  *journal

	noted    map[string]bool // queues of batches of which jobs have ended since the last look
	known    bool            // an exchange has told whether there are open batches, or that it does not tell
	told     bool            // exchanges tell
	open     bool            // there are open batches
	after    int64           // where the next sweep goes on
	unable   bool            // the store keeps no batches
	sweptAt  time.Time
	dueAt    time.Time // not before this time
	asked    driver.BatchLook
	askedAt  time.Time
	saidAt   time.Time // when an error was logged last
	underway *call[driver.BatchLooked]
}

// note notes that a job of a queue has ended. The queue of a batch ends in /b and its id.
func (b *batches) note(queue string) {
	i := strings.LastIndexByte(queue, '/')
	if i < 0 || !strings.HasPrefix(queue[i+1:], "b") || b.noted[queue] || b.unable {
		return
	}
	if b.noted == nil {
		b.noted = map[string]bool{}
	}
	b.noted[queue] = true
}

// learn takes in the answer to an exchange that asked for the chores.
func (b *batches) learn(chores *driver.Chores) {
	b.known, b.told = true, chores != nil
	if b.told {
		b.open = chores.OpenBatches
	}
}

// turn takes in a look that has ended, and begins one if it is time to.
func (b *batches) turn(ctx context.Context, now time.Time) {
	if b.underway != nil && b.underway.over() {
		b.await()
	}
	if at, ok := b.next(); ok && b.underway == nil && !now.Before(at) {
		b.begin(ctx, now)
	}
}

// next is when a look is due, if there is anything to look at.
func (b *batches) next() (at time.Time, ok bool) {
	switch {
	case b.unable:
		return time.Time{}, false
	case len(b.noted) > 0:
		return b.dueAt, true
	case b.open:
		return later(b.sweptAt.Add(batchesLatest), b.dueAt), true
	}
	return later(b.sweptAt.Add(batchesUnused), b.dueAt), b.known && !b.told
}

// restUntil is until when the worker may rest: other, or the next look if there are batches to look at. It does not wake up only to learn
// that there are none.
func (b *batches) restUntil(other time.Time) time.Time {
	at, ok := b.next()
	if b.underway != nil || !ok || !b.open && len(b.noted) == 0 {
		return other
	}
	return earlier(other, at)
}

func (b *batches) begin(ctx context.Context, now time.Time) {
	const most = 100 // queues in one look
	queues := slices.Sorted(maps.Keys(b.noted))
	queues = queues[:min(len(queues), most)]
	for _, queue := range queues {
		delete(b.noted, queue)
	}
	b.asked = driver.BatchLook{Queues: queues, Sweep: !now.Before(b.sweptAt.Add(batchesLatest)), After: b.after}
	b.askedAt = now
	look := b.asked
	b.underway = begin(func() (driver.BatchLooked, error) {
		return bounded(ctx, &b.talk.calls, batchesWithin, func(ctx context.Context) (driver.BatchLooked, error) {
			return b.talk.queue.LookBatches(ctx, look)
		})
	})
}

// await waits for the look that is under way, if there is one, and takes it in. It reports whether callbacks were pushed.
func (b *batches) await() (pushed bool) {
	if b.underway == nil {
		return false
	}
	<-b.underway.done
	looked, err, now := b.underway.value, b.underway.err, time.Now()
	b.underway = nil
	b.dueAt = now.Add(min(max(batchesSoonest, batchesShare*now.Sub(b.askedAt)), batchesLatest))
	if b.asked.Sweep {
		b.sweptAt = now
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		b.unable, b.noted = true, nil
	case err != nil:
		if now.Sub(b.saidAt) >= time.Minute {
			b.saidAt = now
			b.log.batchesFailed(err)
		}
		for _, queue := range b.asked.Queues {
			b.note(queue)
		}
	case b.asked.Sweep:
		b.open, b.after = looked.Open, looked.After
	}
	b.open = b.open || err == nil && len(b.asked.Queues) > 0
	return len(looked.Pushed) > 0
}

// last looks at the batches whose jobs have ended, before the worker goes. It reports whether callbacks were pushed.
func (b *batches) last(ctx context.Context) bool {
	pushed := b.await()
	for tries := 0; len(b.noted) > 0 && tries < 3 && ctx.Err() == nil && !b.talk.outage.on(); tries++ {
		b.begin(ctx, time.Now())
		pushed = b.await() || pushed
	}
	return pushed
}
