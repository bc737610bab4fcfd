package worker

import (
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// demand decides how many jobs the worker asks for, and from which queues. It asks for as many as there are free slots, and for
// what it will start soon (prefetch.go); for fewer when the machine cannot start jobs (cooldown.go), when memory is short
// (memory.go) or when the network cannot carry as many (bisect.go). It reads what its neighbours know, and changes only its own
// part.
//
// It is used only by the goroutine of Run.
type demand struct {
	config  *Config
	keeper  *keeper
	control *control
	talk    *talk
	wake    *wake
	limits  *limits

	prefetch prefetch
	cooldown cooldown
	polls    int // exchanges that have asked for jobs
}

// ask returns an exchange that asks for jobs, while another exchange asks for that many others. With reserves false, because the worker
// stops or is paused, it asks for none.
func (d *demand) ask(now time.Time, others int, reserves bool) driver.Exchange {
	x := driver.Exchange{Number: d.talk.number(), Bytes: d.limits.memory.fetchBytes(), Force: d.config.Force}
	queues := d.order()
	if reserves {
		x.Limit = d.jobs(now, others)
		x.Ahead = min(max(x.Limit-max(d.keeper.free()-others, 0), 0), x.Limit)
	}
	x.Everything = d.wake.empty.everything && x.Limit > 0
	x.Idle = d.wake.byChance
	if x.Limit > 0 {
		queues = d.talk.fetching.queues(queues, now)
		x.Limit = min(x.Limit, d.talk.fetching.most)
		x.Ahead = min(x.Ahead, x.Limit)
	}
	if len(queues) == 0 { // all are skipped
		x.Limit, queues = 0, d.order()
	}
	for _, queue := range queues {
		x.Reserve = append(x.Reserve, driver.Reserve{Queue: queue, Expire: d.control.expire(queue)})
	}
	if x.Limit > 0 {
		d.polls++
	}
	return x
}

// order is the order in which the queues are served now: in fair mode each is the first in turn.
func (d *demand) order() []string {
	queues := d.config.Queues
	if !d.config.Fair {
		return queues
	}
	first := d.polls % len(queues)
	return slices.Concat(queues[first:], queues[:first])
}

// jobs is how many jobs to ask for, beside another exchange that asks for so many.
func (d *demand) jobs(now time.Time, others int) int {
	if !d.talk.registered || d.talk.outage.on() {
		return 0
	}
	// What is sent anyway, to settle, may as well ask.
	if !d.wake.pollIsDue(now) && len(d.talk.unsettled) == 0 {
		return 0
	}
	n := d.keeper.free()
	if d.config.Rest == 0 {
		n += d.prefetch.jobs(d.control.slots)
	}
	if d.config.MaxJobs > 0 {
		n = min(n, d.config.MaxJobs-d.limits.taken)
	}
	n = min(d.cooled(n, now), d.talk.fetching.most)
	if d.limits.memory.tight() {
		n = min(n, 1-len(d.keeper.held))
	}
	return max(n-others, 0)
}

// mustWait reports whether the worker asks for no job though it has room: a job that is here must show first that there is
// memory for more, or that the machine can start jobs; or all queues are skipped.
func (d *demand) mustWait(now time.Time) bool {
	return d.limits.memory.tight() && len(d.keeper.held) > 0 || !d.cooldown.on(now) && d.cooled(1, now) == 0 ||
		d.talk.fetching.skipsAll(len(d.config.Queues))
}

// cooled bounds how many jobs to ask for: none in the cooldown, one after it, and the next when that one has begun.
func (d *demand) cooled(n int, now time.Time) int {
	switch c := &d.cooldown; {
	case c.on(now):
		return 0
	case c.wait == 0:
		return n
	}
	for _, r := range d.keeper.held {
		if at := d.keeper.slots.startOf(r); at.IsZero() || at.After(d.cooldown.failedAt) && now.Sub(at) < begunAfter {
			return 0
		}
	}
	return min(n, 1)
}
