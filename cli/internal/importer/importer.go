// Package importer moves jobs out of the tables of other queues into a sqlqueue.Queue in the same database. A batch is one transaction: a
// job is in one of the two tables, never in both, and an import that was interrupted goes on when it is run again.
package importer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// batchSize is how many jobs a transaction moves.
const batchSize = 1000

// Settings say what is imported, and as what.
type Settings struct {
	Source      string // see Sources
	Table       string // the only one to import; empty: the source's usual ones
	Failed      bool   // failed jobs too, if the source has a table of them
	FailedTable string // empty: the source's usual name

	Queues map[string]string // new names of queues; the others keep theirs
	Names  map[string]string // new names of handlers
}

// Import is an import that can be looked at, and run, more than once.
type Import struct {
	settings    Settings
	database    *open.Database
	sql         *sqldb.Database
	parts       []part
	failedTable string        // quoted
	failed      *failedLayout // nil: failed jobs stay
}

// part is a table of jobs.
type part struct {
	layout
	table string // quoted
}

// beside replaces {schema} by the schema of the table, with its dot.
func (p part) beside(text string) string {
	return strings.ReplaceAll(text, "{schema}", p.table[:strings.LastIndex(p.table, ".")+1])
}

// New finds out which layouts the source's tables have.
func New(ctx context.Context, d *open.Database, s Settings) (*Import, error) {
	source, ok := sources[s.Source]
	if !ok {
		return nil, exit.Usagef("unknown source %q: use %s", s.Source, strings.Join(Sources(), ", "))
	}
	if !slices.Contains(source.dialects, d.Dialect) {
		return nil, exit.Usagef("%s does not keep jobs in %s", s.Source, d.Dialect)
	}
	for _, queue := range s.Queues {
		if err := sqlqueue.CheckQueueName(queue); err != nil {
			return nil, exit.Usagef("--queue: %w", err)
		}
	}
	store, err := d.Queue.Store(ctx)
	if err != nil {
		return nil, err
	}
	i := &Import{settings: s, database: d}
	if i.sql, err = sqldb.Of(store); err != nil {
		return nil, err
	}
	names := source.tables
	if s.Table != "" {
		names = []string{s.Table}
	}
	for _, name := range names {
		p, err := i.part(ctx, source, name)
		if err != nil {
			return nil, err
		}
		i.parts = append(i.parts, p)
	}
	if !s.Failed {
		return i, nil
	}
	if source.failedTable == "" {
		return nil, exit.Usagef("the failed jobs of %s are not imported", s.Source)
	}
	return i, i.findFailed(ctx, source)
}

// part finds out which layout a table has.
func (i *Import) part(ctx context.Context, source source, name string) (part, error) {
	table, err := i.quoted(name)
	if err != nil {
		return part{}, err
	}
	columns, err := i.columns(ctx, table)
	if err != nil {
		return part{}, err
	}
	if slices.Contains(columns, "unique_key") && slices.Contains(columns, "expires_at") {
		return part{}, exit.Usagef("the table %s is sqlqueue's own: name the other one with --table, "+
			"or give the prefix of sqlqueue's with --prefix", table)
	}
	l, err := pick(source.layouts, i.database.Dialect, columns)
	if err != nil {
		return part{}, fmt.Errorf("the table %s is not as %s has it: %w", table, i.settings.Source, err)
	}
	return part{l, table}, nil
}

// findFailed finds out which layout the table of failed jobs has.
func (i *Import) findFailed(ctx context.Context, source source) error {
	var err error
	if i.failedTable, err = i.quoted(cmp.Or(i.settings.FailedTable, source.failedTable)); err != nil {
		return err
	}
	columns, err := i.columns(ctx, i.failedTable)
	if err != nil {
		return err
	}
	for _, l := range source.failedLayouts {
		if missing(columns, l.needs) == "" {
			i.failed = &l
			return nil
		}
	}
	return fmt.Errorf("the table %s is not as %s has it", i.failedTable, i.settings.Source)
}

var tableName = regexp.MustCompile(`^\w+(\.\w+)?$`)

func (i *Import) quoted(name string) (string, error) {
	if !tableName.MatchString(name) {
		return "", exit.Usagef("%q is not the name of a table: use letters, digits and underscores, "+
			"and a schema and a dot before it if need be", name)
	}
	q := i.sql.Dialect.Quote
	return q + strings.ReplaceAll(name, ".", q+"."+q) + q, nil
}

func (i *Import) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := i.database.DB.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return nil, fmt.Errorf("the table %s cannot be read: %w", table, i.database.Redact(err))
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	return columns, errors.Join(err, rows.Err())
}

// pick returns the first layout of the dialect whose columns are all there.
func pick(layouts []layout, dialect migrations.Dialect, columns []string) (layout, error) {
	var lacks string
	for _, l := range layouts {
		if l.dialect != "" && l.dialect != dialect {
			continue
		}
		if lacks = missing(columns, l.needs); lacks == "" {
			return l, nil
		}
	}
	return layout{}, fmt.Errorf("it has no column %s", lacks)
}

func missing(columns, needs []string) string {
	for _, name := range needs {
		if !slices.Contains(columns, name) {
			return name
		}
	}
	return ""
}

// Found is what an import would move.
type Found struct {
	Waiting, Running, Failed int64
	Groups                   []Group // of the first jobs
	Stay                     []Stays // of the first jobs, those that cannot be converted
}

// Group is jobs of one queue and handler, by their new names.
type Group struct {
	Queue, Name string
	Count       int
}

// Stays is a job that stays where it is, because it cannot be converted.
type Stays struct {
	ID  any // int64 or string
	Why error
}

// Look counts what would be moved, and converts the first thousand jobs to see what they would become. It changes nothing.
func (i *Import) Look(ctx context.Context) (Found, error) {
	var found Found
	db := sqldb.SQL(i.database.DB, i.database.Redact)
	count := func(to *int64, table, where string) error {
		return sqldb.Each(ctx, db, "SELECT count(*) FROM "+table+" WHERE "+where, nil, func(scan func(...any) error) error {
			var n int64
			err := scan(&n)
			*to += n
			return err
		})
	}
	groups := map[[2]string]int{}
	for _, p := range i.parts {
		rows, err := i.rows(ctx, db, p, nil, "")
		if err := errors.Join(err, count(&found.Waiting, p.table, p.waiting), count(&found.Running, p.table, p.running)); err != nil {
			return found, err
		}
		for _, r := range rows {
			j, err := i.convert(p, r)
			if err != nil {
				found.Stay = append(found.Stay, Stays{r.id, err})
				continue
			}
			groups[[2]string{j.queue, j.payload.Job}]++
		}
	}
	if i.failed != nil {
		if err := count(&found.Failed, i.failedTable, "1 = 1"); err != nil {
			return found, err
		}
	}
	for _, of := range slices.SortedFunc(maps.Keys(groups), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		found.Groups = append(found.Groups, Group{of[0], of[1], groups[of]})
	}
	return found, nil
}

// Moved is what an import has moved.
type Moved struct {
	Jobs, Failed int
	Stay         []Stays
}

// Run moves the jobs that wait, table by table in the order of their ids, and then the failed ones. Progress hears after each transaction
// how many were moved until then. Jobs that are being run stay, and so do those that cannot be converted.
func (i *Import) Run(ctx context.Context, progress func(int)) (Moved, error) {
	var moved Moved
	for _, p := range i.parts {
		err := i.inBatches(ctx, func(tx *sql.Tx, after any) ([]Stays, any, int, error) {
			return i.moveBatch(ctx, tx, p, after)
		}, func(stay []Stays, n int) {
			moved.Jobs, moved.Stay = moved.Jobs+n, append(moved.Stay, stay...)
			progress(moved.Jobs)
		})
		if err != nil {
			return moved, err
		}
	}
	if i.failed == nil {
		return moved, nil
	}
	err := i.inBatches(ctx, func(tx *sql.Tx, after any) ([]Stays, any, int, error) {
		return i.moveFailed(ctx, tx, after)
	}, func(stay []Stays, n int) {
		moved.Failed, moved.Stay = moved.Failed+n, append(moved.Stay, stay...)
		progress(moved.Jobs + moved.Failed)
	})
	return moved, err
}

// inBatches calls move in a transaction of its own, again and again, with the last id that it has looked at, until it looks at no other.
// Moved hears after each what was moved.
func (i *Import) inBatches(
	ctx context.Context, move func(tx *sql.Tx, after any) (stay []Stays, last any, n int, err error), moved func(stay []Stays, n int),
) error {
	for after, more := any(nil), true; more; {
		var stay []Stays
		var n int
		if err := i.transaction(ctx, func(tx *sql.Tx) error {
			var last any
			var err error
			stay, last, n, err = move(tx, after)
			after, more = last, last != after
			return err
		}); err != nil {
			return err
		}
		moved(stay, n)
	}
	return nil
}

func (i *Import) transaction(ctx context.Context, f func(*sql.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var options *sql.TxOptions
	if i.database.Dialect != migrations.SQLite { // where there is one level
		options = &sql.TxOptions{Isolation: sql.LevelReadCommitted} // MySQL's default would lock out the inserts of others
	}
	tx, err := i.database.DB.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// rows reads the next jobs of a table that wait, after an id, or the first if it is nil. Those that somebody has locked are passed over.
func (i *Import) rows(ctx context.Context, db sqldb.DB, p part, after any, lock string) ([]row, error) {
	s := i.sql.Statement("SELECT %s, %s FROM %s WHERE %s", p.key(), p.beside(p.columns), p.table, p.waiting)
	if after != nil {
		s.Add(" AND %s > %s", p.key(), s.Arg(after))
	}
	s.Add(" ORDER BY %s LIMIT %d %s", p.key(), batchSize, lock)
	var rows []row
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		var r row
		err := scan(&r.id, &r.queue, &r.payload, &r.attempts, &r.at, &r.name, &r.tries, &r.priority)
		if text, ok := r.id.([]byte); ok {
			r.id = string(text)
		}
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// moveBatch moves the next jobs of a table. It returns those that stay, and the last id that it has looked at.
func (i *Import) moveBatch(ctx context.Context, tx *sql.Tx, p part, after any) (stay []Stays, last any, n int, err error) {
	db := sqldb.SQL(tx, i.database.Redact)
	rows, err := i.rows(ctx, db, p, after, i.sql.Dialect.SkipLocked)
	if err != nil || len(rows) == 0 {
		return nil, after, 0, err
	}
	var jobs []sqlqueue.Pushable
	var ids []any
	var attempts []int
	for _, r := range rows {
		last = r.id
		j, err := i.convert(p, r)
		if err != nil {
			stay = append(stay, Stays{r.id, err})
			continue
		}
		jobs, ids, attempts = append(jobs, j.pushable()), append(ids, r.id), append(attempts, max(r.attempts, j.attempts, 0))
	}
	if len(jobs) == 0 {
		return stay, last, 0, nil
	}
	pushed, err := i.database.Bind(tx).PushMany(ctx, jobs)
	if err != nil {
		return nil, after, 0, err
	}
	if err := i.keepAttempts(ctx, db, pushed, attempts); err != nil {
		return nil, after, 0, err
	}
	if err := i.drop(ctx, db, p.table, p.key(), ids); err != nil || p.with == "" {
		return stay, last, len(jobs), err
	}
	return stay, last, len(jobs), i.drop(ctx, db, p.beside(p.with), "id", ids)
}

// keepAttempts writes how often jobs have been tried already.
func (i *Import) keepAttempts(ctx context.Context, db sqldb.DB, ids []int64, attempts []int) error {
	byAttempts := map[int][]int64{}
	for n, id := range ids {
		if attempts[n] > 0 {
			byAttempts[attempts[n]] = append(byAttempts[attempts[n]], id)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(byAttempts)) {
		s := i.sql.Statement("UPDATE %s SET attempts = %d WHERE ", i.sql.Table("jobs"), n)
		s.Add("%s", s.In("id", byAttempts[n]))
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes rows by their ids, some hundred in each statement: see sqldb.Statement.In.
func (i *Import) drop(ctx context.Context, db sqldb.DB, table, key string, ids []any) error {
	for part := range slices.Chunk(ids, 500) {
		s := i.sql.Statement("DELETE FROM %s WHERE %s IN (", table, key)
		for n, id := range part {
			s.Add("%s%s", [...]string{"", ", "}[min(n, 1)], s.Arg(id))
		}
		s.Add(")")
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}
