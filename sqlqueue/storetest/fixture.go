package storetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

const (
	patience = 2 * time.Minute       // for what must happen: it ends what hangs, and fails nothing that is only slow
	interval = 3 * time.Millisecond  // between looks at what must happen soon
	keep     = 20 * time.Minute      // an expire that does not pass during a test
	brief    = 40 * time.Millisecond // an expire that does
	promptly = 30 * time.Second      // for what must not wait for a lock that is never released: less than servers let a lock wait, 50 s
	// at what must happen soon, before patience ends: a busy machine may spend all of a short one on the first
	looks = 100
)

// fixture is what a case works with: a database, its clients, and the history of what they did.
type fixture struct {
	testing.TB
	db      Database
	history *history
	clients int
}

func newFixture(tb testing.TB, db Database) *fixture {
	if db.Placeholder == nil {
		db.Placeholder = func(int) string { return "?" }
	}
	db.patience = cmp.Or(db.patience, patience)
	return &fixture{TB: tb, db: db, history: &history{}}
}

// client is one process that uses the database: a Queue of its own, recorded, and a worker's numbers. Its methods end the test on an
// error. They may be called in the test's goroutine only; the Queue may be used in others.
type client struct {
	*sqlqueue.Queue
	f      *fixture
	worker string
	count  *atomic.Int64
}

// open adds a client.
func (f *fixture) open() *client {
	f.Helper()
	f.clients++
	return &client{
		Queue: record(f.history, f.db.Open(f), nil), f: f, worker: strings.ToLower(rand.Text()[:13]), count: new(atomic.Int64),
	}
}

// begin starts a caller's transaction, which is rolled back at the end of the test if it is still open.
func (c *client) begin(way Transactions) (*client, *recordedTx) {
	c.f.Helper()
	recorded := &recordedTx{history: c.f.history, begin: c.f.history.tick()}
	q, tx, err := way.Begin(c.f.Context(), c.Queue)
	if err != nil {
		c.f.Fatalf("begin: %v", err)
	}
	recorded.Tx = tx
	c.f.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	bound := *c
	bound.Queue = record(c.f.history, q, recorded)
	return &bound, recorded
}

// long begins a case of megabytes, or of thousands of rows one by one.
func (f *fixture) long() {
	if f.db.short {
		f.Skip("another run on this engine has it")
	}
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// number is one that was never used before.
func (c *client) number() string { return fmt.Sprintf("%s-%d", c.worker, c.count.Add(1)) }

// exchange fills in a number.
func (c *client) exchange(x driver.Exchange) driver.Exchanged {
	c.f.Helper()
	if x.Limit > 0 && x.Number == "" {
		x.Number = c.number()
	}
	answer, err := c.Exchange(c.f.Context(), x)
	c.f.must(err)
	return answer
}

// beat beats as the client's worker, unless b names another.
func (c *client) beat(b driver.Beat) {
	c.f.Helper()
	if b.Worker.ID == "" {
		b.Worker = driver.Worker{ID: c.worker, Queues: []string{"default"}, Concurrency: 1}
	}
	c.f.must(c.Beat(c.f.Context(), b))
}

// now is the database's clock.
func (c *client) now() time.Time {
	c.f.Helper()
	return c.exchange(driver.Exchange{}).Now
}

// push pushes a job named "job" and returns its id.
func (c *client) push(options ...sqlqueue.PushOption) int64 {
	c.f.Helper()
	id, err := c.Push(c.f.Context(), sqlqueue.Named("job", nil), options...)
	c.f.must(err)
	return id
}

// pushMany pushes n jobs in one call. Their data is 0, 1, 2, …
func (c *client) pushMany(n int, options ...sqlqueue.PushOption) []int64 {
	c.f.Helper()
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = sqlqueue.Named("job", i)
	}
	ids, err := c.PushMany(c.f.Context(), jobs, options...)
	c.f.must(err)
	if len(ids) < n {
		c.f.Fatalf("pushed %d jobs and got %d ids", n, len(ids))
	}
	return ids
}

// from asks for jobs of queues, with an expire that does not pass.
func from(queues ...string) []driver.Reserve { return fromFor(keep, queues...) }

func fromFor(expire time.Duration, queues ...string) []driver.Reserve {
	reserve := make([]driver.Reserve, len(queues))
	for i, queue := range queues {
		reserve[i] = driver.Reserve{Queue: queue, Expire: expire}
	}
	return reserve
}

// take is one exchange that reserves up to n jobs.
func (c *client) take(n int, queues ...string) []sqlqueue.Job {
	c.f.Helper()
	return c.exchange(driver.Exchange{Limit: n, Reserve: from(queues...)}).Reserved
}

// reserve reserves exactly n jobs, in as many exchanges as it takes.
func (c *client) reserve(n int, queues ...string) []sqlqueue.Job {
	c.f.Helper()
	return c.reserveFrom(n, from(queues...))
}

func (c *client) reserveFrom(n int, queues []driver.Reserve) []sqlqueue.Job {
	c.f.Helper()
	var jobs []sqlqueue.Job
	c.f.eventually(fmt.Sprintf("%d jobs can be reserved from %v", n, queues), func() bool {
		jobs = append(jobs, c.exchange(driver.Exchange{Limit: n - len(jobs), Reserve: queues}).Reserved...)
		return len(jobs) == n
	})
	return jobs
}

// settle settles what must still be the client's.
func (c *client) settle(settlements ...driver.Settlement) {
	c.f.Helper()
	answer := c.exchange(driver.Exchange{Settle: settlements})
	if len(answer.Lost)+len(answer.Locked) > 0 {
		c.f.Fatalf("settled %v; lost %v, locked %v", settlements, answer.Lost, answer.Locked)
	}
}

func done(j sqlqueue.Job) driver.Settlement {
	return driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Delete}
}

func putBack(j sqlqueue.Job, delay time.Duration) driver.Settlement {
	return driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Release, Delay: delay}
}

func giveBack(j sqlqueue.Job) driver.Settlement {
	return driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Release, GiveBack: true}
}

func fail(j sqlqueue.Job, text, stack string) driver.Settlement {
	return driver.Settlement{Reservation: j.Reservation(), Outcome: driver.Fail, Error: text, Stack: stack}
}

func touch(j sqlqueue.Job, expire time.Duration) driver.Touch {
	return driver.Touch{Reservation: j.Reservation(), Expire: expire}
}

// job reads one job.
func (c *client) job(id int64) sqlqueue.Job {
	c.f.Helper()
	j, err := operator.New(c.Queue).Job(c.f.Context(), id)
	c.f.must(err)
	return j
}

// failedJobs reads the failed jobs, the newest first.
func (c *client) failedJobs() []operator.FailedJob {
	c.f.Helper()
	jobs, err := operator.New(c.Queue).FailedJobs(c.f.Context(), operator.FailedFilter{})
	c.f.must(err)
	return jobs
}

// expire waits until the reservations' deadlines have passed, and requeues them.
func (c *client) expire(jobs ...sqlqueue.Job) {
	c.f.Helper()
	c.awaitDeadline(jobs...)
	requeued := 0
	c.f.eventually("expired jobs are requeued", func() bool {
		requeued += c.exchange(driver.Exchange{Requeue: len(jobs) - requeued}).Requeued
		return requeued == len(jobs)
	})
}

// awaitDeadline waits until the reservations' deadlines have passed by the database's clock.
func (c *client) awaitDeadline(jobs ...sqlqueue.Job) {
	c.f.Helper()
	c.f.eventually("deadlines pass", func() bool {
		now := c.now()
		for _, j := range jobs {
			if !now.After(j.ExpiresAt) {
				return false
			}
		}
		return true
	})
}

// eventually waits for a condition.
func (f *fixture) eventually(what string, is func() bool) {
	f.Helper()
	if err := f.poll(is); err != nil {
		f.Fatalf("within %v it did not come about that %s", f.db.patience, what)
	}
}

// poll waits for a condition. It may be called in any goroutine.
func (f *fixture) poll(is func() bool) error {
	ctx, cancel := context.WithTimeout(f.Context(), f.db.patience)
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for look := 1; !is(); look++ {
		if ctx.Err() != nil && look >= looks {
			return ctx.Err()
		}
		select {
		case <-f.Context().Done():
			return f.Context().Err()
		case <-ticker.C:
		}
	}
	return nil
}

// exec runs SQL past the stores. {jobs} stands for the name of the table jobs, and so on; ? for an argument.
func (f *fixture) exec(query string, args ...any) {
	f.Helper()
	if _, err := f.db.SQL.ExecContext(f.Context(), f.sql(query), args...); err != nil {
		f.Fatalf("%s: %v", query, err)
	}
}

func (f *fixture) sql(query string) string {
	for _, table := range append(sqldb.Tables(), "sqlqueue_migrations") {
		query = strings.ReplaceAll(query, "{"+table+"}", f.db.Table(table))
	}
	n := 0
	var out strings.Builder
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			out.WriteString(f.db.Placeholder(n))
		}
		out.WriteString(part)
		n++
	}
	return out.String()
}

// insert pushes past the stores.
func (f *fixture) insert(queue, payload string) {
	f.Helper()
	f.exec("INSERT INTO {jobs} (queue, payload) VALUES (?, ?)", queue, payload)
	f.inserted()
}

// inserted tells the history of a row that was inserted past the stores.
func (f *fixture) inserted() { f.history.add(f.history.tick(), event{what: inserted, count: 1}) }

// count runs a SELECT of one number.
func (f *fixture) count(query string) (n int) {
	f.Helper()
	if err := f.db.SQL.QueryRowContext(f.Context(), f.sql(query)).Scan(&n); err != nil {
		f.Fatalf("%s: %v", query, err)
	}
	return n
}

// dump reads the jobs, the failed jobs, the counts and the subscriptions whole, to see whether anything changed.
func (f *fixture) dump() string {
	f.Helper()
	var out strings.Builder
	for _, query := range []string{
		"SELECT * FROM {jobs} ORDER BY id", "SELECT * FROM {failed_jobs} ORDER BY id", "SELECT * FROM {job_counts} ORDER BY id",
		"SELECT * FROM {job_subscriptions} ORDER BY name",
	} {
		f.must(f.each(f.Context(), query, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for i, v := range values {
				if v.Valid {
					fmt.Fprintf(&out, "%s=%.200q ", columns[i], v.String)
				}
			}
			out.WriteByte('\n')
			return nil
		}))
	}
	return out.String()
}

func (f *fixture) each(ctx context.Context, query string, row func(*sql.Rows) error) error {
	rows, err := f.db.SQL.QueryContext(ctx, f.sql(query))
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

// tables reads what the history is compared with.
func (f *fixture) tables(ctx context.Context) (tables, error) {
	var t tables
	const jobs = "SELECT id, attempts, reserved, reserved_at IS NOT NULL, reserved_by, expires_at IS NOT NULL FROM {jobs}"
	err := f.each(ctx, jobs, func(rows *sql.Rows) error {
		var r row
		var by sql.NullString
		err := rows.Scan(&r.id, &r.attempts, &r.reserved, &r.hasAt, &by, &r.expires)
		r.by, r.hasBy = by.String, by.Valid
		t.jobs = append(t.jobs, r)
		return err
	})
	if err != nil {
		return t, err
	}
	return t, f.each(ctx, "SELECT job_id, attempts FROM {failed_jobs}", func(rows *sql.Rows) error {
		var r failedRow
		err := rows.Scan(&r.jobID, &r.attempts)
		t.failed = append(t.failed, r)
		return err
	})
}

// checkHistory reports every invariant that does not hold.
func (f *fixture) checkHistory() {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), patience)
	defer cancel()
	now, err := f.tables(ctx)
	if err != nil {
		f.Errorf("the invariants could not be checked: %v", err)
		return
	}
	for _, wrong := range f.history.check(now) {
		f.Errorf("invariant: %s", wrong)
	}
}
