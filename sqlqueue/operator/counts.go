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
	return o.CountsBy(ctx, since, time.Minute, countMost)
}

// CountsBy is Counts in steps of one or more whole minutes, which the database adds up: a Count's Minute is the first of its step, and the
// first step begins since before the present minute. It looks at no more than most of the newest jobs that wait.
func (o *Operator) CountsBy(ctx context.Context, since, step time.Duration, most int) (Counts, error) {
	t, err := o.open(ctx)
	if err != nil {
		return Counts{}, wrap("counts", err)
	}
	if since <= 0 || since > CountsKept {
		return Counts{}, wrap("counts", fmt.Errorf("counts of the last %v: it must be more than 0 and at most %v", since, CountsKept))
	}
	if step <= 0 || step%time.Minute != 0 {
		return Counts{}, wrap("counts", fmt.Errorf("counts in steps of %v: it must be whole minutes", step))
	}
	if most < 0 {
		return Counts{}, wrap("counts", fmt.Errorf("counts among %d waiting jobs: it must be 0 or more", most))
	}
	counts, err := t.counts(ctx, since, step, most)
	return counts, wrap("counts", err)
}

func (t *tables) counts(ctx context.Context, since, step time.Duration, most int) (Counts, error) {
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

	s := t.counted(first, now, step)
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

	waiting, seen, oldest := t.waiting(first, step, most), int64(0), time.Time{}
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

// counted are the rows of the counts since first, or their sums in steps of more than a minute.
func (t *tables) counted(first, now time.Time, step time.Duration) *statement {
	table, micros := t.Table("job_counts"), fmt.Sprintf(t.Dialect.Micros, "minute")
	s := t.statement("")
	if step == time.Minute {
		// Not summed by the database: workers merge rows of a minute, so it would find hardly two to add, and sort them all on its disk.
		s.Add("SELECT %s AS minute, queue, pushed, done, failed, released FROM %s", micros, table)
	} else {
		sum, at, begins := cmp.Or(t.Dialect.Sum, "sum"), "at", t.begin(micros, first, step)
		if t.Dialect.Step != "" {
			at, begins = fmt.Sprintf(t.Dialect.Micros, at), fmt.Sprintf(t.Dialect.Step, "minute", s.Time(first), step.Microseconds())
		}
		s.Add("SELECT %[1]s AS minute, queue, pushed, done, failed, released FROM (SELECT %[2]s AS at, queue,"+
			" %[3]s(pushed) AS pushed, %[3]s(done) AS done, %[3]s(failed) AS failed, %[3]s(released) AS released FROM %[4]s",
			at, begins, sum, table)
	}
	s.Add(" WHERE minute >= %s", s.Time(first))
	s.Add(" AND minute < %s", s.Time(now.Add(CountsKept))) // without an end SQLite takes it for most of the rows, and reads all
	if step > time.Minute {
		s.Add(" GROUP BY 1, 2) AS counted")
	}
	return s
}

// begin is when a step begins, in microseconds, of times from first on.
func (t *tables) begin(micros string, first time.Time, step time.Duration) string {
	after := fmt.Sprintf("(%s - %d)", micros, first.UnixMicro())
	return micros + " - " + fmt.Sprintf(cmp.Or(t.Dialect.Remainder, "%s %% %d"), after, step.Microseconds())
}

// waiting counts the newest jobs of the table by the step in which they were pushed, 0 for those before the first that is asked for.
func (t *tables) waiting(first time.Time, step time.Duration, most int) *statement {
	s := t.statement("SELECT minute, queue, count(*), min(pushed) FROM (SELECT queue, pushed, ")
	s.Add("CASE WHEN pushed < %d THEN 0 ELSE %s END AS minute FROM (SELECT queue, ", first.UnixMicro(), t.begin("pushed", first, step))
	s.Add(t.Dialect.Micros, "created_at")
	s.Add(" AS pushed FROM %s ORDER BY id DESC LIMIT %d) AS newest) AS pushes GROUP BY minute, queue", t.Table("jobs"), most)
	return s
}
