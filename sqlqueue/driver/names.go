package driver

import (
	"context"
	"strings"
	"time"
)

// NameCount is what became of runs in one minute, by the name of the handler and the first level of the queue.
type NameCount struct {
	Minute   time.Time // its start, by the database's clock
	Queue    string    // FirstLevel of the queue; empty with an empty Name
	Name     string    // of the handler, at most NameMost characters; empty: of all others, because there were too many names
	Done     int64     // jobs that ended well, or were discarded
	Failed   int64     // jobs that failed for good
	Released int64     // runs that ended with an error or a release, and whose jobs run again
	Run      Histogram // how long handlers ran
	Wait     Histogram // how long jobs were due before their handler started
}

// Add adds the counts of another, whatever its minute, queue and name are.
func (c *NameCount) Add(other *NameCount) {
	c.Done += other.Done
	c.Failed += other.Failed
	c.Released += other.Released
	c.Run.Merge(&other.Run)
	c.Wait.Merge(&other.Wait)
}

// NamesMost is how many pairs of queue and name are counted at most by one worker, and kept for one step of time.
const NamesMost = 500

// NamesKept is how long counts of names, and sizes of queues, are kept.
const NamesKept = 30 * 24 * time.Hour

// SizesMost is how far the jobs of a queue's first level are counted for each of its sizes, and LevelsMost how many first levels are
// measured at most.
const (
	SizesMost  = 10_000
	LevelsMost = 500
)

// FirstLevel is the name of a queue up to its first slash: mail for mail/42/7. A slash at the beginning does not count.
func FirstLevel(queue string) string {
	if queue == "" {
		return ""
	}
	if i := strings.IndexByte(queue[1:], '/'); i >= 0 {
		return queue[:i+1]
	}
	return queue
}

// Upkeeper is a Store that keeps sizes of queues, and counts in fewer rows the older they are.
type Upkeeper interface {
	// Upkeep measures the queues, and merges rows of counts. Every worker calls it once a minute; the first one in a minute does the work,
	// and for the others it is one look. It takes no longer than about 5 s, and later calls do what is left.
	Upkeep(ctx context.Context) error
}
