// Package cron says when a schedule comes: by a cron expression, or every so often, on the clocks of a time zone.
package cron

import (
	"time"
)

// Rule is when a schedule comes. It is safe for concurrent use.
type Rule struct {
	zone   *time.Location
	anchor time.Time
	every  time.Duration // more than 0: the rest does not count

	// wall returns the next reading of the clock after another, both as times in UTC; zero: there is none.
	wall func(time.Time) time.Time

	// real: hours and minutes have a *, so the rule goes by real time, whatever the clock does. Otherwise its times of day come once a
	// day each.
	real bool
}

// Zone is where the clock stands.
func (r *Rule) Zone() *time.Location { return r.zone }

// Next returns the first time after t, in the Rule's zone; zero: there is none.
func (r *Rule) Next(t time.Time) time.Time {
	var next time.Time
	switch {
	case r.every > 0:
		since := t.Sub(r.anchor)
		next = t.Add(r.every - ((since%r.every)+r.every)%r.every)
	case r.real:
		next = r.nextReal(t)
	default:
		next = r.nextOfDay(t)
	}
	const lastYear = 9990 // databases can keep years up to 9999
	if next.IsZero() || next.Year() > lastYear {
		return time.Time{}
	}
	return next.In(r.zone)
}

// Following returns the time that comes after a run at t. A t that somebody has set by hand lies between two times of "every": the next one
// is then left out if it is nearer than half of the interval.
func (r *Rule) Following(t time.Time) time.Time { return r.Next(t.Add(r.every / 2)) }

// Last returns the last time from from to to, both included; zero: there is none.
func (r *Rule) Last(from, to time.Time) time.Time {
	for back := time.Second; ; back *= 4 {
		start := to.Add(-back)
		whole := !start.After(from)
		if whole {
			start = from.Add(-1)
		}
		var last time.Time
		for t := r.Next(start); !t.IsZero() && !t.After(to); t = r.Next(t) {
			last = t
		}
		if whole || !last.IsZero() {
			return last
		}
	}
}

// period is a time in which a zone's clock stands by one offset from UTC. A zero end: for ever.
type period struct {
	start, end time.Time
	offset     time.Duration
}

func (r *Rule) periodOf(t time.Time) period {
	local := t.In(r.zone)
	start, end := local.ZoneBounds()
	if !end.IsZero() && !end.After(t) { // package time says so of the last day of a leap year
		const day = 24 * time.Hour
		end = t.Add(day)
	}
	_, seconds := local.Zone()
	return period{start, end, time.Duration(seconds) * time.Second}
}

// reading is what the clock shows at t, as a time in UTC, and at is the reverse.
func (p period) reading(t time.Time) time.Time  { return t.UTC().Add(p.offset) }
func (p period) at(reading time.Time) time.Time { return reading.Add(-p.offset) }
func (p period) has(t time.Time) bool           { return p.end.IsZero() || t.Before(p.end) }

// nextReal looks for the next reading in each period by itself: a reading that comes twice is two times, and one that is left out is none.
func (r *Rule) nextReal(after time.Time) time.Time {
	p := r.periodOf(after)
	for from := p.reading(after); ; {
		reading := r.wall(from)
		if reading.IsZero() || p.has(p.at(reading)) {
			return timeOf(reading, p)
		}
		begins := p.end
		p = r.periodOf(begins)
		from = p.reading(begins).Add(-1)
	}
}

func timeOf(reading time.Time, p period) time.Time {
	if reading.IsZero() {
		return reading
	}
	return p.at(reading)
}

// nextOfDay looks for the next reading whose first time is after t: a reading that comes twice is one time, and those that are left out
// come when the clock is set forward.
func (r *Rule) nextOfDay(after time.Time) time.Time {
	for reading := r.wall(r.periodOf(after).reading(after)); !reading.IsZero(); reading = r.wall(reading) {
		if t := r.first(reading); t.After(after) {
			return t
		}
	}
	return time.Time{}
}

// first is when the clock first shows a reading, or a later one.
func (r *Rule) first(reading time.Time) time.Time {
	const most = 48 * time.Hour // more than any offset, and any step of a clock
	for p := r.periodOf(reading.Add(-most)); ; p = r.periodOf(p.end) {
		switch t := p.at(reading); {
		case !p.start.IsZero() && t.Before(p.start):
			return p.start
		case p.has(t):
			return t
		}
	}
}
