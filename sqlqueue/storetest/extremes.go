package storetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
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

// extreme is a value as it is written in SQL. One that a database does not understand counts as refused.
type extreme struct{ what, sql string }

func (f *fixture) extremes() []extreme {
	f.Helper()
	quote := f.quoter()
	var all []extreme
	raw := func(sql string) { all = append(all, extreme{sql, sql}) }
	text := func(what, text string) { all = append(all, extreme{what, quote(text)}) }
	raw("NULL")
	for _, number := range []string{
		"-9223372036854775808", "-9223372036854775807", "-62135596800000001", "-2147483649", "-2147483648", "-32769", "-1", "0", "1", "2", "32768",
		"65536", "2147483647", "2147483648", "4294967295", "4294967296", "253402300799999999", "253402300800000000", "9223372036854775806",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "1.5", "-0.5", "1e18", "1e308", "-1e308", "9e999",
	} {
		raw(number)
	}
	for _, at := range []string{
		"infinity", "-infinity", "0000-00-00 00:00:00", "0001-01-01 00:00:00", "2020-00-00 00:00:00", "0999-12-31 23:59:59", "1000-01-01 00:00:00",
		"1969-12-31 23:59:59.999999", "2038-01-19 03:14:08", "9999-12-31 23:59:59.999999", "10000-01-01 00:00:00", "294276-12-31 23:59:59.999999",
		"4713-11-24 00:00:00 BC", "epoch",
	} {
		text(at, at)
	}
	for _, words := range []string{"", " ", ",", "a,b", " a ", "\t", "\n", "true", "no", "NaN", "Infinity", "12abc", "0x7f", "'", `"`, "`", `\`, "%", "\u2028", "\ufeff"} {
		text(strconv.Quote(words), words)
	}
	for _, n := range []int{191, 192, 255, 1 << 16} {
		text(fmt.Sprintf("a text of %d characters", n), strings.Repeat("x", n))
	}
	text("a text of 64 KiB of 4-byte characters", strings.Repeat("😀", 1<<14))
	for _, bytes := range []string{
		"X''", "X'00'", "X'FF'", "X'C328'", "X'EDA080'", "X'7B7D'", "CAST(X'FF' AS TEXT)", "CAST(X'00' AS TEXT)", "CAST(X'61C328' AS TEXT)", "CHAR(0)",
		"chr(0)", `E'a\x00b'`, `E'\xff'`, "CONVERT(X'FF' USING latin1)", "CAST(X'7B226A6F62223A22FF227D' AS TEXT)", "X'7B226A6F62223A2261227D'",
	} {
		raw(bytes)
	}
	for _, bad := range badPayloads {
		text("payload: "+bad.what, bad.payload)
	}
	text("payload: members that differ in case", `{"JOB":"upper","job":"lower","Job":"title","Data":1,"data":2}`)
	text("payload: a name of 64 KiB", `{"job":"`+strings.Repeat("n", 1<<16)+`"}`)
	text("payload: a name of 64 KiB of escapes", `{"job":"`+strings.Repeat(`\u00e9`, 1<<14)+`"}`)
	text("payload: 64 KiB of members", `{"job":"job","data":{`+strings.TrimSuffix(strings.Repeat(`"k":1,`, 1<<14), ",")+`}}`)
	text("payload: data of 64 KiB", `{"job":"job","data":"`+strings.Repeat("x", 1<<16)+`"}`)
	text("payload: true", "true")
	text("payload: an empty list", "[]")
	for _, levels := range []int{999, 6000, 20_000} {
		text(fmt.Sprintf("payload: data of %d levels", levels), `{"job":"deep","data":`+strings.Repeat("[", levels)+strings.Repeat("]", levels)+`}`)
		text(fmt.Sprintf("payload: %d levels", levels), strings.Repeat("[", levels)+strings.Repeat("]", levels))
	}
	text("payload: settings out of range", `{"job":"job","tries":1e400,"timeout":-1e400,"backoff":[1e400],"retry_until":"99999-01-01T00:00:00Z","max_exceptions":9e99}`)
	return all
}

// quoter writes texts as literals: in some databases a backslash escapes.
func (f *fixture) quoter() func(string) string {
	f.Helper()
	escapes := f.count(`SELECT length('\\')`) == 1
	return func(text string) string {
		if escapes {
			text = strings.ReplaceAll(text, `\`, `\\`)
		}
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
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

// extremeTest makes rows, and looks at what a store does beside rows that have an extreme in them. It is past the history, which knows
// nothing of rows that change by themselves.
type extremeTest struct {
	*fixture
	q        *sqlqueue.Queue
	ctx      context.Context
	numbers  int
	reserved []sqlqueue.Job
	wrong    []error
}

func (d *extremeTest) push(n int) error {
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("job", i)
	}
	_, err := d.q.PushMany(d.ctx, jobs)
	return err
}

func (d *extremeTest) exchange(x driver.Exchange) (driver.Exchanged, error) {
	d.numbers++
	x.Number, x.Everything = fmt.Sprintf("extreme-%d", d.numbers), true
	return d.q.Exchange(d.ctx, x)
}

func (d *extremeTest) reserve(n int) error {
	return d.poll(func() bool {
		answer, err := d.exchange(driver.Exchange{Limit: n, Reserve: from("default")})
		d.must(err)
		d.reserved = append(d.reserved, answer.Reserved...)
		return len(d.reserved) == n
	})
}

func (d *extremeTest) failAll() error {
	var settle []driver.Settlement
	for _, j := range d.reserved {
		settle = append(settle, fail(j, "an error", "a stack"))
	}
	_, err := d.q.Exchange(d.ctx, driver.Exchange{Settle: settle})
	return err
}

func (d *extremeTest) control(n int, change operator.ControlChange) error {
	var errs []error
	for i := range n {
		errs = append(errs, operator.New(d.q).Control(d.ctx, fmt.Sprintf("controlled-%03d", i), change))
	}
	return errors.Join(errs...)
}

func (d *extremeTest) workers(n int) error {
	var errs []error
	for i := range n {
		errs = append(errs, d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{
			ID: fmt.Sprintf("worker%03d", i), Name: "name", Host: "host", PID: 1, Queues: []string{"default"}, Concurrency: 1,
		}}))
	}
	return errors.Join(errs...)
}

func (d *extremeTest) counts(n int) error {
	minute := time.Now().UTC().Truncate(time.Minute)
	counts := make([]driver.Count, n)
	for i := range counts {
		counts[i] = driver.Count{Minute: minute, Queue: "default", Pushed: 1, Done: 1, Failed: 1, Released: 1}
	}
	return d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{ID: "counting"}, Counts: counts})
}

func (d *extremeTest) subscriptions(n int) error {
	var errs []error
	for i := range n {
		name := fmt.Sprintf("subscription-%03d", i)
		errs = append(errs, operator.New(d.q).Subscribe(d.ctx, operator.Subscription{Name: name, URL: "https://example.com", Queue: name}))
	}
	return errors.Join(errs...)
}

// ok notes an error.
func (d *extremeTest) ok(what string, err error) bool {
	if err != nil {
		d.complain("%s: %w", what, err)
	}
	return err == nil
}

func (d *extremeTest) complain(format string, a ...any) {
	d.wrong = append(d.wrong, fmt.Errorf(format, a...))
}

// run does everything that there is to do.
func (d *extremeTest) run() {
	d.lists()
	d.work()
	d.requeue()
	d.retry()
	d.lists()
	d.operate()
}

// lists reads all that can be listed.
func (d *extremeTest) lists() {
	jobs := d.jobs()
	d.all("jobs", len(jobs))
	past, future := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, filter := range map[string]operator.JobFilter{
		"of a queue": {Queue: "default"}, "ready": {State: operator.Ready}, "delayed": {State: operator.Delayed}, "reserved": {State: operator.Reserved},
		"by name": {Name: "job"}, "by field": {Fields: []operator.Field{{Path: []string{"a", "b"}, Value: "1"}}},
		"older than": {OlderThan: time.Hour}, "created after": {CreatedAfter: past}, "created before": {CreatedBefore: future},
	} {
		_, err := operator.New(d.q).Jobs(d.ctx, filter)
		d.ok("jobs "+what, err)
		_, err = operator.New(d.q).CountJobs(d.ctx, filter, 1000)
		d.ok("count of jobs "+what, err)
	}
	_, err := operator.New(d.q).Window(d.ctx, 0, 10)
	d.ok("window", err)

	failed := d.failed()
	d.all("failed_jobs", len(failed))
	for what, filter := range map[string]operator.FailedFilter{
		"of a queue": {Queue: "default"}, "by name": {Name: "job"}, "by error": {Error: "an*r"}, "older than": {OlderThan: time.Hour},
	} {
		_, err := operator.New(d.q).FailedJobs(d.ctx, filter)
		d.ok("failed jobs "+what, err)
	}
	groups, err := operator.New(d.q).FailedGroups(d.ctx, operator.FailedFilter{}, 1000)
	d.ok("groups", err)
	d.readable("groups", groups)
	for _, most := range []int64{0, 1, 10_000} {
		queues, err := operator.New(d.q).Queues(d.ctx, most)
		d.ok(fmt.Sprintf("queues, counted to %d", most), err)
		d.readable("queues", queues)
		for _, queue := range queues {
			if c := queue.Control; c.Expire != nil && *c.Expire < 0 {
				d.complain("queue %q has the expire %v", queue.Queue, *c.Expire)
			}
		}
	}
	for _, since := range []time.Duration{time.Minute, operator.CountsKept} {
		counts, err := operator.New(d.q).Counts(d.ctx, since)
		d.ok("counts", err)
		d.readable("counts", counts)
	}
	workers, err := operator.New(d.q).Workers(d.ctx)
	if d.ok("workers", err) {
		d.readable("workers", workers)
		d.all("job_workers", len(workers))
	}
	subscriptions, err := operator.New(d.q).Subscriptions(d.ctx)
	if d.ok("subscriptions", err) {
		d.readable("subscriptions", subscriptions)
		d.all("job_subscriptions", len(subscriptions))
	}
}

// all sees that as many rows were listed as the table has.
func (d *extremeTest) all(table string, listed int) {
	if n := d.rows(table); n != listed {
		d.complain("%d of %d rows of %s were listed", listed, n, table)
	}
}

// rows counts the rows of a table: where the schema cannot refuse an id that is none, those that have one.
func (d *extremeTest) rows(table string) int {
	where := ""
	if d.db.OddIDs && (table == "jobs" || table == "failed_jobs") {
		where = " WHERE id BETWEEN 1 AND 9223372036854775807"
	}
	return d.count("SELECT count(*) FROM " + d.db.Table(table) + where)
}

// readable sees that what was read can be written as JSON, as every list can be.
func (d *extremeTest) readable(what string, v any) {
	text, err := json.Marshal(v)
	if d.ok(what+" as JSON", err) && (!utf8.Valid(text) || strings.Contains(string(text), `\ufffd`)) {
		d.complain("%s: not valid UTF-8: %.200s", what, text)
	}
}

// jobs lists the jobs, page by page.
func (d *extremeTest) jobs() (jobs []sqlqueue.Job) {
	f := operator.JobFilter{Limit: 100}
	for {
		page, err := operator.New(d.q).Jobs(d.ctx, f)
		if !d.ok("jobs", err) || len(page) == 0 {
			break
		}
		jobs, f.After = append(jobs, page...), page[len(page)-1].ID
	}
	for _, j := range jobs {
		if j.Attempts < 0 || j.Exceptions < 0 {
			d.complain("job %d has %d attempts and %d exceptions", j.ID, j.Attempts, j.Exceptions)
		}
		j.Payload = nil
		d.readable("a job", j)
	}
	return jobs
}

func (d *extremeTest) failed() (failed []operator.FailedJob) {
	f := operator.FailedFilter{Limit: 100}
	for {
		page, err := operator.New(d.q).FailedJobs(d.ctx, f)
		if !d.ok("failed jobs", err) || len(page) == 0 {
			break
		}
		failed, f.Before = append(failed, page...), page[len(page)-1].ID
	}
	for _, j := range failed {
		j.Payload = nil
		d.readable("a failed job", j)
	}
	return failed
}

// queues are those that have a name that can be asked for.
func (d *extremeTest) queues() []string {
	names := []string{"default", "other"}
	infos, err := operator.New(d.q).Queues(d.ctx, 0)
	d.ok("queues", err)
	for _, info := range infos {
		if !slices.Contains(names, info.Queue) && sqlqueue.CheckQueueName(info.Queue) == nil {
			names = append(names, info.Queue)
		}
	}
	return names
}

// good pushes a job to each of two queues.
func (d *extremeTest) good() map[int64]bool {
	good := map[int64]bool{}
	for _, queue := range []string{"default", "other"} {
		id, err := d.q.Push(d.ctx, sqlqueue.Named("good", nil), sqlqueue.OnQueue(queue))
		if d.ok("push", err) {
			good[id] = true
		}
	}
	return good
}

// take reserves until it has the good jobs, and returns all that it got.
func (d *extremeTest) take(good map[int64]bool, expire time.Duration) (jobs []sqlqueue.Job) {
	left := len(good)
	err := d.poll(func() bool {
		answer, err := d.exchange(driver.Exchange{Limit: 1000, Reserve: fromFor(expire, d.queues()...)})
		if !d.ok("reserve", err) {
			return true
		}
		for _, j := range answer.Reserved {
			if good[j.ID] {
				left--
			}
		}
		jobs = append(jobs, answer.Reserved...)
		return left == 0
	})
	if err != nil || left > 0 {
		d.complain("of the %d good jobs, %d were not reserved (%v)", len(good), left, err)
	}
	return jobs
}

// work reserves, touches and settles everything.
func (d *extremeTest) work() {
	for round := range 3 {
		jobs := d.take(d.good(), keep)
		var touches []driver.Touch
		var settle []driver.Settlement
		for i, j := range jobs {
			d.valid(j.Queue, j.UniqueKey, string(j.Payload))
			t := touch(j, keep)
			t.Start = i%2 == 0
			touches = append(touches, t)
			switch {
			case round == 0:
				s := putBack(j, 0)
				s.Exception = true
				settle = append(settle, s)
			case i%3 == 0:
				settle = append(settle, giveBack(j))
			case i%3 == 1:
				settle = append(settle, fail(j, "an error", ""))
			default:
				settle = append(settle, done(j))
			}
		}
		answer, err := d.exchange(driver.Exchange{Touch: touches})
		if d.ok("touch", err) && len(answer.Lost)+len(answer.Locked) > 0 {
			d.complain("touch: lost %v, locked %v", answer.Lost, answer.Locked)
		}
		answer, err = d.exchange(driver.Exchange{Settle: settle})
		if d.ok("settle", err) && len(answer.Lost)+len(answer.Locked) > 0 {
			d.complain("settle: lost %v, locked %v", answer.Lost, answer.Locked)
		}
	}
}

func (d *extremeTest) valid(texts ...string) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			d.complain("read the text %.60q, which is not valid UTF-8", text)
		}
	}
}

// requeue reserves jobs until soon, and requeues them.
func (d *extremeTest) requeue() {
	good := d.good()
	d.take(good, brief)
	if err := d.poll(func() bool {
		_, err := d.exchange(driver.Exchange{Requeue: 1000})
		if !d.ok("requeue", err) {
			return true
		}
		jobs, err := operator.New(d.q).Jobs(d.ctx, operator.JobFilter{Name: "good", NotReserved: true, Limit: 1000})
		d.ok("jobs", err)
		waiting := 0
		for _, j := range jobs {
			if good[j.ID] {
				waiting++
			}
		}
		return err != nil || waiting == len(good)
	}); err != nil {
		d.complain("the good jobs were not requeued: %w", err)
	}
}

// retry has every failed job run again, and fails some again.
func (d *extremeTest) retry() {
	want := d.rows("failed_jobs")
	n, err := operator.New(d.q).Retry(d.ctx, operator.FailedFilter{})
	var duplicate *sqlqueue.DuplicateError
	if errors.As(err, &duplicate) {
		n, err = n+len(duplicate.Duplicates), nil
	}
	if d.ok("retry", err) && n != want {
		d.complain("%d of %d failed jobs were retried", n, want)
	}
	var settle []driver.Settlement
	for _, j := range d.take(d.good(), keep) {
		settle = append(settle, fail(j, "an error", ""))
	}
	_, err = d.exchange(driver.Exchange{Settle: settle})
	d.ok("fail", err)
}

// operate does what operators do, to every row, and deletes all.
func (d *extremeTest) operate() {
	for _, name := range append(d.queues(), "") {
		d.ok("control", operator.New(d.q).Control(d.ctx, name, operator.ControlChange{Restart: true, Pause: true, PauseFor: time.Hour}))
		d.ok("control", operator.New(d.q).Control(d.ctx, name, operator.ControlChange{Resume: true, ResetExpire: true}))
	}
	d.good()
	jobs := d.jobs()
	for i, j := range jobs {
		if j.Reserved {
			_, err := operator.New(d.q).Release(d.ctx, j.ID)
			d.ok("release", err)
		}
		at, priority, name := time.Now().Add(time.Hour), 5, "edited"
		edit := operator.JobEdit{At: &at, Priority: &priority}
		if i%2 == 0 {
			edit.Name, edit.Data = &name, 1
		}
		d.ok("edit", operator.New(d.q).Edit(d.ctx, j.ID, edit))
	}
	d.lists()
	if len(jobs) > 0 {
		n, err := operator.New(d.q).Cancel(d.ctx, jobs[0].ID)
		if d.ok("cancel", err) && n != 1 {
			d.complain("cancelled %d jobs, want 1", n)
		}
	}
	_, err := operator.New(d.q).CancelAll(d.ctx, operator.JobFilter{})
	d.ok("cancel all", err)
	_, err = operator.New(d.q).ReleaseAll(d.ctx, operator.JobFilter{})
	d.ok("release all", err)
	_, err = operator.New(d.q).Clear(d.ctx, "", true)
	d.ok("clear", err)
	_, err = operator.New(d.q).Forget(d.ctx, operator.FailedFilter{})
	d.ok("forget", err)

	workers, err := operator.New(d.q).Workers(d.ctx)
	d.ok("workers", err)
	for _, w := range workers {
		if w.ID != "" && !strings.ContainsRune(w.ID, utf8.RuneError) {
			d.ok("set concurrency", operator.New(d.q).SetConcurrency(d.ctx, w.ID, 2))
		}
		d.ok("leave", d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{ID: w.ID}, Leave: true}))
	}
	d.ok("drop what is old", d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{ID: "tidying"}, Leave: true, Unseen: time.Microsecond, OldCounts: time.Hour}))
	subscriptions, err := operator.New(d.q).Subscriptions(d.ctx)
	d.ok("subscriptions", err)
	for _, s := range subscriptions {
		d.ok("unsubscribe", operator.New(d.q).Unsubscribe(d.ctx, s.Name))
	}
	for _, table := range []string{"jobs", "failed_jobs", "job_workers", "job_subscriptions"} {
		if n := d.rows(table); n > 0 {
			d.complain("%d rows of %s cannot be deleted", n, table)
		}
	}
}
