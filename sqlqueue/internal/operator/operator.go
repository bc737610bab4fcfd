// Package operator has the statements of a store that are the same for every database and not hot: what operators list, count, change
// and control. A store embeds Queries and adds what differs: Check, Push, Exchange and Hold.
package operator

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// DB runs statements: on a pool, or in a transaction.
type DB interface {
	// Exec returns the number of rows affected.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows is what *sql.Rows is.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Dialect is how a database writes what the others write differently.
type Dialect struct {
	Quote       string                      // around the names of tables
	Placeholder func(int) string            // the nth argument, from 1
	Now         string                      // the time now, as the tables keep it, for values; empty where Go's clock counts
	Began       string                      // the time when the statement began, for conditions, which then can go by an index; empty: Now
	Time        string                      // microseconds since 1970 (%s) as the tables keep times
	Micros      string                      // a time of the tables (%s) as microseconds since 1970
	Payload     string                      // the payload as text; empty: it is one
	Plain       string                      // whether Name is what sqlqueue.ParsePayload says; never an error, whatever the payload
	Name        string                      // the name of a payload that is Plain; NULL if it has none
	Text        string                      // the argument %s as a text that is compared byte by byte
	Like        string                      // whether a text (%[1]s) matches the pattern %[2]s
	Pattern     func(parts []string) string // what has the parts in it, in this order
	ForUpdate   string                      // what makes a SELECT lock its rows
	SkipLocked  string                      // ForUpdate that leaves out what others have locked
	OnConflict  string                      // what makes an INSERT into queues leave an existing row alone
	Empty       string                      // the empty text as a literal, where one as an argument may be taken for NULL; else empty
	Remainder   string                      // that of %s, divided by %d; empty: %s %% %d

	// KeepHeld makes an INSERT into jobs leave out a row whose unique key is held; empty: its error says so. KeyHeld reports whether an
	// error says that the index of unique keys has an entry already.
	KeepHeld string
	KeyHeld  func(err error, index string) bool

	// Field is the text of the payload's value under the keys, one in the other; NULL if there is none. It has what it needs written as
	// arguments.
	Field func(arg func(any) string, keys []string) string

	// What is locked or changed by id must be looked up by id, so that no rows of others are in the way. ByID stands after the table's
	// name and sees to it; Delete is a DELETE from the table %s up to its condition. Empty: the planner does it by itself.
	ByID, Delete string

	// Paged stands after the name of jobs where they are read in the order of their ids, up to a limit, by conditions of which an index may
	// know only some: it keeps the planner from an index that has it read and sort all that these leave. Empty: the planner knows better.
	Paged string

	// Force stands after the table's name and makes a statement use the index %s. Empty: the planner does it by itself.
	Force string

	// Waiting is what the conditions of a search in jobs_ready need, where that index has only jobs that are not reserved. Reserved is
	// what those of a search for reserved jobs in jobs_expiry are.
	Waiting, Reserved string

	// Endless is the condition of the reserved jobs that Reserved leaves out. Empty: it leaves out none.
	Endless string
}

// LikePattern is a Dialect's Pattern for LIKE with ESCAPE '!'.
func LikePattern(parts []string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(part)
	}
	return "%" + strings.Join(escaped, "%") + "%"
}

// JSONPath is the path of a value under keys, which have no quotes in them, for functions that take $."data"."id".
func JSONPath(keys []string) string { return `$."` + strings.Join(keys, `"."`) + `"` }

// Queries are the operators' part of a store.
type Queries struct {
	Dialect Dialect
	Prefix  string
	DB      DB

	// Tx runs f in a transaction at READ COMMITTED: one of the store's own, repeated after a deadlock, or the caller's.
	Tx func(ctx context.Context, f func(DB) error) error
}

// Table returns the quoted name of a table or an index.
func (q *Queries) Table(name string) string {
	return q.Dialect.Quote + q.Prefix + name + q.Dialect.Quote
}

// CheckSchema compares the version of the tables with the one that is needed.
func (q *Queries) CheckSchema(ctx context.Context) error {
	var version sql.NullInt64
	err := Each(ctx, q.DB, "SELECT max(version_id) FROM "+q.Table("sqlqueue_migrations")+" WHERE is_applied", nil,
		func(scan func(...any) error) error { return scan(&version) })
	switch {
	case err != nil:
		return err
	case version.Int64 == 0:
		return sqlqueue.ErrNotMigrated
	case version.Int64 != sqlqueue.SchemaVersion:
		return &sqlqueue.SchemaError{Have: version.Int64, Need: sqlqueue.SchemaVersion}
	}
	return nil
}

// statement is SQL with its arguments.
type statement struct {
	dialect *Dialect
	sql     strings.Builder
	args    []any
}

func (q *Queries) statement(format string, a ...any) *statement {
	s := &statement{dialect: &q.Dialect}
	s.add(format, a...)
	return s
}

func (s *statement) add(format string, a ...any) { fmt.Fprintf(&s.sql, format, a...) }

func (s *statement) arg(v any) string {
	if v == "" && s.dialect.Empty != "" {
		return s.dialect.Empty
	}
	s.args = append(s.args, v)
	return s.dialect.Placeholder(len(s.args))
}

func (s *statement) time(t time.Time) string {
	return fmt.Sprintf(s.dialect.Time, s.arg(within(t).UnixMicro()))
}

// after is the time now, moved by d: a value.
func (s *statement) after(d time.Duration) string { return s.moved(s.dialect.Now, d) }

// now is a value.
func (s *statement) now() string { return s.after(0) }

// ago is the time d ago, for a condition.
func (s *statement) ago(d time.Duration) string {
	return s.moved(cmp.Or(s.dialect.Began, s.dialect.Now), -d)
}

func (s *statement) moved(now string, d time.Duration) string {
	if now == "" {
		return s.time(time.Now().Add(d))
	}
	if d == 0 {
		return now
	}
	return fmt.Sprintf(s.dialect.Time, "("+fmt.Sprintf(s.dialect.Micros, now)+" + "+s.arg(d.Microseconds())+")")
}

// in is a condition on a column of ids. A list of 1,000 would be a subquery for MariaDB, for which it scans the table.
func (s *statement) in(column string, ids []int64) string {
	const most = 500
	if len(ids) == 0 {
		return column + " IN (NULL)"
	}
	var lists []string
	for part := range slices.Chunk(ids, most) {
		places := make([]string, len(part))
		for i, id := range part {
			places[i] = s.arg(id)
		}
		lists = append(lists, column+" IN ("+strings.Join(places, ", ")+")")
	}
	return "(" + strings.Join(lists, " OR ") + ")"
}

// whereIDs is the condition of a statement that locks or changes rows by id. It has a second part, always true, for MySQL, which does not
// heed a hint for an index with all the columns that a statement reads.
func (s *statement) whereIDs(ids []int64) { s.add(" WHERE %s AND length(queue) >= 0", s.in("id", ids)) }

// delete deletes rows by id.
func (q *Queries) delete(ctx context.Context, db DB, table string, ids []int64) error {
	s := q.statement(cmp.Or(q.Dialect.Delete, "DELETE FROM %s"), q.Table(table))
	s.whereIDs(ids)
	_, err := s.exec(ctx, db)
	return err
}

func (s *statement) exec(ctx context.Context, db DB) (int64, error) {
	return db.Exec(ctx, s.sql.String(), s.args...)
}

func (s *statement) each(ctx context.Context, db DB, row func(scan func(...any) error) error) error {
	return Each(ctx, db, s.sql.String(), s.args, row)
}

// Each runs a query and calls row for every row of its answer.
func Each(ctx context.Context, db DB, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // what matters of it is in Err
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
