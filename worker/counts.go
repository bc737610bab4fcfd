package worker

import (
	"cmp"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const countsEvery = 10 * time.Second // how often a worker writes what it has counted

// counts are how many jobs have ended, by queue and minute, as far as that is not written yet. A beat writes them (presence.go).
type counts struct {
	of      map[countKey]*driver.Count
	written time.Time
	cleared time.Time // when old counts were deleted
}

type countKey struct {
	queue  string
	minute int64
}

// ended counts a job that came to the end of a run, at now by the database's clock.
func (c *counts) ended(r *run, now time.Time) {
	switch cmp.Or(r.verdict.instead, r.verdict.kind) {
	case processed, discarded:
		c.at(r.info.Queue, now).Done++
	case failed:
		c.at(r.info.Queue, now).Failed++
	case released:
		c.at(r.info.Queue, now).Released++
		return
	case snoozed, throttled, kept, unknown, noKey, dropped, unstarted, neverBegan, kinds:
		return
	}
	if now.Sub(r.info.CreatedAt) < driver.CountsKept {
		c.at(r.info.Queue, r.info.CreatedAt).Pushed++
	}
}

func (c *counts) at(queue string, t time.Time) *driver.Count {
	key := countKey{queue, t.Truncate(time.Minute).Unix()}
	of := c.of[key]
	if of == nil {
		if c.of == nil {
			c.of = map[countKey]*driver.Count{}
		}
		of = &driver.Count{Queue: queue, Minute: time.Unix(key.minute, 0).UTC()}
		c.of[key] = of
	}
	return of
}

// take moves what is to be written into a beat, if that is due, and reports whether it was. Every so often it has old counts deleted.
func (c *counts) take(b *driver.Beat, every time.Duration, now time.Time) bool {
	if now.Sub(c.written) < countsEvery-2*early && !b.Leave { // with every second beat, both of which may be early
		return false
	}
	for _, of := range c.of {
		b.Counts = append(b.Counts, *of)
	}
	c.of, c.written = nil, now
	if now.Sub(c.cleared) >= every {
		b.OldCounts, c.cleared = driver.CountsKept, now
	}
	return true
}

// restore takes back what a beat has not written.
func (c *counts) restore(b driver.Beat) {
	for _, of := range b.Counts {
		again := c.at(of.Queue, of.Minute)
		again.Pushed += of.Pushed
		again.Done += of.Done
		again.Failed += of.Failed
		again.Released += of.Released
	}
}
