package worker

import (
	"math"
	"time"
)

const (
	// aheadFor is how far a worker reserves ahead: what it will start within so long. By Little's law that is its rate times so long, where
	// the rate is not more than what the slots can do of jobs that take as long as they do. Slow handlers get next to nothing of it, so
	// that no job waits behind one while other workers are idle.
	aheadFor = 100 * time.Millisecond

	// paceOver is the time over which the rate is averaged.
	paceOver = 200 * time.Millisecond

	// latest is over how many jobs their averages are taken.
	latest = 16

	// aheadBytes is how much payload waits here at most.
	aheadBytes = 8 << 20
)

// prefetch is the rate at which handlers end, how long each takes, and the size of their payloads.
type prefetch struct {
	perSecond float64
	took      float64 // seconds
	bytes     float64
	at        time.Time
}

// ended takes in which handlers have ended since the last time.
func (p *prefetch) ended(ended []*run, now time.Time) {
	for _, r := range ended {
		if p.took == 0 {
			p.took = r.took.Seconds()
		}
		p.took += (r.took.Seconds() - p.took) / latest
	}
	since := now.Sub(p.at)
	if since <= 0 {
		return
	}
	share := 1 - math.Exp(-float64(since)/float64(paceOver))
	p.perSecond += (float64(len(ended))/since.Seconds() - p.perSecond) * share
	p.at = now
}

// payload takes in the size of a payload.
func (p *prefetch) payload(payload int) { p.bytes += (float64(payload) - p.bytes) / latest }

// jobs is how many jobs to reserve beyond so many slots.
func (p *prefetch) jobs(slots int) int {
	const instant = 1e-9
	rate := min(p.perSecond, float64(slots)/max(p.took, instant))
	return int(min(rate*aheadFor.Seconds(), aheadBytes/max(p.bytes, 1)))
}
