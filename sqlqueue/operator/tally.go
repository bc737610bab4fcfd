package operator

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// tally counts what is in jobs, up to most for each queue and state. It goes by the indexes, lane by lane, so that it takes no longer when
// there are millions more.
type tally struct {
	*tables
	most     int64
	now      time.Time
	queue    func(name string) *QueueInfo
	expiring map[lane]int64 // reserved jobs that will expire
}

type lane struct {
	queue    string
	priority int
}

// countTo counts up to most.
func (t *tables) countTo(ctx context.Context, most int64, queue func(name string) *QueueInfo) error {
	now, err := t.Clock(ctx)
	if err != nil {
		return err
	}
	counted := &tally{t, most, now, queue, map[lane]int64{}}
	if err := counted.addJobs(ctx); err != nil {
		return err
	}
	return counted.addFailed(ctx)
}

func (t *tally) addJobs(ctx context.Context) error {
	if err := t.addReserved(ctx); err != nil {
		return err
	}
	for queue := ""; ; {
		name, ok, err := t.nextQueue(ctx, "jobs", "jobs_ready", t.Dialect.Waiting, queue)
		if err != nil || !ok {
			return err
		}
		if err := t.lanes(ctx, t.queue(name)); err != nil {
			return err
		}
		queue = name
	}
}

// nextQueue returns the first queue after this one of which a table has rows in an index that begins with the queue.
func (t *tables) nextQueue(ctx context.Context, table, index, condition, after string) (queue string, ok bool, err error) {
	s := t.statement("SELECT queue FROM %s%s", t.Table(table), t.Force(index))
	s.Add(" WHERE queue > %s%s ORDER BY queue LIMIT 1", s.Arg(after), condition)
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		ok = true
		return scan(&queue)
	})
	return queue, ok, err
}

// lanes counts the ready and the delayed jobs of a queue.
func (t *tally) lanes(ctx context.Context, info *QueueInfo) error {
	const before = -1 << 15 // the least priority
	priority, ok, err := t.nextPriority(ctx, info.Queue, before-1)
	for ; ok && err == nil; priority, ok, err = t.nextPriority(ctx, info.Queue, priority) {
		if err := t.lane(ctx, info, lane{info.Queue, priority}); err != nil {
			return err
		}
	}
	return err
}

func (t *tally) nextPriority(ctx context.Context, queue string, after int) (priority int, ok bool, err error) {
	s := t.statement("SELECT priority FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
	s.Add(" WHERE queue = %s", s.Arg(queue))
	s.Add(" AND priority > %d%s ORDER BY priority LIMIT 1", after, t.Dialect.Waiting)
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		ok = true
		return scan(&priority)
	})
	return priority, ok, err
}

// lane counts the ready and the delayed jobs of a lane. It reads the index alone: where that has reserved jobs too, all of them available
// before now, their number is taken off.
func (t *tally) lane(ctx context.Context, info *QueueInfo, l lane) error {
	var reserved int64
	if t.Dialect.Endless != "" {
		endless, err := t.endless(ctx, l)
		if err != nil {
			return err
		}
		info.Reserved = min(info.Reserved+endless, t.most)
		reserved = endless + t.expiring[l]
	}
	ready, oldest, err := t.entries(ctx, l, "<=", t.Dialect.Waiting, max(t.most-info.Ready, 1)+reserved) // at least one: it may be the oldest
	if err != nil {
		return err
	}
	if ready -= reserved; reserved > 0 && ready > 0 {
		if _, oldest, err = t.entries(ctx, l, "<=", " AND NOT reserved", 1); err != nil {
			return err
		}
	}
	if ready > 0 && (info.Oldest.IsZero() || oldest.Before(info.Oldest)) {
		info.Oldest = oldest
	}
	info.Ready = min(info.Ready+max(ready, 0), t.most)
	delayed, _, err := t.entries(ctx, l, ">", t.Dialect.Waiting, t.most-info.Delayed)
	info.Delayed += delayed
	return err
}

// entries counts the entries of a lane that are available before (<=) or after (>) now, and returns the time of the first.
func (t *tally) entries(ctx context.Context, l lane, side, condition string, most int64) (count int64, first time.Time, err error) {
	s := t.statement("SELECT count(*), "+t.Dialect.Micros, "min(available_at)")
	s.Add(" FROM (SELECT available_at FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
	s.Add(" WHERE queue = %s AND priority = %d%s AND available_at %s ", s.Arg(l.queue), l.priority, condition, side)
	s.Add("%s ORDER BY available_at LIMIT %d) AS lane", s.Time(t.now), most)
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(sqldb.Reading(&count, &first)...) })
	return count, first, err
}

// endless counts the reserved jobs of a lane that never expire, which no index tells from those that wait. As the oldest are
// reserved first, they are at the lane's beginning: it looks no further when most jobs there are not reserved.
func (t *tally) endless(ctx context.Context, l lane) (count int64, err error) {
	for look := int64(1000); ; look *= 4 {
		s := t.statement("SELECT count(*) FROM (SELECT reserved, expires_at FROM %s%s", t.Table("jobs"), t.Force("jobs_ready"))
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
	s := t.statement("SELECT queue, priority, count(*) FROM %s%s WHERE %s GROUP BY queue, priority",
		t.Table("jobs"), t.Force("jobs_expiry"), t.Dialect.Reserved)
	return s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var l lane
		var n int64
		err := scan(&l.queue, &l.priority, &n)
		t.expiring[l] = n
		info := t.queue(l.queue)
		info.Reserved = min(info.Reserved+n, t.most)
		return err
	})
}

// addFailed counts the failed jobs of each queue.
func (t *tally) addFailed(ctx context.Context) error {
	for queue := ""; ; {
		name, ok, err := t.nextQueue(ctx, "failed_jobs", "failed_jobs_queue", "", queue)
		if err != nil || !ok {
			return err
		}
		s := t.statement("SELECT count(*) FROM (SELECT id FROM %s%s", t.Table("failed_jobs"), t.Force("failed_jobs_queue"))
		s.Add(" WHERE queue = %s LIMIT %d) AS f", s.Arg(name), t.most)
		info := t.queue(name)
		if err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&info.Failed) }); err != nil {
			return err
		}
		queue = name
	}
}
