package sqldb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limit is an operator's limit of how many jobs of a queue, or of each queue of a pattern, may run.
type Limit struct {
	Queue   string        // or a pattern
	Running int64         // how many may run at once; 0: any number
	Rate    int64         // how many may start in Per; 0: any number
	Per     time.Duration // at least 1 ms
	Burst   int64         // how many may start at once after a quiet time; 0: the jobs of one second, at least 1
}

// Interval is the time from one job to the next, in microseconds.
func (l Limit) Interval() int64 { return max(1, l.Per.Microseconds()/max(l.Rate, 1)) }

// Tokens returns how many jobs may start now, and if it is 0, when the next may. Tat is the theoretical arrival time of GCRA: the time up
// to which the jobs that have started use the rate. Both times are in microseconds.
func (l Limit) Tokens(tat, now int64) (n int, wait time.Duration) {
	burst := cmp.Or(l.Burst, max(1, int64(time.Second/time.Microsecond)/l.Interval()))
	free := now + burst*l.Interval() - max(tat, now)
	if free >= l.Interval() {
		return int(min(free/l.Interval(), 1<<30)), 0
	}
	return 0, time.Duration(l.Interval()-free) * time.Microsecond
}

// Limits returns all limits.
func (d *Database) Limits(ctx context.Context) ([]Limit, error) {
	var limits []Limit
	s := d.Statement("SELECT queue, max_running, rate, rate_ms, burst FROM %s ORDER BY queue", d.Table("job_limits"))
	err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		var l Limit
		var ms int64
		err := scan(Reading(&l.Queue, &l.Running, &l.Rate, &ms, &l.Burst)...)
		l.Per = Milliseconds(max(ms, 1))
		limits = append(limits, l)
		return err
	})
	return limits, err
}

// Rules returns all limits, and how long finished jobs are kept: by queue or pattern, and under the empty name for all queues. It is one
// statement, because workers ask once a second.
func (d *Database) Rules(ctx context.Context) (limits []Limit, keep map[string]time.Duration, err error) {
	keep = map[string]time.Duration{}
	s := d.Statement("SELECT queue, max_running, rate, rate_ms, burst, -1 FROM %s UNION ALL ", d.Table("job_limits"))
	s.Add("SELECT queue, 0, 0, 0, 0, keep_ms FROM %s WHERE keep_ms IS NOT NULL", d.Table("job_queues"))
	err = s.Each(ctx, d.DB, func(scan func(...any) error) error {
		var l Limit
		var ms, kept int64
		if err := scan(Reading(&l.Queue, &l.Running, &l.Rate, &ms, &l.Burst, &kept)...); err != nil {
			return err
		}
		if kept >= 0 {
			keep[l.Queue] = Milliseconds(kept)
			return nil
		}
		l.Per = Milliseconds(max(ms, 1))
		limits = append(limits, l)
		return nil
	})
	return limits, keep, err
}

// clock is the database's time as microseconds since 1970.
func (s *Statement) clock() string {
	if s.Dialect.Now == "" {
		return fmt.Sprint(time.Now().UnixMicro())
	}
	return fmt.Sprintf(s.Dialect.Micros, s.Dialect.Now)
}

// MakePermits creates missing rows for the names. It inserts only those, because an INSERT of an existing row waits for the transaction
// that has locked it, also with ON CONFLICT DO NOTHING.
func (d *Database) MakePermits(ctx context.Context, names []string) error {
	const most = 200
	for part := range slices.Chunk(names, most) {
		if err := d.Tx(ctx, func(db DB) error { return d.makePermits(ctx, db, part) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *Database) makePermits(ctx context.Context, db DB, names []string) error {
	there := map[string]bool{}
	s := d.Statement("SELECT queue FROM %s%s", d.Table("job_permits"), d.Dialect.ByID)
	s.Add(" WHERE queue IN (%s)", s.list(names))
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var name string
		err := scan(Reading(&name)...)
		there[name] = true
		return err
	}); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(name string) bool { return there[name] })
	if len(missing) == 0 {
		return nil
	}
	s = d.Statement("INSERT INTO %s (queue, tat) VALUES ", d.Table("job_permits"))
	for i, name := range missing {
		if i > 0 {
			s.Add(", ")
		}
		s.Add("(%s, %s)", s.Arg(name), s.clock())
	}
	s.Add("%s", d.Dialect.OnConflict)
	_, err := s.Exec(ctx, db)
	return err
}

// TakePermits locks the rows that no other transaction has locked, and returns their tat, and the database's clock.
func (d *Database) TakePermits(ctx context.Context, db DB, names []string) (map[string]int64, int64, error) {
	const most = 200
	tats, now := map[string]int64{}, time.Now().UnixMicro()
	for part := range slices.Chunk(names, most) {
		s := d.Statement("SELECT queue, tat, ")
		s.Add("%s FROM %s%s WHERE queue IN (%s)", s.clock(), d.Table("job_permits"), d.Dialect.ByID, s.list(part))
		s.Add(" ORDER BY queue %s", d.Dialect.SkipLocked)
		if err := s.Each(ctx, db, func(scan func(...any) error) error {
			var name string
			var tat int64
			err := scan(Reading(&name, &tat, &now)...)
			tats[name] = tat
			return err
		}); err != nil {
			return nil, 0, err
		}
	}
	return tats, now, nil
}

// SpendPermit writes the tat of a permit that TakePermits has locked.
func (d *Database) SpendPermit(ctx context.Context, db DB, name string, tat int64) error {
	s := d.Statement("UPDATE %s SET ", d.Table("job_permits"))
	s.Add("tat = %s", s.Arg(tat))
	s.Add(" WHERE queue = %s", s.Arg(name))
	_, err := s.Exec(ctx, db)
	return err
}

// SweepPermits deletes permits whose tat is older than this, among the next thousand whose names come after a name. It returns the last of
// these names, from which the next sweep continues; empty: from the first. A permit that is needed again is created again.
func (d *Database) SweepPermits(ctx context.Context, after string, ago time.Duration) (last string, err error) {
	const most, atOnce = 1000, 100
	seen := 0
	var idle []string
	s := d.Statement("SELECT queue, ")
	s.Add("tat < %s - %d FROM %s%s", s.clock(), ago.Microseconds(), d.Table("job_permits"), d.Dialect.ByID)
	s.Add(" WHERE queue > %s ORDER BY queue LIMIT %d", s.Arg(after), most)
	if err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		var old bool
		err := scan(Reading(&last, &old)...)
		if seen++; old {
			idle = append(idle, last)
		}
		return err
	}); err != nil {
		return after, err
	}
	if seen < most {
		last = ""
	}
	for names := range slices.Chunk(idle, atOnce) {
		if err := d.Tx(ctx, func(db DB) error { return d.deletePermits(ctx, db, names, ago) }); err != nil {
			return after, err
		}
	}
	return last, nil
}

// deletePermits deletes permits that are still idle, except those that another transaction has locked.
func (d *Database) deletePermits(ctx context.Context, db DB, names []string, ago time.Duration) error {
	tats, now, err := d.TakePermits(ctx, db, names)
	if err != nil {
		return err
	}
	maps.DeleteFunc(tats, func(_ string, tat int64) bool { return tat >= now-ago.Microseconds() })
	if len(tats) == 0 {
		return nil
	}
	s := d.Statement(cmp.Or(d.Dialect.Delete, "DELETE FROM %s"), d.Table("job_permits"))
	s.Add(" WHERE queue IN (%s)", s.list(slices.Sorted(maps.Keys(tats))))
	_, err = s.Exec(ctx, db)
	return err
}

// Level is a queue of which to count the reserved jobs, alone or with all queues below it.
type Level struct {
	Queue string
	Below bool
}

// LevelLimit is a limit that holds for a queue, and the jobs that it counts.
type LevelLimit struct {
	Limit Limit
	Level Level
}

// LimitsOf returns the limits that apply to a queue: its own, or else that of the nearest pattern that matches it; and those of the levels
// above it together.
func LimitsOf(limits map[string]Limit, queue string) []LevelLimit {
	if len(limits) == 0 {
		return nil
	}
	var of []LevelLimit
	own, each := limits[queue]
	if each {
		of = append(of, LevelLimit{own, Level{queue, true}})
	}
	for i := len(queue) - 1; i >= 0; i-- {
		if queue[i] != '/' {
			continue
		}
		if l, ok := limits[queue[:i]+"/*"]; ok && !each {
			of, each = append(of, LevelLimit{l, Level{queue, false}}), true
		}
		if l, ok := limits[queue[:i]]; ok {
			of = append(of, LevelLimit{l, Level{queue[:i], true}})
		}
	}
	if l, ok := limits["*"]; ok && !each {
		of = append(of, LevelLimit{l, Level{queue, false}})
	}
	return of
}

// Running counts reserved jobs, by Level.Queue. It must be a statement after the one that took the permits, because a statement sees only
// rows that were committed before it began.
func (d *Database) Running(ctx context.Context, db DB, levels []Level) (map[string]int64, error) {
	running := map[string]int64{}
	if len(levels) == 0 {
		return running, nil
	}
	if d.Dialect.Level == "" { // no index has the queues of reserved jobs: all of them are read, once
		s := d.Statement("SELECT queue, count(*) FROM %s%s WHERE %s AND reserved GROUP BY queue", d.Table("jobs"), d.Force("jobs_expiry"),
			d.Dialect.Reserved)
		return running, s.Each(ctx, db, func(scan func(...any) error) error {
			var queue string
			var n int64
			err := scan(Reading(&queue, &n)...)
			for _, l := range levels {
				if queue == l.Queue || l.Below && strings.HasPrefix(queue, l.Queue+"/") {
					running[l.Queue] += n
				}
			}
			return err
		})
	}
	const most = 50
	for part := range slices.Chunk(levels, most) {
		s := d.Statement("")
		for i, l := range part {
			if i > 0 {
				s.Add(" UNION ALL ")
			}
			level := ""
			if strings.Contains(l.Queue, "/") {
				level = " AND " + d.Dialect.Level
			}
			s.Add("SELECT %d, count(*) FROM %s WHERE reserved%s", i, d.Table("jobs"), level)
			s.Add(" AND queue = %s", s.Arg(l.Queue))
			if l.Below {
				s.Add(" UNION ALL SELECT %d, count(*) FROM %s WHERE reserved AND %s", i, d.Table("jobs"), d.Dialect.Level)
				s.Add(" AND queue > %s", s.Arg(l.Queue+"/"))
				s.Add(" AND queue < %s", s.Arg(l.Queue+"0"))
			}
		}
		if err := s.Each(ctx, db, func(scan func(...any) error) error {
			var i, n int64
			err := scan(Reading(&i, &n)...)
			running[part[i].Queue] += n
			return err
		}); err != nil {
			return nil, err
		}
	}
	return running, nil
}
