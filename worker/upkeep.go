package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	upkeepEvery  = time.Minute      // how often a worker measures the queues and merges counts, unless another worker has done it
	upkeepSpread = 5 * time.Second  // within what time workers do so, so that they do not all come at once
	upkeepWithin = 20 * time.Second // how long it may take
)

// upkeep keeps the store's counts small and its sizes measured: see driver.Upkeeper. It goes beside the exchanges.
//
// It is used only by the goroutine of Run.
type upkeep struct {
	talk *talk
	log  *journal

	dueAt    time.Time
	cancel   context.CancelFunc
	underway *call[struct{}]
}

// newUpkeep does not begin at once: a worker that starts has jobs to run.
func newUpkeep(talk *talk, log *journal) *upkeep {
	return &upkeep{talk: talk, log: log, dueAt: time.Now().Add(upkeepSpread + rand.N(upkeepSpread))}
}

// turn takes in an upkeep that has ended, and begins one if it is time to.
func (u *upkeep) turn(ctx context.Context, now time.Time) {
	if u.underway != nil && u.underway.over() {
		u.ended()
	}
	if u.underway != nil || now.Before(u.dueAt) {
		return
	}
	u.dueAt = now.Add(upkeepEvery + rand.N(upkeepSpread))
	ctx, u.cancel = context.WithCancel(ctx)
	u.underway = begin(func() (struct{}, error) {
		return bounded(ctx, &u.talk.calls, upkeepWithin, func(ctx context.Context) (none struct{}, err error) {
			store, err := u.talk.queue.Store(ctx)
			if err != nil {
				return none, err
			}
			keeper, ok := driver.As[interface {
				driver.Store
				driver.Upkeeper
			}](store)
			if !ok {
				return none, errors.ErrUnsupported
			}
			return none, keeper.Upkeep(ctx)
		})
	})
}

// stop ends the upkeep that is under way.
func (u *upkeep) stop() {
	if u.underway != nil {
		u.cancel()
		<-u.underway.done
	}
}

// ended takes in an upkeep that has ended. It may have failed: the next one does what is left.
func (u *upkeep) ended() {
	u.cancel()
	if err := u.underway.err; err != nil && !errors.Is(err, errors.ErrUnsupported) {
		u.log.upkeepFailed(err)
	}
	u.underway = nil
}
