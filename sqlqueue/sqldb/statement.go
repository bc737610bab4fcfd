package sqldb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Statement is SQL with its arguments.
type Statement struct {
	Dialect *Dialect
	sql     strings.Builder
	args    []any
}

func (d *Database) Statement(format string, a ...any) *Statement {
	s := &Statement{Dialect: &d.Dialect}
	s.Add(format, a...)
	return s
}

func (s *Statement) Add(format string, a ...any) { fmt.Fprintf(&s.sql, format, a...) }

func (s *Statement) Arg(v any) string {
	if v == "" && s.Dialect.Empty != "" {
		return s.Dialect.Empty
	}
	s.args = append(s.args, v)
	return s.Dialect.Placeholder(len(s.args))
}

func (s *Statement) Time(t time.Time) string {
	return fmt.Sprintf(s.Dialect.Time, s.Arg(within(t).UnixMicro()))
}

// after is the time now, moved by d: a value.
func (s *Statement) After(d time.Duration) string { return s.Moved(s.Dialect.Now, d) }

// now is a value.
func (s *Statement) Now() string { return s.After(0) }

// ago is the time d ago, for a condition.
func (s *Statement) Ago(d time.Duration) string {
	return s.Moved(cmp.Or(s.Dialect.Began, s.Dialect.Now), -d)
}

func (s *Statement) Moved(now string, d time.Duration) string {
	if now == "" {
		return s.Time(time.Now().Add(d))
	}
	if d == 0 {
		return now
	}
	return fmt.Sprintf(s.Dialect.Time, "("+fmt.Sprintf(s.Dialect.Micros, now)+" + "+s.Arg(d.Microseconds())+")")
}

// in is a condition on a column of ids. A list of 1,000 would be a subquery for MariaDB, for which it scans the table.
func (s *Statement) In(column string, ids []int64) string {
	const most = 500
	if len(ids) == 0 {
		return column + " IN (NULL)"
	}
	var lists []string
	for part := range slices.Chunk(ids, most) {
		places := make([]string, len(part))
		for i, id := range part {
			places[i] = s.Arg(id)
		}
		lists = append(lists, column+" IN ("+strings.Join(places, ", ")+")")
	}
	return "(" + strings.Join(lists, " OR ") + ")"
}

// whereIDs is the condition of a statement that locks or changes rows by id. It has a second part, always true, for MySQL, which does not
// heed a hint for an index with all the columns that a statement reads.
func (s *Statement) WhereIDs(ids []int64) { s.Add(" WHERE %s AND length(queue) >= 0", s.In("id", ids)) }

// Delete deletes rows by id.
func (d *Database) Delete(ctx context.Context, db DB, table string, ids []int64) error {
	s := d.Statement(cmp.Or(d.Dialect.Delete, "DELETE FROM %s"), d.Table(table))
	s.WhereIDs(ids)
	_, err := s.Exec(ctx, db)
	return err
}

func (s *Statement) Exec(ctx context.Context, db DB) (int64, error) {
	return db.Exec(ctx, s.sql.String(), s.args...)
}

func (s *Statement) Each(ctx context.Context, db DB, row func(scan func(...any) error) error) error {
	return Each(ctx, db, s.sql.String(), s.args, row)
}
