package worker

import (
	"math"
	"time"
)

const (
	// prefetchFor is the time for which a worker reserves ahead.
	prefetchFor = 100 * time.Millisecond

	// rateOver is the time over which the rate is averaged.
	rateOver = 200 * time.Millisecond

	// averageOver is how many jobs the averages of their durations and sizes are over.
	averageOver = 16

	// prefetchBytes bounds the payloads that wait here for a slot.
	prefetchBytes = 8 << 20
)

// prefetch decides how many jobs a worker reserves ahead, beyond its slots, so that a slot which becomes free need not wait for
// the database: those that it will start within prefetchFor. By Little's law that is the rate at which jobs end times
// prefetchFor, where the rate is at most what the slots can do of jobs that take as long as these. With slow handlers next to
// nothing is reserved ahead, so that no job waits behind one while another worker is idle.
//
// It is used only by the goroutine of Run. The zero value is ready.
type prefetch struct {
	perSecond float64   // jobs that end
	took      float64   // seconds that a handler runs, on average
	bytes     float64   // of a payload, on average
	at        time.Time // when the rate was computed
}

// ended takes the jobs into account that have ended since it was called last.
func (p *prefetch) ended(ended []*run, now time.Time) {
	for _, r := range ended {
		if p.took == 0 {
			p.took = r.took.Seconds()
		}
		p.took += (r.took.Seconds() - p.took) / averageOver
	}
	since := now.Sub(p.at)
	if since <= 0 {
		return
	}
	share := 1 - math.Exp(-float64(since)/float64(rateOver))
	p.perSecond += (float64(len(ended))/since.Seconds() - p.perSecond) * share
	p.at = now
}

// payload takes the size of a payload into account.
func (p *prefetch) payload(size int) { p.bytes += (float64(size) - p.bytes) / averageOver }

// jobs is how many jobs to reserve ahead when there are so many slots.
func (p *prefetch) jobs(slots int) int {
	const instant = 1e-9
	rate := min(p.perSecond, float64(slots)/max(p.took, instant))
	return int(min(rate*prefetchFor.Seconds(), prefetchBytes/max(p.bytes, 1)))
}
