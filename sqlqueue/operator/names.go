package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// NamesKept is how far back Names, NameTrend and Sizes go.
const NamesKept = driver.NamesKept

// Spread is how durations are spread, in seconds. All are zero if there were none. They are off by at most a quarter.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

func spreadOf(h *driver.Histogram) Spread {
	at := func(q float64) float64 { return h.Quantile(q).Round(time.Microsecond).Seconds() }
	return Spread{at(0.5), at(0.95), at(0.99)}
}

// NameStats is what became of the runs of a name, in the queues of one first level.
type NameStats struct {
	Queue     string  `json:"queue"` // mail for mail and mail/42; empty with an empty name
	Name      string  `json:"name"`  // its first 191 characters; empty: all other names, because there were too many
	Done      int64   `json:"done"`
	Failed    int64   `json:"failed"`
	Released  int64   `json:"released"` // runs that ended with an error or a release, and whose jobs run again
	PerMinute float64 `json:"runs_per_minute"`
	Run       Spread  `json:"run_seconds"`  // how long handlers ran
	Wait      Spread  `json:"wait_seconds"` // how long jobs were due before their handler started
	Trend     Trend   `json:"trend"`
}

// Trend has numbers of runs for each part of the time: NameCounts.Step each, the oldest first. The last part goes to now.
type Trend struct {
	Done     []int64 `json:"done"`
	Failed   []int64 `json:"failed"`
	Released []int64 `json:"released"`
}

// Runs is how many runs there were.
func (s NameStats) Runs() int64 { return s.Done + s.Failed + s.Released }

// NameCounts is what Names returns.
type NameCounts struct {
	Begin time.Time     // from when on runs are counted
	Now   time.Time     // the database's clock
	Step  time.Duration // how long each part of a Trend is
	Names []NameStats   // the one with the most runs comes first
}

// NamePart is what became of the runs of a name in a part of the time.
type NamePart struct {
	Begin    time.Time `json:"begin"`
	Done     int64     `json:"done"`
	Failed   int64     `json:"failed"`
	Released int64     `json:"released"`
	Run      Spread    `json:"run_seconds"`
	Wait     Spread    `json:"wait_seconds"`
}

// Names returns what became of the runs of the last since, by name and first level of the queue: at most NamesKept. Workers count what they
// do and write it every 10 s. Counts are kept for each minute for 3 h, then for 10 minutes up to 48 h, then for each hour; so all
// parts of the time but the last one are whole, and the first one may begin a little earlier.
func (o *Operator) Names(ctx context.Context, since time.Duration) (NameCounts, error) {
	t, counts, err := o.namesSince(ctx, since)
	if err != nil {
		return counts, wrap("names", err)
	}
	type pair struct{ queue, name string }
	type sum struct {
		NameStats
		all driver.NameCount
	}
	sums := map[pair]*sum{}
	parts := counts.parts()
	err = t.EachName(ctx, counts.Begin, nil, nil, func(c *driver.NameCount) {
		s := sums[pair{c.Queue, c.Name}]
		if s == nil {
			trend := Trend{make([]int64, parts), make([]int64, parts), make([]int64, parts)}
			s = &sum{NameStats: NameStats{Queue: c.Queue, Name: c.Name, Trend: trend}}
			sums[pair{c.Queue, c.Name}] = s
		}
		s.all.Add(c)
		i := counts.part(c.Minute)
		s.Trend.Done[i] += c.Done
		s.Trend.Failed[i] += c.Failed
		s.Trend.Released[i] += c.Released
	})
	span := counts.Now.Sub(counts.Begin)
	for _, s := range sums {
		s.Done, s.Failed, s.Released, s.Run, s.Wait = s.all.Done, s.all.Failed, s.all.Released, spreadOf(&s.all.Run), spreadOf(&s.all.Wait)
		s.PerMinute = math.Round(float64(s.Runs())/span.Minutes()*100) / 100
		counts.Names = append(counts.Names, s.NameStats)
	}
	slices.SortFunc(counts.Names, func(a, b NameStats) int {
		return cmp.Or(cmp.Compare(b.Runs(), a.Runs()), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Name, b.Name))
	})
	return counts, wrap("names", err)
}

// NameTrend returns what became of the runs of one name in the queues of one first level, in the last since: in at most 61 parts, the
// oldest first. The last one goes to now.
func (o *Operator) NameTrend(ctx context.Context, queue, name string, since time.Duration) ([]NamePart, error) {
	t, counts, err := o.namesSince(ctx, since)
	if err != nil {
		return nil, wrap("name trend", err)
	}
	parts := make([]NamePart, counts.parts())
	sums := make([]driver.NameCount, len(parts))
	queue, name = storable(queue), storable(name)
	err = t.EachName(ctx, counts.Begin, &queue, &name, func(c *driver.NameCount) { sums[counts.part(c.Minute)].Add(c) })
	for i := range parts {
		s := &sums[i]
		parts[i] = NamePart{
			counts.Begin.Add(time.Duration(i) * counts.Step), s.Done, s.Failed, s.Released, spreadOf(&s.Run), spreadOf(&s.Wait),
		}
	}
	return parts, wrap("name trend", err)
}

// storable is a text that databases take. One that they do not take is not in their tables.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// parts is how many parts the time has.
func (c *NameCounts) parts() int { return int(c.Now.Sub(c.Begin)/c.Step) + 1 }

// part is the index of the part that has a minute.
func (c *NameCounts) part(minute time.Time) int {
	return max(0, min(int(minute.Sub(c.Begin)/c.Step), c.parts()-1))
}

// keptFor is for how long the oldest counts of the last since are summed up.
func keptFor(since time.Duration) time.Duration {
	switch {
	case since <= 3*time.Hour:
		return time.Minute
	case since <= 48*time.Hour:
		return 10 * time.Minute
	}
	return time.Hour
}

// namesSince opens the tables, and divides the last since into parts: sixtieths, rounded up to what counts are kept for. One more begins
// when the newest of these counts did, so that little is left to it, however long the parts are.
func (o *Operator) namesSince(ctx context.Context, since time.Duration) (*tables, NameCounts, error) {
	var counts NameCounts
	t, err := o.open(ctx)
	if err == nil && (since < time.Minute || since > NamesKept) {
		err = fmt.Errorf("the last %v: it must be between a minute and %v", since, NamesKept)
	}
	if err == nil {
		counts.Now, err = t.Clock(ctx)
	}
	kept := keptFor(since)
	counts.Step = max((since/trendParts + kept - 1).Truncate(kept), kept)
	n := (since + counts.Step - 1) / counts.Step
	counts.Begin = counts.Now.Truncate(kept).Add(-n * counts.Step)
	return t, counts, err
}
