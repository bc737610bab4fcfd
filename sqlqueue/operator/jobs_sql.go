package operator

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// jobs returns the jobs that pass the filter, by ascending id, or by descending id with Newest.
func (t *tables) jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	at := func(column string) string { return fmt.Sprintf(t.Dialect.Micros, column) }
	columns := fmt.Sprintf("id, queue, priority, %s, attempts, exceptions, reserved, %s, reserved_by, %s, started, %s, %s, unique_key",
		t.start("payload", f.PayloadMax), at("reserved_at"), at("expires_at"), at("available_at"), at("created_at"))
	cut := f.Name != "" && f.PayloadMax > 0
	if cut {
		columns += ", " + t.doubtful()
	}
	var jobs []Job
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := t.statement("SELECT %s FROM %s", columns, t.Table("jobs")+t.Dialect.Paged)
		s.whereJobs(f)
		order := ""
		if f.Newest {
			order = " DESC"
		}
		s.Add(" ORDER BY id%s LIMIT %d", order, n)
		err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
			var j Job
			var payload, doubtful []byte
			dest := []any{
				&j.ID, &j.Queue, &j.Priority, &payload, &j.Attempts, &j.Exceptions, &j.Reserved, &j.ReservedAt, &j.ReservedBy,
				&j.ExpiresAt, &j.Started, &j.AvailableAt, &j.CreatedAt, &j.UniqueKey,
			}
			if cut {
				dest = append(dest, &doubtful)
			}
			err := scan(sqldb.Reading(dest...)...)
			read++
			f.goOn(j.ID)
			if f.Name != "" && !cut {
				doubtful = payload
			}
			j.ReservedBy = strings.TrimRight(j.ReservedBy, " ") // which MySQL leaves there under PAD_CHAR_TO_FULL_LENGTH
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

// goOn has the filter select what comes after a job.
func (f *JobFilter) goOn(id int64) {
	if !f.Newest {
		f.After = id
		return
	}
	if f.Until = id - 1; f.Until == 0 { // which would not restrict
		f.After = math.MaxInt64
	}
}

// start is a column's text, or the first characters of it if most is not 0.
func (t *tables) start(column string, most int) string {
	if most == 0 {
		return column
	}
	text := column
	if column == "payload" {
		text = cmp.Or(t.Dialect.Payload, column)
	}
	return fmt.Sprintf("substr(%s, 1, %d)", text, most)
}

func (s *statement) whereJobs(f JobFilter) {
	s.Add(" WHERE id > %s AND id <= %d", s.Arg(f.After), math.MaxInt64)
	if f.IDs != nil {
		s.Add(" AND %s", s.In("id", f.IDs))
	}
	if f.Until != 0 {
		s.Add(" AND id <= %s", s.Arg(f.Until))
	}
	if f.Queue != "" {
		s.Add(" AND queue = %s", s.Arg(f.Queue))
	}
	switch f.State {
	case Ready:
		s.Add(" AND NOT reserved AND available_at <= %s", s.Ago(0))
	case Delayed:
		s.Add(" AND NOT reserved AND available_at > %s", s.Ago(0))
	case Reserved:
		s.Add(" AND reserved")
	}
	if f.NotReserved {
		s.Add(" AND NOT reserved")
	}
	if f.Name != "" {
		s.whereName(f.Name)
	}
	for _, field := range f.Fields {
		is := s.Dialect.Field(s.Arg, append([]string{"data"}, field.Path...))
		s.Add(" AND %s = "+s.Dialect.Text, is, s.Arg(field.Value))
	}
	if f.OlderThan != 0 {
		s.Add(" AND created_at <= %s", s.Ago(f.OlderThan))
	}
	if !f.CreatedAfter.IsZero() {
		s.Add(" AND created_at >= %s", s.Time(f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		s.Add(" AND created_at < %s", s.Time(f.CreatedBefore))
	}
}

// window returns the id of the nth job after an id, or of the last if there are fewer, or 0 if there are none.
func (t *tables) window(ctx context.Context, after int64, n int) (int64, error) {
	s := t.statement("SELECT max(id) FROM (SELECT id FROM %s%s", t.Table("jobs"), t.Dialect.ByID)
	s.Add(" WHERE id > %s AND id <= %d ORDER BY id LIMIT %d) AS passed", s.Arg(after), math.MaxInt64, n)
	var last sql.NullInt64
	err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&last) })
	return last.Int64, err
}

// countJobs counts the jobs that pass the filter, up to its limit.
func (t *tables) countJobs(ctx context.Context, f JobFilter) (n int, err error) {
	if f.Name != "" {
		err = untilFull(f.Limit, func(most int) (int, int, error) {
			found, read, err := t.ids(ctx, t.DB, t.Table("jobs"), "id", most, "", f.Name, func(s *statement) { s.whereJobs(f) })
			n, f.After = n+len(found), read.last
			return read.rows, n, err
		})
		return min(n, f.Limit), err
	}
	s := t.statement("SELECT count(*) FROM (SELECT id FROM %s", t.Table("jobs"))
	s.whereJobs(f)
	s.Add(" LIMIT %d) AS found", f.Limit)
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

// changeJobs changes, releases or deletes jobs, and returns their ids. A push that is made at the same time may get a key after
// it was found free: then the change is tried again, and finds who has it. In a caller's transaction that may not be possible,
// and the holder stays unknown.
func (t *tables) changeJobs(ctx context.Context, f JobFilter, c jobChange) ([]int64, error) {
	const tries = 3
	var held *heldError
	for range tries {
		ids, err := t.changeOnce(ctx, f, c)
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

func (t *tables) changeOnce(ctx context.Context, f JobFilter, c jobChange) ([]int64, error) {
	var ids []int64
	err := t.Tx(ctx, c.action(&f), func(db sqldb.DB) (_ int, err error) {
		if ids, err = t.lock(ctx, db, "jobs", t.Dialect.Paged, f.IDs, "id", f.Limit, f.Name, func(s *statement, ids []int64, after int64) {
			f := f
			f.IDs, f.After = ids, max(f.After, after)
			s.whereJobs(f)
		}); err != nil || len(ids) == 0 {
			return 0, err
		}
		if c.Undo != "" {
			if err := t.keepCancelled(ctx, db, ids, c.Undo); err != nil {
				return 0, err
			}
		}
		if c.Delete {
			return len(ids), t.Delete(ctx, db, "jobs", ids)
		}
		var keys []sqlqueue.Duplicate
		if c.Queue != nil {
			if keys, err = t.checkKeys(ctx, db, ids, *c.Queue); err != nil {
				return 0, err
			}
		}
		s := t.statement("UPDATE %s%s SET ", t.Table("jobs"), t.Dialect.ByID)
		if !s.set(c) {
			return 0, nil
		}
		s.WhereIDs(ids)
		_, err = s.Exec(ctx, db)
		if err != nil && keys != nil && t.KeyHeld(err) {
			return 0, &heldError{err, keys}
		}
		return len(ids), err
	})
	return ids, err
}

// set writes the assignments, and tells whether there are any.
func (s *statement) set(c jobChange) bool {
	if c.Release {
		s.Add("reserved = %s, reserved_at = NULL, reserved_by = NULL, expires_at = NULL, started = %s", s.Arg(false), s.Arg(false))
		s.Add(", available_at = %s", s.Now())
		return true
	}
	var set []string
	if c.Queue != nil {
		set = append(set, "queue = "+s.Arg(*c.Queue))
	}
	if c.Priority != nil {
		set = append(set, "priority = "+s.Arg(*c.Priority))
	}
	if c.At != nil {
		set = append(set, "available_at = "+s.Time(*c.At))
	}
	if c.Payload != nil {
		set = append(set, "payload = "+s.Arg(string(c.Payload)))
	}
	s.Add("%s", strings.Join(set, ", "))
	return set != nil
}

// checkKeys returns the unique keys of the jobs, as they will be in a queue. The error is a *sqlqueue.DuplicateError if other jobs of the
// queue have some of them.
func (t *tables) checkKeys(ctx context.Context, db sqldb.DB, ids []int64, queue string) (keys []sqlqueue.Duplicate, err error) {
	mine := t.statement("SELECT unique_key FROM %s%s", t.Table("jobs"), t.Dialect.ByID)
	mine.Add(" WHERE unique_key IS NOT NULL AND %s", mine.In("id", ids))
	if err := mine.Each(ctx, db, func(scan func(...any) error) error {
		d := sqlqueue.Duplicate{Queue: queue}
		err := scan(sqldb.Reading(&d.Key)...)
		keys = append(keys, d)
		return err
	}); err != nil || keys == nil {
		return nil, err
	}
	s := t.statement("SELECT holder.id, holder.unique_key FROM %[1]s mine JOIN %[1]s holder"+
		" ON holder.unique_key = mine.unique_key AND holder.id <> mine.id", t.Table("jobs"))
	s.Add(" WHERE holder.queue = %s", s.Arg(queue))
	s.Add(" AND %s", s.In("mine.id", ids))
	var taken []sqlqueue.Duplicate
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
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
