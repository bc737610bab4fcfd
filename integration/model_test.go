package integration

import (
	"cmp"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/storetest"
)

// TestModel runs random operations of producers, workers and operators, and after each compares the tables, and what the operation
// answered, with a model in memory. What fails is shrunk to the fewest operations that still do, and printed with the number that repeats
// it; more is run with -rapid.checks and -rapid.steps.
func TestModel(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		rounds(t, 80, 50)
		db := sqliteDatabase(t)
		(&machine{queues: []*sqlqueue.Queue{db.Open(t)}}).setLimits(t)
		rapid.Check(t, within(t, func(rt *rapid.T) {
			runModel(rt, &machine{
				db: db, exact: true, queues: []*sqlqueue.Queue{db.Open(t), db.Open(t)},
				empty: "DELETE FROM jobs; DELETE FROM failed_jobs; DELETE FROM job_queues; DELETE FROM job_batches; " +
					"DELETE FROM sqlite_sequence",
				back: func(column string, d time.Duration) string { return fmt.Sprintf("%s - %d", column, d.Microseconds()) },
			})
		}))
	})
	rounds(t, 8, 25) // for all servers: rapid's flags are the process's
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		db := newTables(t, s, "").database(t)
		queues := []*sqlqueue.Queue{db.Open(t), db.Open(t)}
		(&machine{queues: queues}).setLimits(t)
		empty, interval := "TRUNCATE jobs; TRUNCATE failed_jobs; TRUNCATE job_queues; TRUNCATE job_batches", "%s - INTERVAL %d MICROSECOND"
		if s.Engine == "postgres" {
			empty, interval = "TRUNCATE jobs, failed_jobs, job_queues, job_batches RESTART IDENTITY", "%s - interval '1 microsecond' * %d"
		}
		rapid.Check(t, within(t, func(rt *rapid.T) {
			runModel(rt, &machine{
				db: db, queues: queues, empty: empty, endless: s.Engine != "postgres",
				back: func(column string, d time.Duration) string { return fmt.Sprintf(interval, column, d.Microseconds()) },
			})
		}))
	})
}

// rounds is how often and how long rapid runs, unless its flags say so.
func rounds(t *testing.T, checks, steps int) {
	t.Helper()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, n := range map[string]int{"rapid.checks": checks, "rapid.steps": steps} {
		if given[name] {
			continue
		}
		if err := flag.Lookup(name).Value.Set(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// within ends the rounds that rounds asks for when they take long, as with the race detector: the rest pass at once. After a failure all
// that rapid tries is tried.
func within(t *testing.T, check func(*rapid.T)) func(*rapid.T) {
	t.Helper()
	const most = 10 * time.Second
	began, ran, limited, failed := time.Now(), 0, true, false
	flag.Visit(func(f *flag.Flag) { limited = limited && !strings.HasPrefix(f.Name, "rapid.") })
	t.Cleanup(func() { t.Logf("%d rounds ran", ran) })
	return func(rt *rapid.T) {
		if limited && !failed && ran > 0 && time.Since(began) > most {
			return
		}
		passed := false
		defer func() { failed = failed || !passed }()
		ran++
		check(rt)
		passed = !rt.Failed()
	}
}

func sqliteDatabase(t *testing.T) storetest.Database {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "jobs.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err == nil {
		_, err = migrator.Up(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Database{
		Open: func(tb testing.TB) *sqlqueue.Queue {
			q, err := sqlitequeue.New(db, sqlqueue.Config{})
			if err != nil {
				tb.Fatal(err)
			}
			return q
		},
		SQL:          db,
		Table:        func(name string) string { return name },
		Transactions: []storetest.Transactions{storetest.SQLTransactions("*sql.Tx", db, sqlitequeue.WithTx)},
	}
}

// What jobs of the model can be like. Of the priorities every queue knows from the start: a new one may be found late.
var (
	modelQueues     = []string{"a", "b", "import/b1", "import/b2"} // the last two are those of batches
	modelPriorities = []int{0, -1, 3}
	modelKeys       = []string{"", "k"}
)

const hour = time.Hour // time passes in halves of it, and nothing else takes so long

// machine is a database and the model of what must be in it.
type machine struct {
	db      storetest.Database
	endless bool // reservations that never expire do not count for limits
	exact   bool // one exchange sees all that is due; otherwise it is enough if it is found soon
	queues  []*sqlqueue.Queue
	empty   string
	back    func(column string, d time.Duration) string

	workers  []*modelWorker
	jobs     map[int64]*modelJob
	failed   map[int64]*modelFailure // by the ids that they had as jobs
	controls map[string]*modelControl
	batches  []*modelBatch

	ids       []int64 // of all jobs ever, the newest first
	failures  []int64 // likewise of failed jobs
	retried   []*modelJob
	serial    int
	exchanges int
}

// modelWorker is a worker, and what it believes to be its own.
type modelWorker struct {
	queue     *sqlqueue.Queue
	name      string
	holds     []sqlqueue.Reservation // the newest first, those that have ended too
	abandoned []string               // numbers of exchanges whose answers it did not get
}

func runModel(t *rapid.T, m *machine) {
	m.jobs, m.failed, m.controls = map[int64]*modelJob{}, map[int64]*modelFailure{}, map[string]*modelControl{}
	m.workers = []*modelWorker{
		{queue: m.queues[0], name: "ann"}, {queue: m.queues[1], name: "bob"}, {queue: m.queues[0], name: "cid"},
	}
	m.reset(t)
	operations := []struct {
		name  string
		often int
		do    func(*rapid.T)
	}{ // rapid prefers the first
		{"exchange", 15, m.exchange},
		{"push many", 6, m.pushMany},
		{"time passes", 5, m.pass},
		{"retry", 2, m.retry},
		{"transaction", 3, m.transaction},
		{"batch", 3, m.batch},
		{"look", 2, m.look},
		{"edit", 2, m.edit},
		{"push", 2, m.push},
		{"control", 1, m.control},
		{"cancel", 1, m.cancel},
		{"release", 1, m.release},
		{"forget", 1, m.forget},
		{"release all", 1, m.releaseAll},
		{"cancel all", 1, m.cancelAll},
		{"clear", 1, m.clear},
	}
	var names []string
	do := map[string]func(*rapid.T){}
	for i := range operations[0].often {
		for _, o := range operations {
			if do[o.name] = o.do; i < o.often {
				names = append(names, o.name)
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"":     m.check,
		"step": func(t *rapid.T) { do[draw(t, "operation", names...)](t) },
	})
}

// reset empties the tables, and shows all processes all lanes.
func (m *machine) reset(t *rapid.T) {
	empty := func() {
		for statement := range strings.SplitSeq(m.empty, "; ") {
			m.exec(t, statement)
		}
	}
	empty()
	var all []driver.Reserve
	for _, queue := range modelQueues {
		all = append(all, driver.Reserve{Queue: queue})
	}
	for _, q := range m.queues {
		// lanes are learned of queues that are reserved from
		_, err := q.Exchange(t.Context(), driver.Exchange{Number: "reset", Limit: 1, Reserve: all})
		must(t, err)
		for _, priority := range modelPriorities {
			_, err := q.Push(t.Context(), sqlqueue.Named("job", nil), sqlqueue.OnQueue(modelQueues...), sqlqueue.Priority(priority))
			must(t, err)
		}
	}
	empty()
}

func (m *machine) exec(t *rapid.T, statement string) {
	if _, err := m.db.SQL.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// now is the database's clock.
func (m *machine) now(t *rapid.T) time.Time {
	answer, err := m.queues[0].Exchange(t.Context(), driver.Exchange{})
	must(t, err)
	return answer.Now
}

// during runs an operation, and returns when it was.
func (m *machine) during(t *rapid.T, operation func()) moment {
	from := m.now(t)
	operation()
	return moment{from, m.now(t)}
}

// any draws one of the processes.
func (m *machine) any(t *rapid.T) *sqlqueue.Queue { return m.queues[draw(t, "process", 0, 1)] }

func draw[E any](t *rapid.T, what string, from ...E) E { return rapid.SampledFrom(from).Draw(t, what) }

// someID draws the id of a job, which may have ended long ago or never been.
func (m *machine) someID(t *rapid.T) int64 {
	return draw(t, "id", append(slices.Clone(m.ids[:min(len(m.ids), 12)]), 1<<40)...)
}

// pass has time pass: everything in the tables becomes older.
func (m *machine) pass(t *rapid.T) {
	d := time.Duration(draw(t, "half hours", 1, 2, 3)) * hour / 2
	back := func(table string, columns ...string) {
		set := make([]string, len(columns))
		for i, column := range columns {
			set[i] = column + " = " + m.back(column, d)
		}
		m.exec(t, "UPDATE "+m.db.Table(table)+" SET "+strings.Join(set, ", "))
	}
	back("jobs", "available_at", "created_at", "reserved_at", "expires_at")
	back("failed_jobs", "created_at", "failed_at")
	back("job_queues", "paused_until")
	for _, j := range m.jobs {
		for _, at := range []*moment{&j.available, &j.created, &j.reservedAt, &j.expires} {
			at.pass(d)
		}
	}
	for _, f := range m.failed {
		f.created.pass(d)
		f.failedAt.pass(d)
	}
	for _, c := range m.controls {
		c.until.pass(d)
	}
}

// transaction is a caller's: it may push, and complete a job that a worker holds.
func (m *machine) transaction(t *rapid.T) {
	way := m.db.Transactions[rapid.IntRange(0, len(m.db.Transactions)-1).Draw(t, "way")]
	w := m.workers[draw(t, "worker", 0, 1, 2)]
	wanted := m.drawPushes(t, draw(t, "pushes", 0, 1, 2))
	complete := len(w.holds) > 0 && rapid.Bool().Draw(t, "complete")
	commit := rapid.Bool().Draw(t, "commit")
	ctx := t.Context()
	var r sqlqueue.Reservation
	mine := false
	if complete {
		r = draw(t, "reservation", w.holds...)
		mine = m.holds(r)
	}
	var pushed []pushAnswer
	when := m.during(t, func() {
		q, tx, err := way.Begin(ctx, w.queue)
		must(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // unless it was committed
		if complete {
			checkLost(t, q.Hold(ctx, r), mine)
			checkLost(t, q.Delete(ctx, r), mine)
		}
		for _, one := range wanted {
			ids, err := q.PushMany(ctx, []sqlqueue.Pushable{one.pushable()})
			pushed = append(pushed, pushAnswer{ids, err})
		}
		if commit {
			must(t, tx.Commit(ctx))
		}
	})
	if !commit {
		return
	}
	if mine {
		delete(m.jobs, r.ID)
	}
	for i, one := range wanted {
		m.pushed(t, []wantedJob{one}, pushed[i], when)
	}
}

func checkLost(t *rapid.T, err error, mine bool) {
	t.Helper()
	if lost := isErr(err, sqlqueue.ErrReservationLost); lost == mine || err != nil && !lost {
		t.Fatalf("the reservation is its holder's: %v; the answer is %v", mine, err)
	}
}

// moment is a time in the tables: until it has been read, between two others. The zero moment is none.
type moment struct{ from, to time.Time }

func (m moment) add(d time.Duration) moment { return moment{m.from.Add(d), m.to.Add(d)} }

func (m *moment) pass(d time.Duration) {
	if !m.from.IsZero() {
		*m = m.add(-d)
	}
}

// check takes what was read, if it can be.
func (m *moment) check(t *rapid.T, what string, read time.Time) {
	t.Helper()
	if read.Before(m.from) || read.After(m.to) {
		t.Fatalf("%s is %v, want between %v and %v", what, read, m.from, m.to)
	}
	m.from, m.to = read, read
}

func (m moment) after(other moment) int {
	return cmp.Or(m.from.Compare(other.from), m.to.Compare(other.to))
}
