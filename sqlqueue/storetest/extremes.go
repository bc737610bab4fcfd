package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// extremesCases write every extreme into every column of every table. A schema may refuse a value. What it takes must hurt nobody.
var extremesCases = []testCase{
	extremesOf(extremeTable{"jobs", "id", []extremeBase{
		{"waiting", func(d *extremeTest, n int) error { return d.push(n) }},
		{"reserved", func(d *extremeTest, n int) error { return errors.Join(d.push(n), d.reserve(n)) }},
	}}),
	extremesOf(extremeTable{"failed_jobs", "id", []extremeBase{{"failed", func(d *extremeTest, n int) error {
		return errors.Join(d.push(n), d.reserve(n), d.failAll())
	}}}}),
	extremesOf(extremeTable{"job_queues", "queue", []extremeBase{
		{"not paused", func(d *extremeTest, n int) error { return d.control(n, operator.ControlChange{Restart: true}) }},
		{"paused for a while", func(d *extremeTest, n int) error {
			return d.control(n, operator.ControlChange{Pause: true, PauseFor: time.Hour})
		}},
	}}),
	extremesOf(extremeTable{"job_workers", "id", []extremeBase{{"known", (*extremeTest).workers}}}),
	extremesOf(extremeTable{"job_counts", "id", []extremeBase{{"of now", (*extremeTest).counts}}}),
	extremesOf(extremeTable{"job_subscriptions", "name", []extremeBase{{"made", (*extremeTest).subscriptions}}}),
}

// extremeTable is a table whose columns are tried. Key is the column that names a row.
type extremeTable struct {
	name, key string
	bases     []extremeBase
}

// extremeBase makes n rows of a table, as a store writes them.
type extremeBase struct {
	what string
	rows func(d *extremeTest, n int) error
}

func extremesOf(table extremeTable) testCase {
	return testCase{
		"every extreme in every column of " + table.name + " is refused, or hurts nobody",
		"one odd row, however written, must not stop a queue, other jobs or a list",
		func(f *fixture) {
			f.long()
			values := f.extremes()
			for _, column := range f.columns(table.name) {
				for _, base := range table.bases {
					if table.name == "job_queues" && column == table.key && base.what != "not paused" {
						continue // the empty name would rightly pause every queue
					}
					values := values
					if column == "id" {
						values = slices.DeleteFunc(slices.Clone(values), func(v extreme) bool { return endsIDs(v.sql) })
					}
					f.tryExtremes(table, base, column, values)
				}
			}
		},
	}
}

// endsIDs tells whether an id is so great that a database, which counts from it, has none left for the next row. MySQL takes bytes for
// a number.
func endsIDs(number string) bool {
	if hex, is := strings.CutPrefix(number, "X'"); is {
		number = "0x" + strings.TrimSuffix(hex, "'") + "p0"
	}
	n, err := strconv.ParseFloat(number, 64)
	return err == nil && n > 1<<62
}

// columns returns the names of a table's columns, from the database.
func (f *fixture) columns(table string) []string {
	f.Helper()
	rows, err := f.db.SQL.QueryContext(f.Context(), "SELECT * FROM "+f.db.Table(table)+" WHERE 1 = 0")
	f.must(err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	f.must(errors.Join(err, rows.Err()))
	if len(columns) < 5 {
		f.Fatalf("%s has the columns %q only", table, columns)
	}
	return columns
}

// tryExtremes tries all values of a column at once, each in a row of its own. If something is wrong then, it looks for values that are to
// blame.
func (f *fixture) tryExtremes(table extremeTable, base extremeBase, column string, values []extreme) {
	f.Helper()
	const most = 5 // that are reported
	reported := 0
	var search func([]extreme) bool
	search = func(values []extreme) bool {
		taken, wrong := f.tryRows(table, base, column, values)
		if wrong == nil || reported == most {
			return wrong != nil
		}
		half := len(taken) / 2
		if half == 0 || !search(taken[:half]) && !search(taken[half:]) {
			reported++
			f.Errorf("%s (%s): %s = %s: %.1000v", table.name, base.what, column, whatOf(taken), wrong)
		}
		return true
	}
	search(values)
}

func whatOf(values []extreme) string {
	var texts []string
	for _, value := range values {
		texts = append(texts, fmt.Sprintf("%.80s", value.what))
	}
	return strings.Join(texts, ", or ")
}

// tryRows returns the values that the schema took, and what went wrong with them.
func (f *fixture) tryRows(table extremeTable, base extremeBase, column string, values []extreme) (taken []extreme, wrong error) {
	f.Helper()
	scope := &scope{TB: f.TB}
	defer scope.close()
	d := &extremeTest{fixture: f, q: f.db.Open(scope), ctx: f.Context()}
	defer f.deleteAll(table, column)
	if err := base.rows(d, len(values)); err != nil {
		f.Fatalf("%s (%s): %v", table.name, base.what, err)
	}
	taken = f.writeExtremes(table, column, values)
	if len(taken) == 0 {
		return nil, nil
	}
	d.q = f.db.Open(scope) // what the first has learned of the rows is out of date
	func() {
		defer func() {
			if p := recover(); p != nil {
				d.wrong = append(d.wrong, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		d.run()
	}()
	return taken, errors.Join(d.wrong...)
}

// writeExtremes writes each value into a row of its own and deletes the rows whose values were refused.
func (f *fixture) writeExtremes(table extremeTable, column string, values []extreme) (taken []extreme) {
	f.Helper()
	ctx := f.Context()
	conn, err := f.db.SQL.Conn(ctx)
	f.must(err)
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "SET SESSION sql_mode = ''"); err == nil { // so that MySQL takes zero dates
		defer func() { _, _ = conn.ExecContext(ctx, "SET SESSION sql_mode = DEFAULT") }()
	}
	name, quote := f.db.Table(table.name), f.quoter()
	var keys []string
	f.must(f.each(ctx, "SELECT "+table.key+" FROM "+name+" ORDER BY "+table.key, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, quote(key))
		return err
	}))
	if len(keys) < len(values) {
		f.Fatalf("%s has %d rows for %d values", table.name, len(keys), len(values))
	}
	for i, value := range values {
		where := " WHERE " + table.key + " = " + keys[i]
		_, err := conn.ExecContext(ctx, "UPDATE "+name+" SET "+column+" = "+value.sql+where)
		if err == nil {
			taken = append(taken, value)
			continue
		}
		if _, err := conn.ExecContext(ctx, "DELETE FROM "+name+where); err != nil {
			f.Fatalf("%s: %v", table.name, err)
		}
	}
	return taken
}

// deleteAll deletes what is in the tables, and lets a table whose ids were written begin again where a database needs that.
func (f *fixture) deleteAll(table extremeTable, column string) {
	f.Helper()
	for _, name := range sqldb.Tables() {
		f.exec("DELETE FROM " + f.db.Table(name))
	}
	if column == "id" {
		_, _ = f.db.SQL.ExecContext(f.Context(), "TRUNCATE TABLE "+f.db.Table(table.name))
	}
}

// scope is a test that ends before the test it is in.
type scope struct {
	testing.TB
	cleanups []func()
}

// Cleanup has f called at the end of the scope.
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) close() {
	for _, cleanup := range slices.Backward(s.cleanups) {
		cleanup()
	}
}
