package operator

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Jobs is that of sqlqueue.Store.
func (q *Queries) Jobs(ctx context.Context, f sqlqueue.JobFilter) ([]sqlqueue.Job, error) {
	at := func(column string) string { return fmt.Sprintf(q.Dialect.Micros, column) }
	columns := fmt.Sprintf("id, queue, priority, %s, attempts, exceptions, reserved, %s, reserved_by, %s, started, %s, %s, unique_key",
		q.start("payload", f.PayloadMax), at("reserved_at"), at("expires_at"), at("available_at"), at("created_at"))
	cut := f.Name != "" && f.PayloadMax > 0
	if cut {
		columns += ", " + q.doubtful()
	}
	var jobs []sqlqueue.Job
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := q.statement("SELECT %s FROM %s", columns, q.Table("jobs")+q.Dialect.Paged)
		s.whereJobs(f)
		s.add(" ORDER BY id LIMIT %d", n)
		err = s.each(ctx, q.DB, func(scan func(...any) error) error {
			var j sqlqueue.Job
			var payload, doubtful []byte
			dest := []any{&j.ID, &j.Queue, &j.Priority, &payload, &j.Attempts, &j.Exceptions, &j.Reserved, &j.ReservedAt, &j.ReservedBy, &j.ExpiresAt,
				&j.Started, &j.AvailableAt, &j.CreatedAt, &j.UniqueKey}
			if cut {
				dest = append(dest, &doubtful)
			}
			err := scan(reading(dest...)...)
			if read, f.After = read+1, j.ID; f.Name != "" && !cut {
				doubtful = payload
			}
			j.Payload, j.Attempts, j.Exceptions = payload, max(j.Attempts, 0), max(j.Exceptions, 0)
			if len(jobs) < f.Limit && (f.Name == "" || isNamed(f.Name, doubtful)) {
				jobs = append(jobs, j)
			}
			return err
		})
		return read, len(jobs), err
	})
	return jobs, err
}

// start is a column's text, or the first characters of it if most is not 0.
func (q *Queries) start(column string, most int) string {
	if most == 0 {
		return column
	}
	text := column
	if column == "payload" {
		text = cmp.Or(q.Dialect.Payload, column)
	}
	return fmt.Sprintf("substr(%s, 1, %d)", text, most)
}

func (s *statement) whereJobs(f sqlqueue.JobFilter) {
	s.add(" WHERE id > %s AND id <= %d", s.arg(f.After), math.MaxInt64)
	if f.IDs != nil {
		s.add(" AND %s", s.in("id", f.IDs))
	}
	if f.Until != 0 {
		s.add(" AND id <= %s", s.arg(f.Until))
	}
	if f.Queue != "" {
		s.add(" AND queue = %s", s.arg(f.Queue))
	}
	switch f.State {
	case sqlqueue.Ready:
		s.add(" AND NOT reserved AND available_at <= %s", s.ago(0))
	case sqlqueue.Delayed:
		s.add(" AND NOT reserved AND available_at > %s", s.ago(0))
	case sqlqueue.Reserved:
		s.add(" AND reserved")
	}
	if f.NotReserved {
		s.add(" AND NOT reserved")
	}
	if f.Name != "" {
		s.whereName(f.Name)
	}
	for _, field := range f.Fields {
		is := s.dialect.Field(s.arg, append([]string{"data"}, field.Path...))
		s.add(" AND %s = "+s.dialect.Text, is, s.arg(field.Value))
	}
	if f.OlderThan != 0 {
		s.add(" AND created_at <= %s", s.ago(f.OlderThan))
	}
	if !f.CreatedAfter.IsZero() {
		s.add(" AND created_at >= %s", s.time(f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		s.add(" AND created_at < %s", s.time(f.CreatedBefore))
	}
}

// Window is that of sqlqueue.Store.
func (q *Queries) Window(ctx context.Context, after int64, n int) (int64, error) {
	s := q.statement("SELECT max(id) FROM (SELECT id FROM %s%s", q.Table("jobs"), q.Dialect.ByID)
	s.add(" WHERE id > %s AND id <= %d ORDER BY id LIMIT %d) AS passed", s.arg(after), math.MaxInt64, n)
	var last sql.NullInt64
	err := s.each(ctx, q.DB, func(scan func(...any) error) error { return scan(&last) })
	return last.Int64, err
}

// CountJobs is that of sqlqueue.Store.
func (q *Queries) CountJobs(ctx context.Context, f sqlqueue.JobFilter) (n int, err error) {
	if f.Name != "" {
		err = untilFull(f.Limit, func(most int) (int, int, error) {
			found, read, err := q.ids(ctx, q.DB, q.Table("jobs"), "id", most, "", f.Name, func(s *statement) { s.whereJobs(f) })
			n, f.After = n+len(found), read.last
			return read.rows, n, err
		})
		return min(n, f.Limit), err
	}
	s := q.statement("SELECT count(*) FROM (SELECT id FROM %s", q.Table("jobs"))
	s.whereJobs(f)
	s.add(" LIMIT %d) AS found", f.Limit)
	err = s.each(ctx, q.DB, func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

// ChangeJobs is that of sqlqueue.Store. A push that is made at the same time may get a key after it was found free: then the change is tried
// again, and finds who has it. In a caller's transaction that may not be possible, and the holder stays unknown.
func (q *Queries) ChangeJobs(ctx context.Context, f sqlqueue.JobFilter, c sqlqueue.JobChange) ([]int64, error) {
	const tries = 3
	var held *heldError
	for range tries {
		ids, err := q.changeJobs(ctx, f, c)
		var duplicate *sqlqueue.DuplicateError
		if err == nil || errors.As(err, &duplicate) {
			return ids, err
		}
		var again *heldError
		if !errors.As(err, &again) && held == nil {
			return ids, err
		}
		if again == nil {
			break
		}
		held = again
	}
	return nil, &sqlqueue.DuplicateError{Duplicates: held.keys}
}

// heldError says that other jobs have got unique keys of the jobs that are changed.
type heldError struct {
	error
	keys []sqlqueue.Duplicate
}

func (e *heldError) Unwrap() error { return e.error }

func (q *Queries) changeJobs(ctx context.Context, f sqlqueue.JobFilter, c sqlqueue.JobChange) ([]int64, error) {
	var ids []int64
	err := q.Tx(ctx, func(db DB) (err error) {
		if ids, err = q.lock(ctx, db, "jobs", q.Dialect.Paged, f.IDs, "id", f.Limit, f.Name, func(s *statement, ids []int64, after int64) {
			f := f
			f.IDs, f.After = ids, max(f.After, after)
			s.whereJobs(f)
		}); err != nil || len(ids) == 0 {
			return err
		}
		if c.Delete {
			return q.delete(ctx, db, "jobs", ids)
		}
		var keys []sqlqueue.Duplicate
		if c.Queue != nil {
			if keys, err = q.checkKeys(ctx, db, ids, *c.Queue); err != nil {
				return err
			}
		}
		s := q.statement("UPDATE %s%s SET ", q.Table("jobs"), q.Dialect.ByID)
		if !s.set(c) {
			return nil
		}
		s.whereIDs(ids)
		_, err = s.exec(ctx, db)
		if err != nil && keys != nil && q.keyHeld(err) {
			return &heldError{err, keys}
		}
		return err
	})
	return ids, err
}

func (q *Queries) keyHeld(err error) bool { return q.Dialect.KeyHeld(err, q.Prefix+"jobs_unique") }

// set writes the assignments, and tells whether there are any.
func (s *statement) set(c sqlqueue.JobChange) bool {
	if c.Release {
		s.add("reserved = %s, reserved_at = NULL, reserved_by = NULL, expires_at = NULL, started = %s", s.arg(false), s.arg(false))
		s.add(", available_at = %s", s.now())
		return true
	}
	var set []string
	if c.Queue != nil {
		set = append(set, "queue = "+s.arg(*c.Queue))
	}
	if c.Priority != nil {
		set = append(set, "priority = "+s.arg(*c.Priority))
	}
	if c.At != nil {
		set = append(set, "available_at = "+s.time(*c.At))
	}
	if c.Payload != nil {
		set = append(set, "payload = "+s.arg(string(c.Payload)))
	}
	s.add("%s", strings.Join(set, ", "))
	return set != nil
}

// lock returns the ids of the rows that pass a filter, locked. Rows are looked up without locks first, so that only rows that pass are
// ever locked, whatever index the filter goes by. Others take the place of those that do not pass any more when they are locked: it
// returns fewer than limit only if there are no more. The filter is for ids, if not nil, and for what follows in the order after a row,
// if not 0; name is the one it asks for. Hint stands after the table's name when they are looked up.
func (q *Queries) lock(ctx context.Context, db DB, table, hint string, ids []int64, order string, limit int, name string,
	where func(s *statement, ids []int64, after int64),
) ([]int64, error) {
	if ids != nil {
		return q.lockIDs(ctx, db, table, ids, name, where)
	}
	var locked []int64
	for after := int64(0); ; {
		most := limit - len(locked)
		found, read, err := q.ids(ctx, db, q.Table(table)+hint, order, most, "", name, func(s *statement) { where(s, nil, after) })
		if err != nil || read.rows == 0 {
			return locked, err
		}
		if len(found) > 0 {
			more, err := q.lockIDs(ctx, db, table, found, name, where)
			if err != nil {
				return nil, err
			}
			locked = append(locked, more...)
		}
		if read.rows < most || len(locked) == limit {
			return locked, nil
		}
		after = read.last
	}
}

func (q *Queries) lockIDs(ctx context.Context, db DB, table string, ids []int64, name string,
	where func(s *statement, ids []int64, after int64),
) ([]int64, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	found, _, err := q.ids(ctx, db, q.Table(table)+q.Dialect.ByID, "id", len(ids), q.Dialect.ForUpdate, name, func(s *statement) { where(s, ids, 0) })
	return found, err
}

// read is how many rows a statement has read, and the id of the last.
type read struct {
	rows int
	last int64
}

// ids reads at most limit rows, and returns the ids of those that pass: with a name, not all do.
func (q *Queries) ids(ctx context.Context, db DB, table, order string, limit int, lock, name string, where func(s *statement)) ([]int64, read, error) {
	columns := "id, queue"
	if name != "" {
		columns += ", " + q.doubtful()
	}
	s := q.statement("SELECT %s FROM %s", columns, table)
	where(s)
	s.add(" ORDER BY %s LIMIT %d %s", order, limit, lock)
	var found []int64
	var all read
	err := s.each(ctx, db, func(scan func(...any) error) error {
		var queue string
		var doubtful []byte
		dest := []any{&all.last, &queue}
		if name != "" {
			dest = append(dest, &doubtful)
		}
		err := scan(reading(dest...)...)
		if all.rows++; isNamed(name, doubtful) {
			found = append(found, all.last)
		}
		return err
	})
	return found, all, err
}

// checkKeys returns the unique keys of the jobs, as they will be in a queue. The error is a *sqlqueue.DuplicateError if other jobs of the
// queue have some of them.
func (q *Queries) checkKeys(ctx context.Context, db DB, ids []int64, queue string) (keys []sqlqueue.Duplicate, err error) {
	mine := q.statement("SELECT unique_key FROM %s%s", q.Table("jobs"), q.Dialect.ByID)
	mine.add(" WHERE unique_key IS NOT NULL AND %s", mine.in("id", ids))
	if err := mine.each(ctx, db, func(scan func(...any) error) error {
		d := sqlqueue.Duplicate{Queue: queue}
		err := scan(reading(&d.Key)...)
		keys = append(keys, d)
		return err
	}); err != nil || keys == nil {
		return nil, err
	}
	s := q.statement("SELECT holder.id, holder.unique_key FROM %[1]s mine JOIN %[1]s holder ON holder.unique_key = mine.unique_key AND holder.id <> mine.id",
		q.Table("jobs"))
	s.add(" WHERE holder.queue = %s", s.arg(queue))
	s.add(" AND %s", s.in("mine.id", ids))
	var taken []sqlqueue.Duplicate
	if err := s.each(ctx, db, func(scan func(...any) error) error {
		d := sqlqueue.Duplicate{Queue: queue}
		err := scan(&d.Holder, &d.Key)
		taken = append(taken, d)
		return err
	}); err != nil {
		return nil, err
	}
	if taken != nil {
		return nil, &sqlqueue.DuplicateError{Duplicates: taken}
	}
	return keys, nil
}
