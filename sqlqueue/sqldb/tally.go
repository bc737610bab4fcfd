package sqldb

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// QueueSize is what a queue, or a level of queues, holds.
type QueueSize struct {
	Queue                            string
	Ready, Delayed, Reserved, Failed int64
	Oldest                           time.Time // since when the oldest ready job has been available; zero: none is ready
}

// Sizes counts what each queue holds, up to most for each number. It goes by the indexes, lane by lane, so that it takes no longer when
// there are millions more.
func (d *Database) Sizes(ctx context.Context, most int64) ([]QueueSize, error) {
	return d.sizes(ctx, &tally{Database: d, most: most})
}

// levelSizes is Sizes by the first level of the queues, for at most levels of them. A number of the queues below a level may be too small
// if they have more than 2 * most jobs that wait.
func (d *Database) levelSizes(ctx context.Context, most int64, levels int) ([]QueueSize, error) {
	return d.sizes(ctx, &tally{Database: d, most: most, levels: levels})
}

func (d *Database) sizes(ctx context.Context, t *tally) (sizes []QueueSize, err error) {
	if t.now, err = d.Clock(ctx); err != nil {
		return nil, err
	}
	t.of, t.expiring = map[string]*QueueSize{}, map[lane]int64{}
	for _, count := range []func(context.Context) error{t.addReserved, t.addJobs, t.addFailed} {
		if err := count(ctx); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.of)) {
		sizes = append(sizes, *t.of[name])
	}
	return sizes, nil
}

// tally counts what is in jobs and failed_jobs.
type tally struct {
	*Database
	most     int64
	levels   int // how many first levels are counted; 0: queues are counted, all of them
	now      time.Time
	of       map[string]*QueueSize
	expiring map[lane]int64 // reserved jobs that will expire
}

type lane struct {
	queue    string
	priority int
}

// size is the one to which the jobs of a queue are added.
func (t *tally) size(queue string) *QueueSize {
	if t.levels > 0 {
		queue = driver.FirstLevel(queue)
	}
	if t.of[queue] == nil {
		t.of[queue] = &QueueSize{Queue: queue}
	}
	return t.of[queue]
}

// each calls queue for each queue that a table has rows of in an index that begins with the queue, or below for all queues below a level.
// Second is the index's next column, an integer; first is its least value in the queue.
func (t *tally) each(
	ctx context.Context, table, index, second, condition string, queue func(name string, first int) error, below func(level string) error,
) error {
	side, after := ">", ""
	for n := 1; t.levels == 0 || n <= t.levels; n++ {
		var name string
		var first int
		found := false
		s := t.Statement("SELECT queue, %s FROM %s%s", second, t.Table(table), t.Force(index))
		s.Add(" WHERE queue %s %s%s ORDER BY queue, %s LIMIT 1", side, s.Arg(after), condition, second)
		err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
			found = true
			return scan(&name, &first)
		})
		if err != nil || !found {
			return err
		}
		side, after = ">", name
		if level := driver.FirstLevel(name); t.levels > 0 && level != name {
			side, after = ">=", level+"0" // 0 comes after /
			err = below(level)
		} else {
			err = queue(name, first)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) addJobs(ctx context.Context) error {
	return t.each(ctx, "jobs", "jobs_ready", "priority", t.Dialect.Waiting,
		func(name string, first int) error { return t.lanes(ctx, t.size(name), first) },
		func(level string) error { return t.addBelow(ctx, t.size(level)) })
}

// addBelow adds the jobs that wait in the queues below a level.
func (t *tally) addBelow(ctx context.Context, size *QueueSize) error {
	var all, ready int64
	var oldest time.Time
	due := "CASE WHEN available_at <= %s THEN "
	s := t.Statement("SELECT count(*), count(")
	s.Add(due+"1 END), ", s.Time(t.now))
	s.Add(t.Dialect.Micros, "min("+strings.Replace(due, "%s", s.Time(t.now), 1)+"available_at END)")
	s.Add(" FROM (SELECT available_at FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
	s.Add(" WHERE queue > %s%s AND NOT reserved LIMIT %d) AS below", s.Arg(size.Queue+"/"), s.within(size.Queue+"/"), 2*t.most)
	err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(Reading(&all, &ready, &oldest)...) })
	if ready > 0 && (size.Oldest.IsZero() || oldest.Before(size.Oldest)) {
		size.Oldest = oldest
	}
	size.Ready, size.Delayed = min(size.Ready+ready, t.most), min(size.Delayed+all-ready, t.most)
	return err
}

// lanes counts the ready and the delayed jobs of a queue, from its first priority on.
func (t *tally) lanes(ctx context.Context, size *QueueSize, priority int) (err error) {
	for err == nil && priority < noPriority {
		priority, err = t.lane(ctx, size, lane{size.Queue, priority})
	}
	return err
}

// noPriority is greater than all priorities.
const noPriority = 1 << 15

// addNext adds the priority of the lane after this one in its queue, or noPriority.
func (t *tally) addNext(s *Statement, l lane) {
	s.Add("COALESCE((SELECT priority FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
	s.Add(" WHERE queue = %s", s.Arg(l.queue))
	s.Add(" AND priority > %d%s ORDER BY priority LIMIT 1), %d)", l.priority, t.Dialect.Waiting, noPriority)
}

// lane counts the ready and the delayed jobs of a lane, and returns the priority of the next, or noPriority. It reads the index alone:
// where that has reserved jobs too, all of them available before now, their number is taken off.
func (t *tally) lane(ctx context.Context, size *QueueSize, l lane) (next int, err error) {
	var reserved int64
	if t.Dialect.Endless != "" {
		endless, err := t.endless(ctx, l)
		if err != nil {
			return noPriority, err
		}
		size.Reserved = min(size.Reserved+endless, t.most)
		reserved = endless + t.expiring[l]
	}
	var ready, delayed int64
	var oldest time.Time
	s := t.Statement("SELECT ")
	t.addEntries(s, l, "<=", max(t.most-size.Ready, 1)+reserved) // at least one: it may be the oldest
	s.Add(", ")
	t.addOldest(s, l, t.Dialect.Waiting)
	s.Add(", ")
	t.addEntries(s, l, ">", t.most-size.Delayed)
	s.Add(", ")
	t.addNext(s, l)
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		return scan(Reading(&ready, &oldest, &delayed, &next)...)
	}); err != nil {
		return noPriority, err
	}
	if ready -= reserved; reserved > 0 && ready > 0 {
		s := t.Statement("SELECT ")
		t.addOldest(s, l, " AND NOT reserved")
		if err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(Reading(&oldest)...) }); err != nil {
			return noPriority, err
		}
	}
	if ready > 0 && (size.Oldest.IsZero() || oldest.Before(size.Oldest)) {
		size.Oldest = oldest
	}
	size.Ready = min(size.Ready+max(ready, 0), t.most)
	size.Delayed += delayed
	return next, nil
}

// addEntries adds the number of entries of a lane that are available before (<=) or after (>) now.
func (t *tally) addEntries(s *Statement, l lane, side string, most int64) {
	s.Add("(SELECT count(*) FROM (SELECT available_at FROM ")
	t.addLane(s, l, t.Dialect.Waiting, side)
	s.Add(" LIMIT %d) AS entries)", most)
}

// addOldest adds the time of the first entry of a lane, if it is not after now.
func (t *tally) addOldest(s *Statement, l lane, condition string) {
	s.Add("(SELECT "+t.Dialect.Micros+" FROM ", "available_at")
	t.addLane(s, l, condition, "<=")
	s.Add(" LIMIT 1)")
}

func (t *tally) addLane(s *Statement, l lane, condition, side string) {
	s.Add("%s%s", t.Table("jobs"), t.Force("jobs_ready"))
	s.Add(" WHERE queue = %s AND priority = %d%s AND available_at %s ", s.Arg(l.queue), l.priority, condition, side)
	s.Add("%s ORDER BY available_at", s.Time(t.now))
}

// endless counts the reserved jobs of a lane that never expire, which no index tells from those that wait. As the oldest are
// reserved first, they are at the lane's beginning: it looks no further when most jobs there are not reserved. It looks at few first,
// because it reads their rows.
func (t *tally) endless(ctx context.Context, l lane) (count int64, err error) {
	const few = 64
	for look := few + 2*t.expiring[l]; ; look *= 4 {
		s := t.Statement("SELECT count(*) FROM (SELECT reserved, expires_at FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
		s.Add(" WHERE queue = %s AND priority = %d ORDER BY available_at LIMIT %d) AS lane WHERE %s",
			s.Arg(l.queue), l.priority, look, t.Dialect.Endless)
		err = s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&count) })
		if err != nil || count+t.expiring[l] < look/2 {
			return count, err
		}
	}
}

// addReserved counts the reserved jobs of all queues. There are no more of them than workers can run.
func (t *tally) addReserved(ctx context.Context) error {
	s := t.Statement("SELECT queue, priority, count(*) FROM %s%s WHERE %s GROUP BY queue, priority",
		t.Table("jobs"), t.Force("jobs_expiry"), t.Dialect.Reserved)
	return s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var l lane
		var n int64
		err := scan(&l.queue, &l.priority, &n)
		t.expiring[l] = n
		size := t.size(l.queue)
		size.Reserved = min(size.Reserved+n, t.most)
		return err
	})
}

// addFailed counts the failed jobs.
func (t *tally) addFailed(ctx context.Context) error {
	const index = "failed_jobs_queue"
	count := func(size *QueueSize, where func(*Statement)) error {
		s := t.Statement("SELECT count(*) FROM (SELECT id FROM %s%s WHERE ", t.Table("failed_jobs"), t.Force(index))
		where(s)
		s.Add(" LIMIT %d) AS f", t.most)
		var n int64
		err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&n) })
		size.Failed = min(size.Failed+n, t.most)
		return err
	}
	return t.each(ctx, "failed_jobs", index, "id", "",
		func(name string, _ int) error {
			return count(t.size(name), func(s *Statement) { s.Add("queue = %s", s.Arg(name)) })
		},
		func(level string) error {
			return count(t.size(level), func(s *Statement) { s.Add("queue > %s%s", s.Arg(level+"/"), s.within(level+"/")) })
		})
}
