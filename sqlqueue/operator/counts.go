package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// CountsKept is how far back Counts goes: what workers have counted is deleted then.
const CountsKept = driver.CountsKept

// Counts is what happened in the queues.
type Counts struct {
	// Minutes are those in which something happened, by minute and queue.
	Minutes []Count

	// PushedSince is the time before which Pushed is too small, because more jobs wait than were looked at. Zero: it is right everywhere.
	PushedSince time.Time

	// Now is the database's clock.
	Now time.Time
}

// countMost is how many of the newest jobs that wait Counts looks at: 6 ms of a server's CPU, where 100,000 were 130.
const countMost = 5000

// Counts returns what happened in the queues in the minutes of the last since, at most CountsKept, the present minute included.
// Workers count what they do and write it every 10 s, so the newest numbers are a little late. A job is counted as pushed in the
// minute of its created_at when it has ended, and while it waits if it is among the newest 5,000; one that was cancelled or
// cleared is not, and one that is retried counts again.
func (o *Operator) Counts(ctx context.Context, since time.Duration) (Counts, error) {
	return o.CountsAmong(ctx, since, countMost)
}

// CountsAmong is Counts that looks at fewer, or more, of the newest jobs that wait: at most most of them.
func (o *Operator) CountsAmong(ctx context.Context, since time.Duration, most int) (Counts, error) {
	t, err := o.open(ctx)
	if err != nil {
		return Counts{}, wrap("counts", err)
	}
	if since <= 0 || since > CountsKept {
		return Counts{}, wrap("counts", fmt.Errorf("counts of the last %v: it must be more than 0 and at most %v", since, CountsKept))
	}
	if most < 0 {
		return Counts{}, wrap("counts", fmt.Errorf("counts among %d waiting jobs: it must be 0 or more", most))
	}
	counts, err := t.counts(ctx, since, most)
	return counts, wrap("counts", err)
}

func (t *tables) counts(ctx context.Context, since time.Duration, most int) (Counts, error) {
	now, err := t.Clock(ctx)
	if err != nil {
		return Counts{}, err
	}
	counts := Counts{Now: now}
	first := now.Add(-since).Truncate(time.Minute)
	type key struct {
		minute int64
		queue  string
	}
	found := map[key]int{}
	at := func(minute int64, queue string) *Count { // until the next one
		k := key{minute, queue}
		i, ok := found[k]
		if !ok {
			i, found[k] = len(counts.Minutes), len(counts.Minutes)
			counts.Minutes = append(counts.Minutes, Count{Minute: sqldb.Time(minute), Queue: queue})
		}
		return &counts.Minutes[i]
	}

	// Not summed by the database: workers merge rows of a minute, so it would find hardly two to add, and sort them all on its disk.
	s := t.statement("SELECT "+t.Dialect.Micros+", queue, pushed, done, failed, released FROM %s", "minute", t.Table("job_counts"))
	s.Add(" WHERE minute >= %s", s.Time(first))
	s.Add(" AND minute < %s", s.Time(now.Add(CountsKept))) // without an end SQLite takes it for most of the rows, and reads all
	var minute int64
	var c Count
	row := sqldb.Reading(&minute, &c.Queue, &c.Pushed, &c.Done, &c.Failed, &c.Released)
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		err := scan(row...)
		to := at(minute, c.Queue)
		to.Pushed, to.Done = sum(to.Pushed, c.Pushed), sum(to.Done, c.Done)
		to.Failed, to.Released = sum(to.Failed, c.Failed), sum(to.Released, c.Released)
		return err
	}); err != nil {
		return counts, err
	}

	waiting, seen, oldest := t.waiting(first, most), int64(0), time.Time{}
	if err := waiting.Each(ctx, t.DB, func(scan func(...any) error) error {
		var minute, n int64
		var queue string
		var pushed time.Time
		if err := scan(sqldb.Reading(&minute, &queue, &n, &pushed)...); err != nil {
			return err
		}
		if seen == 0 || pushed.Before(oldest) {
			oldest = pushed
		}
		if seen += n; minute != 0 {
			c := at(minute, queue)
			c.Pushed = sum(c.Pushed, n)
		}
		return nil
	}); err != nil {
		return counts, err
	}
	if seen == int64(most) && oldest.After(first) {
		counts.PushedSince = oldest
	}
	slices.SortFunc(counts.Minutes, func(a, b Count) int {
		if c := a.Minute.Compare(b.Minute); c != 0 {
			return c
		}
		return cmp.Compare(a.Queue, b.Queue)
	})
	return counts, nil
}

// sum adds numbers that may be any, as others may have written them.
func sum(a, b int64) int64 {
	if b < 0 {
		return max(a, math.MinInt64-b) + b
	}
	return min(a, math.MaxInt64-b) + b
}

// waiting counts the newest jobs of the table by the minute in which they were pushed, 0 for those before the first minute that
// is asked for.
func (t *tables) waiting(first time.Time, most int) *statement {
	s := t.statement("SELECT minute, queue, count(*), min(pushed) FROM (SELECT queue, pushed, ")
	second := fmt.Sprintf(cmp.Or(t.Dialect.Remainder, "%s %% %d"), "pushed", time.Minute.Microseconds())
	s.Add("CASE WHEN pushed < %d THEN 0 ELSE pushed - %s END AS minute FROM (SELECT queue, ", first.UnixMicro(), second)
	s.Add(t.Dialect.Micros, "created_at")
	s.Add(" AS pushed FROM %s ORDER BY id DESC LIMIT %d) AS newest) AS pushes GROUP BY minute, queue", t.Table("jobs"), most)
	return s
}
