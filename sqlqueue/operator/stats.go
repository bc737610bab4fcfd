package operator

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Stats is what queues hold and what happened in them.
type Stats struct {
	Queues  []QueueStats    // by name
	Periods []time.Duration // over which the rates are taken, the shortest first
	Now     time.Time       // by the database's clock
}

// QueueStats is what a queue holds and what happened in it.
type QueueStats struct {
	QueueInfo
	Rates   []Rates  `json:"rates"`   // one for each period
	Minutes []Minute `json:"minutes"` // in which something happened, the oldest first
}

// Minute is what happened in a queue in a minute.
type Minute struct {
	Minute   time.Time `json:"minute"` // its start
	Pushed   int64     `json:"pushed"`
	Done     int64     `json:"done"`
	Failed   int64     `json:"failed"`
	Released int64     `json:"released"`
}

// StatsFilter says which stats are wanted.
type StatsFilter struct {
	Queue string        // empty: all queues
	Since time.Duration // how far back to look, at most CountsKept; whole minutes count
	Most  int64         // how far what the queues hold is counted: see Queues
}

// Stats returns what the queues hold, also of those that hold nothing any more but in which something happened, and the rates of the last
// minute, the last five, and of all that was asked for.
func (o *Operator) Stats(ctx context.Context, f StatsFilter) (Stats, error) {
	infos, err := o.HeldQueues(ctx, f.Most)
	if err != nil {
		return Stats{}, err
	}
	since := f.Since.Truncate(time.Minute)
	counts, err := o.Counts(ctx, since)
	if err != nil {
		return Stats{}, err
	}
	stats := Stats{Now: counts.Now, Periods: ratePeriods(since)}
	at := map[string]int{}
	row := func(info QueueInfo) int {
		i, ok := at[info.Queue]
		if !ok {
			i = len(stats.Queues)
			at[info.Queue] = i
			stats.Queues = append(stats.Queues, QueueStats{QueueInfo: info, Rates: []Rates{}, Minutes: []Minute{}})
		}
		return i
	}
	for _, info := range infos {
		row(info)
	}
	for _, c := range counts.Minutes {
		i := row(QueueInfo{Queue: c.Queue, CountedTo: f.Most, Control: Control{Queue: c.Queue}})
		stats.Queues[i].Minutes = append(stats.Queues[i].Minutes, Minute{c.Minute, c.Pushed, c.Done, c.Failed, c.Released})
	}
	stats.Queues = slices.DeleteFunc(stats.Queues, func(q QueueStats) bool { return f.Queue != "" && q.Queue != f.Queue })
	slices.SortFunc(stats.Queues, func(a, b QueueStats) int { return strings.Compare(a.Queue, b.Queue) })
	for i := range stats.Queues {
		for _, last := range stats.Periods {
			stats.Queues[i].Rates = append(stats.Queues[i].Rates, counts.Rates(stats.Queues[i].Queue, last))
		}
	}
	return stats, nil
}

// ratePeriods are those that rates are taken over.
func ratePeriods(since time.Duration) []time.Duration {
	periods := []time.Duration{time.Minute, 5 * time.Minute, since}
	return slices.Compact(slices.DeleteFunc(periods, func(d time.Duration) bool { return d > since }))
}

// Trend sums up what happened in each step of the last since before now, the present minute included. The present is at the end.
func (q *QueueStats) Trend(now time.Time, since, step time.Duration, of func(Minute) int64) []int64 {
	end := now.Truncate(time.Minute).Add(time.Minute)
	steps := make([]int64, max(1, since/step))
	for _, m := range q.Minutes {
		if back := int((end.Sub(m.Minute) - time.Minute) / step); back < len(steps) {
			steps[len(steps)-1-back] += of(m)
		}
	}
	return steps
}
