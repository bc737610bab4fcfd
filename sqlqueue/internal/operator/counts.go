package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Counts is that of sqlqueue.Store.
func (q *Queries) Counts(ctx context.Context, since time.Duration, most int) (sqlqueue.Counts, error) {
	now, err := q.clock(ctx)
	if err != nil {
		return sqlqueue.Counts{}, err
	}
	counts := sqlqueue.Counts{Now: now}
	first := now.Add(-since).Truncate(time.Minute)
	type key struct {
		minute int64
		queue  string
	}
	found := map[key]*sqlqueue.Count{}
	at := func(minute int64, queue string) *sqlqueue.Count {
		k := key{minute, queue}
		if found[k] == nil {
			found[k] = &sqlqueue.Count{Minute: Time(minute), Queue: queue}
		}
		return found[k]
	}

	s := q.statement("SELECT "+q.Dialect.Micros+", queue, sum(pushed), sum(done), sum(failed), sum(released) FROM %s", "minute", q.Table("counts"))
	s.add(" WHERE minute >= %s GROUP BY minute, queue", s.time(first))
	if err := s.each(ctx, q.DB, func(scan func(...any) error) error {
		var minute int64
		var c sqlqueue.Count
		err := scan(reading(&minute, &c.Queue, &c.Pushed, &c.Done, &c.Failed, &c.Released)...)
		to := at(minute, c.Queue)
		to.Pushed, to.Done, to.Failed, to.Released = c.Pushed, c.Done, c.Failed, c.Released
		return err
	}); err != nil {
		return counts, err
	}

	waiting, seen, oldest := q.waiting(first, most), int64(0), time.Time{}
	if err := waiting.each(ctx, q.DB, func(scan func(...any) error) error {
		var minute, n int64
		var queue string
		var pushed time.Time
		if err := scan(reading(&minute, &queue, &n, &pushed)...); err != nil {
			return err
		}
		if seen == 0 || pushed.Before(oldest) {
			oldest = pushed
		}
		if seen += n; minute != 0 {
			c := at(minute, queue)
			c.Pushed = min(c.Pushed, math.MaxInt64-n) + n
		}
		return nil
	}); err != nil {
		return counts, err
	}
	if seen == int64(most) && oldest.After(first) {
		counts.PushedSince = oldest
	}
	for _, c := range found {
		counts.Minutes = append(counts.Minutes, *c)
	}
	slices.SortFunc(counts.Minutes, func(a, b sqlqueue.Count) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Queue, b.Queue))
	})
	return counts, nil
}

// waiting counts the newest jobs of the table by the minute in which they were pushed, 0 for those before the first minute that is asked for.
func (q *Queries) waiting(first time.Time, most int) *statement {
	s := q.statement("SELECT minute, queue, count(*), min(pushed) FROM (SELECT queue, pushed, ")
	second := fmt.Sprintf(cmp.Or(q.Dialect.Remainder, "%s %% %d"), "pushed", time.Minute.Microseconds())
	s.add("CASE WHEN pushed < %d THEN 0 ELSE pushed - %s END AS minute FROM (SELECT queue, ", first.UnixMicro(), second)
	s.add(q.Dialect.Micros, "created_at")
	s.add(" AS pushed FROM %s ORDER BY id DESC LIMIT %d) AS newest) AS pushes GROUP BY minute, queue", q.Table("jobs"), most)
	return s
}

// WriteCounts inserts an exchange's counts, and deletes old ones: at most a thousand, and none that another transaction has locked.
func (q *Queries) WriteCounts(ctx context.Context, db DB, x sqlqueue.Exchange) error {
	for counts := range slices.Chunk(x.Counts, 100) {
		s := q.statement("INSERT INTO %s (minute, queue, pushed, done, failed, released) VALUES ", q.Table("counts"))
		for i, c := range counts {
			if i > 0 {
				s.add(", ")
			}
			s.add("(%s, %s, %d, %d, %d, %d)", s.time(c.Minute), s.arg(c.Queue), c.Pushed, c.Done, c.Failed, c.Released)
		}
		if _, err := s.exec(ctx, db); err != nil {
			return err
		}
	}
	if x.OldCounts == 0 {
		return nil
	}
	var old []int64
	s := q.statement("SELECT id FROM %s%s", q.Table("counts"), q.force("counts_minute"))
	s.add(" WHERE minute < %s ORDER BY minute LIMIT 1000 %s", s.ago(x.OldCounts), q.Dialect.SkipLocked)
	if err := s.each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		old = append(old, id)
		return err
	}); err != nil || old == nil {
		return err
	}
	return q.delete(ctx, db, "counts", old)
}
