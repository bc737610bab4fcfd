package worker

import (
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	// shareFrom is how many idle workers of the same queues look for jobs as often as each would alone. More share the looks of so many.
	shareFrom = 10

	// shareMost is how long such a worker rests on average at most. Half as much more is still less than what Health.Ready allows, and a
	// worker's row is written often enough for its neighbours (driver.WorkerSeen).
	shareMost = 5 * time.Second
)

// share has many idle workers of the same queues look less often, so that together they look as often as shareFrom would. A worker that
// hears of nothing still finds a job as soon, since each look is some worker's.
//
// It is used only by the goroutine of Run.
type share struct {
	workers int       // that are idle, as told last; 0: not known, or this one is not
	askedAt time.Time // when they were counted last
}

// ask has the idle workers counted, if it is time for that.
func (s *share) ask(x *driver.Exchange, now time.Time) {
	// with the chores: so that there are few statements
	if x.IdleWorkers = x.Chores && now.Sub(s.askedAt) >= beatEvery-early; x.IdleWorkers {
		s.askedAt = now
	}
}

// learn takes in the answer to an exchange that has asked.
func (s *share) learn(answer driver.Exchanged) { s.workers = answer.IdleWorkers }

// of is how long a worker waits on average that would wait for d if it were alone, and has had nothing to do for so long.
func (s *share) of(d, idle time.Duration) time.Duration {
	return max(d, min(s.among(d), shareMost, idle/pollShare))
}

// among is how often a worker does what shareFrom workers would do every d, each for all.
func (s *share) among(d time.Duration) time.Duration {
	return d * time.Duration(max(s.workers, shareFrom)) / shareFrom
}

// spread is a time of d on average. So workers that have started together do not look together.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(d) }
