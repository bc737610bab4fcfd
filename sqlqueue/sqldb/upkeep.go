package sqldb

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var _ driver.Upkeeper = (*Database)(nil)

// upkeepFor is after how long an Upkeep repeats none of its steps.
const upkeepFor = 5 * time.Second

// Upkeep implements driver.Upkeeper. Each step is a short transaction of its own.
func (d *Database) Upkeep(ctx context.Context) error {
	now, err := d.Clock(ctx)
	if err != nil {
		return err
	}
	if mine, err := d.takeMinute(ctx, now.Truncate(time.Minute)); err != nil || !mine {
		return err
	}
	until := time.Now().Add(upkeepFor)
	if err := d.writeSizes(ctx, now); err != nil {
		return err
	}
	steps := []func(context.Context, DB) (more bool, err error){d.mergeCounts}
	for _, s := range namesSteps {
		steps = append(steps, func(ctx context.Context, db DB) (bool, error) { return d.mergeNames(ctx, db, s, now) })
	}
	steps = append(steps,
		func(ctx context.Context, db DB) (bool, error) { return d.mergeSizes(ctx, db, now) },
		func(ctx context.Context, db DB) (bool, error) { return false, d.deleteOldNames(ctx, db) },
		func(ctx context.Context, db DB) (bool, error) { return false, d.deleteOldSizes(ctx, db) })
	for _, step := range steps {
		for again := true; again; { // each at least once
			more, err := d.alone(ctx, step)
			if err != nil {
				return err
			}
			again = more && time.Now().Before(until)
		}
	}
	return nil
}

// takeMinute reports whether this is the first Upkeep in a minute.
func (d *Database) takeMinute(ctx context.Context, minute time.Time) (mine bool, err error) {
	var taken time.Time
	s := d.Statement("SELECT "+d.Dialect.Micros, "minute")
	s.Add(" FROM %s", d.Table("job_upkeep"))
	s.Add(" WHERE queue = %s", s.Arg(""))
	found := false
	if err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		found = true
		return scan(Reading(&taken)...)
	}); err != nil || !taken.Before(minute) {
		return false, err
	}
	err = d.Tx(ctx, func(db DB) error {
		if !found {
			s := d.Statement("INSERT INTO %s (queue, minute, counted) VALUES ", d.Table("job_upkeep"))
			s.Add("(%s, ", s.Arg(""))
			s.Add("%s, 0)%s", s.Time(time.UnixMicro(0)), d.Dialect.OnConflict)
			if _, err := s.Exec(ctx, db); err != nil {
				return err
			}
		}
		s := d.Statement("UPDATE %s SET minute = ", d.Table("job_upkeep"))
		s.Add("%s", s.Time(minute))
		s.Add(" WHERE queue = %s", s.Arg(""))
		s.Add(" AND minute < %s", s.Time(minute))
		changed, err := s.Exec(ctx, db)
		mine = changed > 0
		return err
	})
	return mine, err
}

// alone runs a step in a transaction, unless another one runs a step.
func (d *Database) alone(ctx context.Context, step func(context.Context, DB) (bool, error)) (more bool, err error) {
	err = d.Tx(ctx, func(db DB) (err error) {
		free := false
		s := d.Statement("SELECT counted FROM %s", d.Table("job_upkeep"))
		s.Add(" WHERE queue = %s %s", s.Arg(""), d.Dialect.SkipLocked)
		more, err = false, s.Each(ctx, db, func(func(...any) error) error { free = true; return nil })
		if err == nil && free {
			more, err = step(ctx, db)
		}
		return err
	})
	return more, err
}

// writeSizes writes what the queues hold.
func (d *Database) writeSizes(ctx context.Context, now time.Time) error {
	sizes, err := d.levelSizes(ctx, driver.SizesMost, driver.LevelsMost)
	if err != nil {
		return err
	}
	var all QueueSize
	for _, q := range sizes {
		all.Ready, all.Delayed, all.Reserved, all.Failed = all.Ready+q.Ready, all.Delayed+q.Delayed, all.Reserved+q.Reserved,
			all.Failed+q.Failed
		if !q.Oldest.IsZero() && (all.Oldest.IsZero() || q.Oldest.Before(all.Oldest)) {
			all.Oldest = q.Oldest
		}
	}
	return d.Tx(ctx, func(db DB) error {
		return d.insertSizes(ctx, db, 1, now.Truncate(time.Minute), append(sizes, all), now)
	})
}

// insertSizes inserts sizes, as they were at now.
func (d *Database) insertSizes(ctx context.Context, db DB, step int, minute time.Time, sizes []QueueSize, now time.Time) error {
	for part := range slices.Chunk(sizes, 100) {
		s := d.Statement("INSERT INTO %s (step, minute, queue, ready, not_due, reserved, failed, oldest_ms) VALUES ", d.Table("job_sizes"))
		for i, q := range part {
			if i > 0 {
				s.Add(", ")
			}
			var oldest int64
			if !q.Oldest.IsZero() {
				oldest = max(now.Sub(q.Oldest).Milliseconds(), 0)
			}
			s.Add("(%d, %s, %s, %d, %d, %d, %d, %d)",
				step, s.Time(minute), s.Arg(q.Queue), q.Ready, q.Delayed, q.Reserved, q.Failed, oldest)
		}
		s.Add("%s", d.Dialect.OnConflict)
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// sizesMerged is from what age on only the greatest sizes of each hour are kept.
const sizesMerged = 48 * time.Hour

// mergeSizes makes the rows of the oldest hour one for each queue.
func (d *Database) mergeSizes(ctx context.Context, db DB, now time.Time) (more bool, err error) {
	var oldest time.Time
	s := d.Statement("SELECT "+d.Dialect.Micros, "min(minute)")
	s.Add(" FROM %s WHERE step = 1", d.Table("job_sizes"))
	if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(Reading(&oldest)...) }); err != nil {
		return false, err
	}
	hour := oldest.Truncate(time.Hour)
	if oldest.IsZero() || !hour.Before(now.Add(-sizesMerged).Truncate(time.Hour)) {
		return false, nil
	}
	where := func(s *Statement) {
		s.Add(" WHERE step = 1 AND minute >= %s", s.Time(hour))
		s.Add(" AND minute < %s", s.Time(hour.Add(time.Hour)))
	}
	s = d.Statement("SELECT queue, max(ready), max(not_due), max(reserved), max(failed), max(oldest_ms) FROM %s", d.Table("job_sizes"))
	where(s)
	s.Add(" GROUP BY queue")
	var sizes []QueueSize
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var q QueueSize
		var ms int64
		err := scan(Reading(&q.Queue, &q.Ready, &q.Delayed, &q.Reserved, &q.Failed, &ms)...)
		if ms > 0 {
			q.Oldest = hour.Add(-Milliseconds(ms))
		}
		sizes = append(sizes, q)
		return err
	}); err != nil {
		return false, err
	}
	if err := d.insertSizes(ctx, db, 60, hour, sizes, hour); err != nil {
		return false, err
	}
	s = d.Statement("DELETE FROM %s", d.Table("job_sizes"))
	where(s)
	_, err = s.Exec(ctx, db)
	return true, err
}

// deleteOldSizes deletes the oldest hour, if it is too old: more never become too old in a minute.
func (d *Database) deleteOldSizes(ctx context.Context, db DB) error {
	s := d.Statement("DELETE FROM %s", d.Table("job_sizes"))
	s.Add(" WHERE step = 60 AND minute < %s", s.Ago(driver.NamesKept))
	_, err := s.Exec(ctx, db)
	return err
}

const (
	countsBatch = 1000                  // how many rows of job_counts are merged in one transaction
	mostCounted = 1_000_000_000_000_000 // the greatest number that SQLite's tables take
)

// mergeCounts merges rows of the same minute and queue in job_counts that were inserted since the last time, its own of that time among
// them. Those that are inserted in a transaction that ends meanwhile may stay as they are. Nothing but the number of rows depends on it.
func (d *Database) mergeCounts(ctx context.Context, db DB) (more bool, err error) {
	var from, newest int64
	s := d.Statement("SELECT counted FROM %s", d.Table("job_upkeep"))
	s.Add(" WHERE queue = %s", s.Arg(""))
	if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(Reading(&from)...) }); err != nil {
		return false, err
	}
	s = d.Statement("SELECT max(id) FROM %s", d.Table("job_counts"))
	if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(Reading(&newest)...) }); err != nil || newest == from {
		return false, err
	}
	if newest < from { // SQLite begins again when the table was empty
		from = 0
	}
	type key struct {
		minute int64
		queue  string
	}
	sums, rows, read := map[key]*driver.Count{}, map[key][]int64{}, 0
	s = d.Statement("SELECT id, "+d.Dialect.Micros, "minute")
	s.Add(", queue, pushed, done, failed, released FROM %s%s", d.Table("job_counts"), d.Dialect.ByID)
	s.Add(" WHERE id > %s ORDER BY id LIMIT %d %s", s.Arg(from), countsBatch, d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var c driver.Count
		var minute int64
		err := scan(Reading(&from, &minute, &c.Queue, &c.Pushed, &c.Done, &c.Failed, &c.Released)...)
		k := key{minute, c.Queue}
		if sums[k] == nil {
			sums[k] = &driver.Count{Minute: Time(minute), Queue: c.Queue}
		}
		sum := sums[k]
		add := func(to *int64, n int64) { *to += min(max(n, 0), mostCounted+1) }
		add(&sum.Pushed, c.Pushed)
		add(&sum.Done, c.Done)
		add(&sum.Failed, c.Failed)
		add(&sum.Released, c.Released)
		rows[k] = append(rows[k], from)
		read++
		return err
	}); err != nil {
		return false, err
	}
	var merged []driver.Count
	var gone []int64
	for k, ids := range rows {
		if s := sums[k]; len(ids) > 1 && max(s.Pushed, s.Done, s.Failed, s.Released) <= mostCounted {
			merged, gone = append(merged, *sums[k]), append(gone, ids...)
		}
	}
	if more = read == countsBatch; len(merged) > 0 {
		if err := d.insertCounts(ctx, db, merged); err != nil {
			return false, err
		}
		slices.Sort(gone)
		for ids := range slices.Chunk(gone, 500) {
			if err := d.Delete(ctx, db, "job_counts", ids); err != nil {
				return false, err
			}
		}
	}
	s = d.Statement("UPDATE %s SET counted = %d", d.Table("job_upkeep"), from)
	s.Add(" WHERE queue = %s", s.Arg(""))
	_, err = s.Exec(ctx, db)
	return more, err
}

// namesStep says from what age on rows of job_names are merged.
type namesStep struct {
	from, to int // minutes
	age      time.Duration
}

var namesSteps = []namesStep{{0, 1, 2 * time.Minute}, {1, 10, 3 * time.Hour}, {10, 60, 48 * time.Hour}}

// namesBatch is how many rows of job_names are merged in one transaction.
const namesBatch = 6000

// mergeNames merges the oldest rows of a step into the next one. Of each part of time it keeps the driver.NamesMost pairs of queue and name
// with the most runs, and makes one row of the rest.
func (d *Database) mergeNames(ctx context.Context, db DB, step namesStep, now time.Time) (more bool, err error) {
	type pair struct{ queue, name string }
	to := time.Duration(step.to) * time.Minute
	parts, rows, read := map[int64]map[pair]*driver.NameCount{}, map[int64][]int64{}, 0
	s := d.Statement("SELECT id, "+d.Dialect.Micros, "minute")
	s.Add(", queue, name, done, failed, released, run, wait FROM %s%s", d.Table("job_names"), d.Force("job_names_step"))
	s.Add(" WHERE step = %d AND minute < %s ORDER BY minute LIMIT %d %s",
		step.from, s.Time(now.Add(-step.age).Truncate(to)), namesBatch, d.Dialect.SkipLocked)
	var last int64
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		var c driver.NameCount
		if err := readName(scan, &id, &c); err != nil {
			return err
		}
		last = c.Minute.Truncate(to).UnixMicro()
		if parts[last] == nil {
			parts[last] = map[pair]*driver.NameCount{}
		}
		sum := parts[last][pair{c.Queue, c.Name}]
		if sum == nil {
			sum = &driver.NameCount{Minute: Time(last), Queue: c.Queue, Name: c.Name}
			parts[last][pair{c.Queue, c.Name}] = sum
		}
		sum.Add(&c)
		rows[last] = append(rows[last], id)
		read++
		return nil
	}); err != nil {
		return false, err
	}
	if more = read == namesBatch; more && len(parts) > 1 { // the rest of the last part may come next
		delete(parts, last)
		delete(rows, last)
	}
	for part, pairs := range parts {
		if err := d.insertNames(ctx, db, step.to, mostRuns(slices.Collect(maps.Values(pairs)))); err != nil {
			return false, err
		}
		for ids := range slices.Chunk(rows[part], 500) {
			if err := d.Delete(ctx, db, "job_names", ids); err != nil {
				return false, err
			}
		}
	}
	return more, nil
}

// mostRuns are the pairs with the most runs, and the sum of the others under empty names.
func mostRuns(all []*driver.NameCount) []*driver.NameCount {
	if len(all) <= driver.NamesMost {
		return all
	}
	runs := func(c *driver.NameCount) int64 {
		if c.Queue == "" {
			return math.MaxInt64 // so that there is one row of the others
		}
		return c.Done + c.Failed + c.Released
	}
	slices.SortFunc(all, func(a, b *driver.NameCount) int {
		return cmp.Or(cmp.Compare(runs(b), runs(a)), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Name, b.Name))
	})
	others := all[0]
	if others.Queue != "" {
		others = &driver.NameCount{Minute: others.Minute}
		all = slices.Insert(all, 0, others)
	}
	for _, c := range all[driver.NamesMost:] {
		others.Add(c)
	}
	return all[:driver.NamesMost]
}

// deleteOldNames deletes counts of names that are too old: at most a thousand rows.
func (d *Database) deleteOldNames(ctx context.Context, db DB) error {
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_names"), d.Force("job_names_step"))
	s.Add(" WHERE step = 60 AND minute < %s ORDER BY minute LIMIT 1000 %s", s.Ago(driver.NamesKept), d.Dialect.SkipLocked)
	return d.DeleteFound(ctx, db, "job_names", s)
}

// insertNames inserts counts by name.
func (d *Database) insertNames(ctx context.Context, db DB, step int, counts []*driver.NameCount) error {
	for part := range slices.Chunk(counts, 50) {
		s := d.Statement("INSERT INTO %s (step, minute, queue, name, done, failed, released, run, wait) VALUES ", d.Table("job_names"))
		for i, c := range part {
			if i > 0 {
				s.Add(", ")
			}
			s.Add("(%d, %s, %s, %s, %d, %d, %d, ", step, s.Time(c.Minute), s.Arg(c.Queue), s.Arg(c.Name), c.Done, c.Failed, c.Released)
			s.Add("%s, %s)", s.Arg(c.Run.String()), s.Arg(c.Wait.String()))
		}
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// readName reads a row of job_names: its id, minute, queue, name, done, failed, released, run and wait. A histogram that is not one counts
// as empty.
func readName(scan func(...any) error, id *int64, c *driver.NameCount) error {
	var run, wait string
	err := scan(Reading(id, &c.Minute, &c.Queue, &c.Name, &c.Done, &c.Failed, &c.Released, &run, &wait)...)
	_ = c.Run.MergeText(run)
	_ = c.Wait.MergeText(wait)
	return err
}

// EachName calls f for each row of counts by name from a time on, of a queue's first level and a name, or of all where these are nil. The
// NameCount is the same each time.
func (d *Database) EachName(ctx context.Context, from time.Time, queue, name *string, f func(*driver.NameCount)) error {
	s := d.Statement("")
	for i, step := range []int{0, 1, 10, 60} { // one by one: some planners do not use the index for several
		if i > 0 {
			s.Add(" UNION ALL ")
		}
		s.Add("SELECT id, "+d.Dialect.Micros, "minute")
		s.Add(", queue, name, done, failed, released, run, wait FROM %s%s", d.Table("job_names"), d.Force("job_names_step"))
		s.Add(" WHERE step = %d AND minute >= %s", step, s.Time(from))
		if queue != nil {
			s.Add(" AND queue = %s", s.Arg(*queue))
		}
		if name != nil {
			s.Add(" AND name = %s", s.Arg(*name))
		}
	}
	var c driver.NameCount
	var id int64
	return s.Each(ctx, d.DB, func(scan func(...any) error) error {
		c = driver.NameCount{}
		err := readName(scan, &id, &c)
		f(&c)
		return err
	})
}
