package storetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// check compares a history with the tables at its end, when no call is under way, and returns every invariant that does not hold. Calls
// that overlapped may have taken effect in either order: only what no order explains is reported.
func (h *history) check(now tables) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newChecker(h, now)
	c.checkRows()
	c.checkNumbers()
	for _, id := range slices.Sorted(maps.Keys(c.jobs)) {
		c.checkJob(id, c.jobs[id])
	}
	c.checkTotals()
	return c.wrong
}

// checker sorts a history by job.
type checker struct {
	jobs      map[int64]*jobHistory
	rows      map[int64]row
	failed    map[int64][]failedRow
	abandoned map[string][]event
	latest    time.Time // the database's clock, as last told
	unknown   bool      // the outcome of some call is unknown, so totals cannot be told
	total     map[what]int
	attempts  map[int64]int
	wrong     []string

	// Reservations of which nothing but an expiry can have been the end, and those of which nothing else surely was.
	mustExpire, mayExpire int
}

// jobHistory is what happened to one job.
type jobHistory struct {
	pushes int
	grants []event
	ends   []event // by the holder
	uses   []event // by the holder, without an end
	losses []event
	gone   []event // it was deleted, failed or cancelled
	byHand []event // an operator freed or cancelled it
}

func newChecker(h *history, now tables) *checker {
	c := &checker{
		jobs: map[int64]*jobHistory{}, rows: map[int64]row{}, failed: map[int64][]failedRow{}, abandoned: map[string][]event{},
		total: map[what]int{}, attempts: h.attempts, wrong: slices.Clone(h.wrong),
	}
	for _, r := range now.jobs {
		c.rows[r.id] = r
	}
	for _, f := range now.failed {
		c.failed[f.jobID] = append(c.failed[f.jobID], f)
	}
	for id := range c.rows {
		c.jobs[id] = &jobHistory{}
	}
	for _, e := range h.events {
		c.total[e.what] += max(e.count, 1)
		if e.latest().After(c.latest) {
			c.latest = e.latest()
		}
		if e.what == unknown {
			c.unknown = true
			continue
		}
		if e.what == abandoned {
			c.abandoned[e.by] = append(c.abandoned[e.by], e)
		}
		if e.id == 0 {
			continue
		}
		j := c.jobs[e.id]
		if j == nil {
			j = &jobHistory{}
			c.jobs[e.id] = j
		}
		switch e.what {
		case pushed:
			j.pushes++
		case granted:
			j.grants = append(j.grants, e)
		case touched, held:
			j.uses = append(j.uses, e)
		case deleted, failed:
			j.ends = append(j.ends, e)
			j.gone = append(j.gone, e)
		case released, gaveBack:
			j.ends = append(j.ends, e)
		case cancelled:
			j.gone = append(j.gone, e)
			j.byHand = append(j.byHand, e)
		case freed:
			j.byHand = append(j.byHand, e)
		case lost:
			j.losses = append(j.losses, e)
		default: // counted above
		}
	}
	return c
}

func (c *checker) complain(format string, a ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, a...))
}

// checkRows looks at the tables alone.
func (c *checker) checkRows() {
	for _, id := range slices.Sorted(maps.Keys(c.rows)) {
		r := c.rows[id]
		if r.reserved != r.hasAt || r.reserved != r.hasBy || r.expires && !r.reserved {
			c.complain("job %d: reserved is %v, but reserved_at is set: %v, reserved_by: %v, expires_at: %v",
				id, r.reserved, r.hasAt, r.hasBy, r.expires)
		}
		if len(c.failed[id]) > 0 {
			c.complain("job %d is both in jobs and in failed_jobs", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.failed)) {
		if n := len(c.failed[id]); n > 1 {
			c.complain("job %d is in failed_jobs %d times", id, n)
		}
	}
}

// checkNumbers finds a number that reserved in more than one exchange.
func (c *checker) checkNumbers() {
	exchange := map[string]int64{}
	for _, j := range c.jobs {
		for _, g := range j.grants {
			if begin, ok := exchange[g.by]; ok && begin != g.begin {
				c.complain("reservation number %s was used by two exchanges", g.by)
			}
			exchange[g.by] = g.begin
		}
	}
}

func (c *checker) checkJob(id int64, j *jobHistory) {
	if j.pushes > 1 {
		c.complain("id %d was given to %d pushed jobs", id, j.pushes)
	}
	for i, g := range j.grants {
		for _, other := range j.grants[i+1:] {
			switch {
			case other.by == g.by:
				c.complain("job %d: reservation %s was given twice", id, g.by)
			case !c.endedBefore(j, g, other) && !c.endedBefore(j, other, g):
				c.complain("job %d was reserved by %s and by %s at once", id, g.by, other.by)
			}
		}
		for _, gone := range j.gone {
			if g.begin > gone.end {
				c.complain("job %d was given to %s after it had been deleted, failed or cancelled", id, g.by)
			}
		}
	}
	for _, use := range slices.Concat(j.ends, j.uses) {
		c.checkUse(id, j, use)
	}
	for _, loss := range j.losses {
		c.checkLoss(id, j, loss)
	}
	c.checkRow(id, j)
	c.checkAttempts(id, j)
}

// endedBefore reports whether the reservation may have ended before the other one began.
func (c *checker) endedBefore(j *jobHistory, g, other event) bool {
	if other.end < g.begin {
		return false
	}
	return c.mayHaveEnded(j, g, other.end) || expired(j, g, other.begin, other.latest())
}

// mayHaveEnded reports whether a call that began before the tick may have ended the reservation.
func (c *checker) mayHaveEnded(j *jobHistory, g event, tick int64) bool {
	before := func(e event) bool { return e.begin < tick }
	its := func(e event) bool { return e.by == g.by && before(e) }
	since := func(e event) bool { return e.end > g.begin && before(e) }
	return slices.ContainsFunc(j.ends, its) || slices.ContainsFunc(c.abandoned[g.by], before) || slices.ContainsFunc(j.byHand, since)
}

// expired reports whether the reservation's deadline may have passed at a time of the database's clock, with what was touched before
// the tick.
func expired(j *jobHistory, g event, tick int64, now time.Time) bool {
	deadline := g.until
	var last int64
	for _, t := range j.uses {
		if t.what == touched && t.by == g.by && t.end < tick && t.end > last {
			deadline, last = t.until, t.end
			if !deadline.IsZero() {
				deadline = deadline.Add(-t.took)
			}
		}
	}
	return !deadline.IsZero() && !now.Before(deadline.Add(-clockSlack))
}

// checkUse looks at a settlement, touch or hold that was accepted.
func (c *checker) checkUse(id int64, j *jobHistory, use event) {
	i := slices.IndexFunc(j.grants, func(g event) bool { return g.by == use.by })
	if i < 0 {
		if !c.unknown {
			c.complain("job %d: reservation %s was accepted and had never been given", id, use.by)
		}
		return
	}
	for _, g := range j.grants {
		if g.begin > j.grants[i].end && g.end < use.begin {
			c.complain("job %d: reservation %s was accepted although %s had the job since", id, use.by, g.by)
		}
	}
	for _, end := range j.ends {
		if end.by == use.by && end.end < use.begin {
			c.complain("job %d: reservation %s was accepted after its holder had ended it", id, use.by)
		}
	}
	for _, by := range j.byHand {
		if by.begin > j.grants[i].end && by.end < use.begin {
			c.complain("job %d: reservation %s was accepted after an operator had released or cancelled the job", id, use.by)
		}
	}
}

// checkLoss looks at a reservation that was reported lost.
func (c *checker) checkLoss(id int64, j *jobHistory, loss event) {
	i := slices.IndexFunc(j.grants, func(g event) bool { return g.by == loss.by })
	if i < 0 || c.unknown {
		return
	}
	if g := j.grants[i]; !c.mayHaveEnded(j, g, loss.end) && !expired(j, g, loss.begin, loss.latest()) {
		c.complain("job %d: reservation %s was reported lost while it was its holder's", id, loss.by)
	}
}

// checkRow compares what the job's history says with where it is.
func (c *checker) checkRow(id int64, j *jobHistory) {
	r, here := c.rows[id]
	switch {
	case here && len(j.gone) > 0:
		c.complain("job %d was deleted, failed or cancelled, and is still there", id)
	case !here && len(j.gone) == 0 && j.pushes+len(j.grants) > 0 && !c.unknown:
		c.complain("job %d has vanished", id)
	}
	isFailed := slices.ContainsFunc(j.gone, func(e event) bool { return e.what == failed })
	switch {
	case isFailed && len(c.failed[id]) == 0 && c.total[retried]+c.total[forgotten] == 0:
		c.complain("job %d has failed, and is not in failed_jobs", id)
	case !isFailed && len(c.failed[id]) > 0 && !c.unknown:
		c.complain("job %d is in failed_jobs, and nobody failed it", id)
	}

	known := false
	for _, g := range j.grants {
		holds := here && r.reserved && r.by == g.by
		known = known || holds
		its := func(e event) bool { return e.by == g.by }
		since := func(e event) bool { return e.end > g.begin }
		ended := slices.ContainsFunc(j.ends, its)
		switch {
		case holds && ended:
			c.complain("job %d: its holder ended reservation %s, and it is still reserved under it", id, g.by)
		case holds || ended || c.unknown:
		case len(c.abandoned[g.by]) > 0 || slices.ContainsFunc(j.byHand, since):
			c.mayExpire++
		case !expired(j, g, math.MaxInt64, c.latest):
			c.complain("job %d: reservation %s ended, and nobody ended it", id, g.by)
		default:
			c.mayExpire++
			c.mustExpire++
		}
	}
	if here && r.reserved && !known && !c.unknown {
		c.complain("job %d is reserved under %q, which was never given", id, r.by)
	}
}

// checkAttempts compares the attempts of each reservation, and of the row, with the number of reservations and give-backs.
func (c *checker) checkAttempts(id int64, j *jobHistory) {
	if c.unknown {
		return
	}
	first := c.attempts[id] + 1
	surely, perhaps := 0, 0 // given back
	seen := map[int]bool{}
	most := first - 1
	for _, g := range j.grants {
		seen[g.attempts] = true
		most = max(most, g.attempts)
		switch {
		case slices.ContainsFunc(j.ends, func(e event) bool { return e.by == g.by && e.what == gaveBack }):
			surely++
		case slices.ContainsFunc(j.ends, func(e event) bool { return e.by == g.by }):
		case len(c.abandoned[g.by]) > 0:
			perhaps++
		}
	}
	for n := first; n <= most; n++ {
		if !seen[n] {
			c.complain("job %d: no reservation had attempts %d, and one had %d", id, n, most)
			break
		}
	}
	if repeated := len(j.grants) - len(seen); repeated > surely+perhaps {
		c.complain("job %d: attempts fell %d times, and it was given back %d times", id, repeated, surely+perhaps)
	}
	final := -1
	if r, ok := c.rows[id]; ok {
		final = r.attempts
	} else if len(c.failed[id]) > 0 {
		final = c.failed[id][0].attempts
	}
	highest := first - 1 + len(j.grants) - surely
	if final >= 0 && (final > highest || final < highest-perhaps) {
		c.complain("job %d has %d attempts after %d reservations, of which %d to %d were given back",
			id, final, len(j.grants), surely, surely+perhaps)
	}
}

// checkTotals compares numbers, which finds also what happened to jobs whose ids no client was told.
func (c *checker) checkTotals() {
	if c.unknown {
		return
	}
	is := 0
	for _, f := range c.failed {
		is += len(f)
	}
	is += len(c.rows)
	if should := c.total[pushed] + c.total[inserted] - c.total[deleted] - c.total[cancelled] - c.total[forgotten]; is != should {
		c.complain("there are %d jobs and failed jobs together; there should be %d", is, should)
	}
	if n := c.total[requeued]; n < c.mustExpire || n > c.mayExpire {
		c.complain("%d reservations were reported as requeued; %d to %d expired", n, c.mustExpire, c.mayExpire)
	}
}
