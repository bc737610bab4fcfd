package operator

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// tally counts what is in jobs, up to most for each queue and state. It goes by the indexes, lane by lane, so that it takes no longer when
// there are millions more.
type tally struct {
	*Queries
	most  int64
	now   time.Time
	queue func(name string) *sqlqueue.QueueInfo
}

// countTo counts up to most.
func (q *Queries) countTo(ctx context.Context, most int64, queue func(name string) *sqlqueue.QueueInfo) error {
	now, err := q.clock(ctx)
	if err != nil {
		return err
	}
	t := &tally{q, most, now, queue}
	if err := t.jobs(ctx); err != nil {
		return err
	}
	return t.failed(ctx)
}

func (t *tally) jobs(ctx context.Context) error {
	if err := t.reserved(ctx); err != nil {
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
func (q *Queries) nextQueue(ctx context.Context, table, index, condition, after string) (queue string, ok bool, err error) {
	s := q.statement("SELECT queue FROM %s%s", q.Table(table), q.force(index))
	s.add(" WHERE queue > %s%s ORDER BY queue LIMIT 1", s.arg(after), condition)
	err = s.each(ctx, q.DB, func(scan func(...any) error) error {
		ok = true
		return scan(&queue)
	})
	return queue, ok, err
}

// force makes a statement use an index, where the planner would not by itself.
func (q *Queries) force(index string) string {
	if q.Dialect.Force == "" {
		return ""
	}
	return fmt.Sprintf(q.Dialect.Force, q.Table(index))
}

// lanes counts the ready and the delayed jobs of a queue.
func (t *tally) lanes(ctx context.Context, info *sqlqueue.QueueInfo) error {
	const before = -1 << 15 // the least priority
	priority, ok, err := t.nextPriority(ctx, info.Queue, before-1)
	for ; ok && err == nil; priority, ok, err = t.nextPriority(ctx, info.Queue, priority) {
		ready, oldest, err := t.lane(ctx, info.Queue, priority, "<=", t.most-info.Ready)
		if err != nil {
			return err
		}
		delayed, _, err := t.lane(ctx, info.Queue, priority, ">", t.most-info.Delayed)
		if err != nil {
			return err
		}
		endless, err := t.endless(ctx, info.Queue, priority)
		if err != nil {
			return err
		}
		info.Ready += ready
		info.Delayed += delayed
		info.Reserved = min(info.Reserved+endless, t.most)
		if ready > 0 && (info.Oldest.IsZero() || oldest.Before(info.Oldest)) {
			info.Oldest = oldest
		}
	}
	return err
}

func (t *tally) nextPriority(ctx context.Context, queue string, after int) (priority int, ok bool, err error) {
	s := t.statement("SELECT priority FROM %s%s", t.Table("jobs"), t.force("jobs_ready"))
	s.add(" WHERE queue = %s", s.arg(queue))
	s.add(" AND priority > %d%s ORDER BY priority LIMIT 1", after, t.Dialect.Waiting)
	err = s.each(ctx, t.DB, func(scan func(...any) error) error {
		ok = true
		return scan(&priority)
	})
	return priority, ok, err
}

// lane counts the jobs of a lane that are available before (<=) or after (>) now, and returns the time of the oldest.
func (t *tally) lane(ctx context.Context, queue string, priority int, side string, most int64) (count int64, oldest time.Time, err error) {
	s := t.statement("SELECT count(*), "+t.Dialect.Micros, "min(available_at)")
	s.add(" FROM (SELECT available_at FROM %s%s", t.Table("jobs"), t.force("jobs_ready"))
	s.add(" WHERE queue = %s AND priority = %d AND NOT reserved AND available_at %s ", s.arg(queue), priority, side)
	s.add("%s ORDER BY available_at LIMIT %d) AS lane", s.time(t.now), most)
	var first micros
	err = s.each(ctx, t.DB, func(scan func(...any) error) error { return scan(&count, &first) })
	return count, first.time(), err
}

// endless counts the reserved jobs of a lane that no index but jobs_ready has: they are at its beginning.
func (t *tally) endless(ctx context.Context, queue string, priority int) (count int64, err error) {
	if t.Dialect.Endless == "" {
		return 0, nil
	}
	s := t.statement("SELECT count(*) FROM (SELECT reserved, expires_at FROM %s%s", t.Table("jobs"), t.force("jobs_ready"))
	s.add(" WHERE queue = %s AND priority = %d ORDER BY available_at LIMIT %d) AS lane WHERE %s", s.arg(queue), priority, t.most, t.Dialect.Endless)
	err = s.each(ctx, t.DB, func(scan func(...any) error) error { return scan(&count) })
	return count, err
}

// reserved counts the reserved jobs of all queues.
func (t *tally) reserved(ctx context.Context) error {
	s := t.statement("SELECT queue, count(*) FROM (SELECT queue FROM %s%s WHERE %s ORDER BY expires_at LIMIT %d) AS r GROUP BY queue",
		t.Table("jobs"), t.force("jobs_expiry"), t.Dialect.Reserved, t.most)
	return s.each(ctx, t.DB, func(scan func(...any) error) error {
		var name string
		var n int64
		err := scan(&name, &n)
		t.queue(name).Reserved = n
		return err
	})
}

// failed counts the failed jobs of each queue.
func (t *tally) failed(ctx context.Context) error {
	for queue := ""; ; {
		name, ok, err := t.nextQueue(ctx, "failed_jobs", "failed_jobs_queue", "", queue)
		if err != nil || !ok {
			return err
		}
		s := t.statement("SELECT count(*) FROM (SELECT id FROM %s%s", t.Table("failed_jobs"), t.force("failed_jobs_queue"))
		s.add(" WHERE queue = %s LIMIT %d) AS f", s.arg(name), t.most)
		info := t.queue(name)
		if err := s.each(ctx, t.DB, func(scan func(...any) error) error { return scan(&info.Failed) }); err != nil {
			return err
		}
		queue = name
	}
}

// clock reads the database's clock.
func (q *Queries) clock(ctx context.Context) (time.Time, error) {
	if q.Dialect.Now == "" {
		return time.Now().UTC(), nil
	}
	var now sql.NullInt64
	err := Each(ctx, q.DB, "SELECT "+fmt.Sprintf(q.Dialect.Micros, q.Dialect.Now), nil, func(scan func(...any) error) error { return scan(&now) })
	return micros{now}.time(), err
}
