package sqldb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Statement is SQL that is written piece by piece, with its arguments. Call Arg, and other methods that add arguments, in the order of
// their places in the SQL.
type Statement struct {
	Dialect *Dialect
	sql     strings.Builder
	args    []any
}

// Statement returns a Statement that begins with a piece of SQL.
func (d *Database) Statement(format string, a ...any) *Statement {
	s := &Statement{Dialect: &d.Dialect}
	s.Add(format, a...)
	return s
}

// Add adds a piece of SQL.
func (s *Statement) Add(format string, a ...any) { fmt.Fprintf(&s.sql, format, a...) }

// Arg adds an argument, and returns its placeholder.
func (s *Statement) Arg(v any) string {
	if v == "" && s.Dialect.Empty != "" {
		return s.Dialect.Empty
	}
	s.args = append(s.args, v)
	return s.Dialect.Placeholder(len(s.args))
}

// Time is a time, as the tables keep times, or the nearest that they can keep.
func (s *Statement) Time(t time.Time) string {
	return fmt.Sprintf(s.Dialect.Time, s.Arg(within(t).UnixMicro()))
}

// After is the time d from now, as a value to write.
func (s *Statement) After(d time.Duration) string { return s.moved(s.Dialect.Now, d) }

// Now is the time now, as a value to write.
func (s *Statement) Now() string { return s.After(0) }

// Ago is the time d ago, for a condition that can use an index.
func (s *Statement) Ago(d time.Duration) string {
	return s.moved(cmp.Or(s.Dialect.Began, s.Dialect.Now), -d)
}

func (s *Statement) moved(now string, d time.Duration) string {
	if now == "" {
		return s.Time(time.Now().Add(d))
	}
	if d == 0 {
		return now
	}
	return fmt.Sprintf(s.Dialect.Time, "("+fmt.Sprintf(s.Dialect.Micros, now)+" + "+s.Arg(d.Microseconds())+")")
}

// In is the condition that a column has one of the ids. With 1,000 or more in a list, MariaDB makes a subquery of them, and scans the
// table.
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

// list adds texts as arguments, and returns their placeholders, separated by commas.
func (s *Statement) list(texts []string) string {
	places := make([]string, len(texts))
	for i, text := range texts {
		places[i] = s.Arg(text)
	}
	return strings.Join(places, ", ")
}

// WhereIDs adds the condition of a statement that locks or changes rows by id. Its second part is always true: MySQL ignores the hint for
// an index that contains all columns of a statement.
func (s *Statement) WhereIDs(ids []int64) { s.Add(" WHERE %s AND length(queue) >= 0", s.In("id", ids)) }

// Delete deletes rows of a table by id.
func (d *Database) Delete(ctx context.Context, db DB, table string, ids []int64) error {
	s := d.Statement(cmp.Or(d.Dialect.Delete, "DELETE FROM %s"), d.Table(table))
	s.WhereIDs(ids)
	_, err := s.Exec(ctx, db)
	return err
}

// Exec runs the statement, and returns the number of rows affected.
func (s *Statement) Exec(ctx context.Context, db DB) (int64, error) {
	return db.Exec(ctx, s.sql.String(), s.args...)
}

// Each runs the statement, and calls row for every row of its answer.
func (s *Statement) Each(ctx context.Context, db DB, row func(scan func(...any) error) error) error {
	return Each(ctx, db, s.sql.String(), s.args, row)
}
