package storetest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// broken is a Store that does one thing wrong.
type broken struct {
	driver.Store
	ask    func(*driver.Exchange)
	beat   func(*driver.Beat)
	answer func(driver.Exchange, *driver.Exchanged)
	push   func([]driver.NewJob)
	sql    func(query string, args []any) (string, []any) // of operators
	err    func(error) error
}

func (b *broken) Unwrap() driver.Store { return b.Store }

func (b *broken) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	asked := x
	asked.Settle, asked.Touch, asked.Reserve = slices.Clone(x.Settle), slices.Clone(x.Touch), slices.Clone(x.Reserve)
	if b.ask != nil {
		b.ask(&asked)
	}
	answer, err := b.Store.Exchange(ctx, asked)
	if b.answer != nil {
		b.answer(x, &answer)
	}
	return answer, b.wrong(err)
}

func (b *broken) Beat(ctx context.Context, beat driver.Beat) error {
	if b.beat != nil {
		b.beat(&beat)
	}
	return b.wrong(b.Store.Beat(ctx, beat))
}

func (b *broken) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	if b.push != nil {
		jobs = slices.Clone(jobs)
		b.push(jobs)
	}
	answer, err := b.Store.Push(ctx, jobs)
	return answer, b.wrong(err)
}

func (b *broken) SQL() *sqldb.Database {
	database := *b.Store.(sqldb.Store).SQL()
	tx := database.Tx
	database.DB = brokenDB{database.DB, b}
	database.Tx = func(ctx context.Context, f func(sqldb.DB) error) error {
		return tx(ctx, func(db sqldb.DB) error { return f(brokenDB{db, b}) })
	}
	return &database
}

// brokenDB is a database that gets other statements than operators send.
type brokenDB struct {
	sqldb.DB
	*broken
}

func (d brokenDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	query, args = d.rewrite(query, args)
	n, err := d.DB.Exec(ctx, query, args...)
	return n, d.wrong(err)
}

func (d brokenDB) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	query, args = d.rewrite(query, args)
	rows, err := d.DB.Query(ctx, query, args...)
	return rows, d.wrong(err)
}

func (b *broken) rewrite(query string, args []any) (string, []any) {
	if b.sql == nil {
		return query, args
	}
	return b.sql(query, args)
}

func (b *broken) wrong(err error) error {
	if b.err != nil && err != nil {
		return b.err(err)
	}
	return err
}

// TestSuiteFindsWhatIsBroken: a suite that cannot fail shows nothing. Each store here does one thing wrong, and a case has to fail on it.
func TestSuiteFindsWhatIsBroken(t *testing.T) {
	for _, test := range []struct {
		name  string
		cases []testCase
		fails string // part of the name of the case that has to fail
		store func() *broken
	}{
		{"late settlements work", fenceCases, "requeued", func() *broken {
			b := &broken{}
			b.ask = func(x *driver.Exchange) {
				for i := range x.Settle {
					database := b.Store.(sqldb.Store).SQL()
					_ = sqldb.Each(context.Background(), database.DB,
						"SELECT coalesce(reserved_by, '') FROM "+database.Table("jobs")+" WHERE id = ?1",
						[]any{x.Settle[i].ID}, func(scan func(...any) error) error { return scan(&x.Settle[i].By) })
				}
			}
			return b
		}},
		{
			"lost reservations are not reported", fenceCases, "was deleted",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { a.Lost = nil }),
		},
		{"everything is reported lost", settleCases, "delete: the job is gone", answering(func(x driver.Exchange, a *driver.Exchanged) {
			for _, s := range x.Settle {
				a.Lost = append(a.Lost, s.Reservation)
			}
		})},
		{"abandoned numbers are ignored", fenceCases, "abandoned: what", asking(func(x *driver.Exchange) { x.Abandoned = nil })},
		{"a job is given twice", reserveCases, "not given again", givingTwice},
		{"attempts do not grow", settleCases, "release without delay", answering(func(_ driver.Exchange, a *driver.Exchanged) {
			for i := range a.Reserved {
				a.Reserved[i].Attempts = 1
			}
		})},
		{
			"any order", reserveCases, "priority, then available_at",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { slices.Reverse(a.Reserved) }),
		},
		{"queues in another order", reserveCases, "strict order", asking(func(x *driver.Exchange) { slices.Reverse(x.Reserve) })},
		{"more than the limit", reserveCases, "no more than the limit", asking(func(x *driver.Exchange) { x.Limit *= 2 })},
		{
			"nothing is told of what is due next", reserveCases, "next due job",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { a.NextDue = time.Time{} }),
		},
		{"no expire", reserveCases, "written whole", asking(func(x *driver.Exchange) {
			for i := range x.Reserve {
				x.Reserve[i].Expire = 0
			}
		})},
		{
			"a give-back spends the attempt", settleCases, "give-back: the attempt",
			settling(func(s *driver.Settlement) { s.GiveBack = false }),
		},
		{
			"a release gives the attempt back", settleCases, "one row changes in place",
			settling(func(s *driver.Settlement) { s.GiveBack = true }),
		},
		{"a release has no delay", settleCases, "one row changes in place", settling(func(s *driver.Settlement) { s.Delay = 0 })},
		{"a release deletes", settleCases, "one row changes in place", settling(func(s *driver.Settlement) {
			if s.Outcome == driver.Release {
				s.Outcome = driver.Delete
			}
		})},
		{"a failed job is deleted", settleCases, "fail: the row moves", settling(func(s *driver.Settlement) {
			if s.Outcome == driver.Fail {
				s.Outcome = driver.Delete
			}
		})},
		{
			"error texts are cut", settleCases, "error texts",
			settling(func(s *driver.Settlement) { s.Error = s.Error[:min(len(s.Error), 1000)] }),
		},
		{"touch does nothing", settleCases, "touch moves", asking(func(x *driver.Exchange) { x.Touch = nil })},
		{"nothing is requeued", expireCases, "goes back in place", asking(func(x *driver.Exchange) { x.Requeue = 0 })},
		{"too much is requeued", expireCases, "oldest expired come first", asking(func(x *driver.Exchange) { x.Requeue *= 2 })},
		{
			"the number of what is requeued is wrong", expireCases, "oldest expired come first",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { a.Requeued = min(a.Requeued, 1) }),
		},
		{"maintenance does not matter", controlCases, "maintenance stops", asking(func(x *driver.Exchange) { x.Force = true })},
		{"force does not matter", controlCases, "maintenance stops", asking(func(x *driver.Exchange) { x.Force = false })},
		{
			"controls are not told", controlCases, "restart counts",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { a.Controls = nil }),
		},
		{
			"wanted concurrency is not told", operatorCases, "concurrency that an operator wants",
			answering(func(_ driver.Exchange, a *driver.Exchanged) { a.WantedConcurrency = 0 }),
		},
		{"workers are not written", operatorCases, "worker's row", beating(func(b *driver.Beat) { b.Leave = true })},
		{"delays do not matter", pushCases, "delay counts", pushing(func(j *driver.NewJob) { j.Delay = 0 })},
		{
			"times are cut to seconds", pushCases, "to the microsecond",
			pushing(func(j *driver.NewJob) { j.At = j.At.Truncate(time.Second) }),
		},
		{"everything goes to one queue", pushCases, "push to several queues", pushing(func(j *driver.NewJob) { j.Queue = "default" })},
		{
			"names of queues are folded", pushCases, "tell case and accents",
			pushing(func(j *driver.NewJob) { j.Queue = strings.ToLower(j.Queue) }),
		},
		{"priorities do not matter", reserveCases, "priority, then available_at", pushing(func(j *driver.NewJob) { j.Priority = 0 })},
		{"keys do not matter", uniqueCases, "a key that is held", pushing(func(j *driver.NewJob) { j.UniqueKey = "" })},
		{"keys are folded", uniqueCases, "tell case apart", pushing(func(j *driver.NewJob) { j.UniqueKey = strings.ToLower(j.UniqueKey) })},
		{"payloads are cut", badRowsCases, "8 MB", pushing(func(j *driver.NewJob) {
			if len(j.Payload) > 1<<20 {
				j.Payload = []byte(`{"job":"cut"}`)
			}
		})},
		{"reserved jobs are edited and cancelled", operatorCases, "neither edited nor cancelled", rewriting(" AND NOT reserved", "")},
		{"a release by hand deletes", operatorCases, "release by hand", releasing},
		{"an edit forgets the time", operatorCases, "edit: queue", rewriting("available_at = ?", "created_at = ?")},
		{"retry takes every queue", failedCases, "retry many", rewriting(" AND queue = ", " AND '' <> ")},
		{"failed jobs in another order", failedCases, "by queue, name, id", rewriting("ORDER BY id DESC", "ORDER BY id")},
		{"jobs in another order", operatorCases, "by queue, state", rewriting("ORDER BY id LIMIT", "ORDER BY id DESC LIMIT")},
		{"a filter's error does not matter", searchCases, "part of their error", rewriting("error GLOB ", "'' <> ")},
		{"a filter cancels what workers have", searchCases, "cancel by filter: in batches", rewriting(" AND NOT reserved", "")},
		{"a filter cancels one batch", searchCases, "cancel by filter: in batches", rewriting("LIMIT 1000", "LIMIT 999")},
		{"fields do not matter", searchCases, "jobs by a field", rewriting(" AS TEXT) END END = ", " AS TEXT) END END IS NOT ")},
		{
			"the first of two members counts", searchCases, "members of the same name",
			rewriting("ORDER BY id DESC LIMIT 1)", "ORDER BY id LIMIT 1)"),
		},
		{
			"groups are of the oldest only", searchCases, "grouped by queue",
			rewriting(`failed_jobs"`, `failed_jobs" NATURAL JOIN (SELECT max(id) AS id FROM "failed_jobs")`),
		},
		{
			"the number of ready jobs is not to be trusted", countsCases, "counted up to a limit",
			rewriting("SELECT count(*) FROM (SELECT available_at", "SELECT 1000 FROM (SELECT available_at"),
		},
		{"the oldest is not looked for", countsCases, "counted up to a limit", rewriting("(SELECT available_at FROM", "(SELECT NULL FROM")},
		{"counts are not written", countsCases, "added up over workers", beating(func(b *driver.Beat) { b.Counts = nil })},
		{
			"what waits is not counted", countsCases, "look at so many waiting",
			rewriting("ORDER BY id DESC LIMIT ", "ORDER BY id DESC LIMIT 0 * "),
		},
		{"what was left out looks like silence", countsCases, "look at so many waiting", rewriting("min(pushed)", "0")},
		{"old counts stay", countsCases, "old counts are deleted", beating(func(b *driver.Beat) { b.OldCounts = 0 })},
		{
			"every count is old", countsCases, "old counts are deleted",
			beating(func(b *driver.Beat) { b.OldCounts = min(b.OldCounts, time.Hour) }),
		},
		{"the secret is lost", subscriptionCases, "written, listed by name", rewriting("secret = ?3", "secret = substr(?3, 1, 0)")},
		{"subscriptions have names of their own", subscriptionCases, "takes the place", renaming},
		{"errors do not say that the tables are missing", schemaCases, "missing tables", func() *broken {
			return &broken{err: func(err error) error { return errors.New(err.Error()) }}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := slices.IndexFunc(test.cases, func(c testCase) bool { return strings.Contains(c.name, test.fails) })
			if i < 0 {
				t.Fatalf("no case is named %q", test.fails)
			}
			r := &rehearsal{TB: t}
			r.run(func() {
				test.cases[i].run(r, func(tb testing.TB) Database {
					db := openSQLite(tb)
					db.patience = 2 * time.Second
					open := db.Open
					db.Open = func(tb testing.TB) *sqlqueue.Queue {
						return open(tb).Bind(func(s driver.Store) (driver.Store, error) {
							b := test.store()
							b.Store = s
							return b, nil
						})
					}
					return db
				})
			})
			if !r.Failed() {
				t.Errorf("%q did not fail", test.cases[i].name)
			}
		})
	}
}

// TestTablesAreCompared: what happens past the store is found, and nothing else.
func TestTablesAreCompared(t *testing.T) {
	for _, test := range []struct {
		what, query string
	}{
		{"nothing", ""},
		{"a waiting job vanishes", "DELETE FROM {jobs} WHERE NOT reserved"},
		{"a reserved job vanishes", "DELETE FROM {jobs} WHERE reserved"},
		{"attempts fall", "UPDATE {jobs} SET attempts = 0"},
		{"a job appears", "INSERT INTO {jobs} (payload) VALUES ('{}')"},
		{
			"a job is in both tables",
			`INSERT INTO {failed_jobs} (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
			SELECT id, queue, priority, payload, attempts, '', '', created_at, created_at FROM {jobs}`,
		},
		{"a reservation changes hands", "UPDATE {jobs} SET reserved_by = 'x' WHERE reserved"},
		{"a reservation ends", "UPDATE {jobs} SET reserved = 0, reserved_by = NULL, reserved_at = NULL, expires_at = NULL WHERE reserved"},
	} {
		t.Run(test.what, func(t *testing.T) {
			r := &rehearsal{TB: t}
			r.run(func() {
				testCase{test: func(f *fixture) {
					c := f.open()
					c.pushMany(2)
					c.reserve(1, "default")
					if test.query != "" {
						f.exec(test.query)
					}
				}}.run(r, openSQLite)
			})
			if r.Failed() == (test.query == "") {
				t.Errorf("found something wrong: %v", r.Failed())
			}
		})
	}
}

func rewriting(from, to string) func() *broken {
	return func() *broken {
		return &broken{sql: func(query string, args []any) (string, []any) { return strings.ReplaceAll(query, from, to), args }}
	}
}

// releasing deletes what is to be released by hand.
func releasing() *broken {
	return &broken{sql: func(query string, args []any) (string, []any) {
		if statement, condition, _ := strings.Cut(query, " WHERE "); strings.Contains(statement, "reserved_by = NULL") {
			return `DELETE FROM "jobs" WHERE ` + condition, args
		}
		return query, args
	}}
}

// renaming gives each subscription a name with its queue in it.
func renaming() *broken {
	return &broken{sql: func(query string, args []any) (string, []any) {
		args = slices.Clone(args)
		switch {
		case strings.HasPrefix(query, "INSERT") && strings.Contains(query, "subscriptions"):
			args[0] = args[0].(string) + args[2].(string)
		case strings.HasPrefix(query, "UPDATE") && strings.Contains(query, "subscriptions"):
			args[3] = args[3].(string) + args[1].(string)
		}
		return query, args
	}}
}

func asking(f func(*driver.Exchange)) func() *broken {
	return func() *broken { return &broken{ask: f} }
}

func beating(f func(*driver.Beat)) func() *broken {
	return func() *broken { return &broken{beat: f} }
}

func answering(f func(driver.Exchange, *driver.Exchanged)) func() *broken {
	return func() *broken { return &broken{answer: f} }
}

func settling(f func(*driver.Settlement)) func() *broken {
	return asking(func(x *driver.Exchange) {
		for i := range x.Settle {
			f(&x.Settle[i])
		}
	})
}

func pushing(f func(*driver.NewJob)) func() *broken {
	return func() *broken {
		return &broken{push: func(jobs []driver.NewJob) {
			for i := range jobs {
				f(&jobs[i])
			}
		}}
	}
}

// givingTwice gives again what it gave last when there is nothing else.
func givingTwice() *broken {
	var last []sqlqueue.Job
	return &broken{answer: func(x driver.Exchange, a *driver.Exchanged) {
		if x.Limit == 0 {
			return
		}
		if len(a.Reserved) == 0 {
			a.Reserved = slices.Clone(last)
			for i := range a.Reserved {
				a.Reserved[i].ReservedBy = x.Number
			}
		}
		last = a.Reserved
	}}
}

// rehearsal is a testing.TB for a case that is expected to fail.
type rehearsal struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
	context  func() context.Context
}

// run runs a test to its end, or to its Fatal.
func (r *rehearsal) run(test func()) {
	ctx, cancel := context.WithCancel(context.Background())
	r.context = func() context.Context { return ctx }
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		test()
	}()
	<-finished
	cancel()
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
}

func (r *rehearsal) Context() context.Context { return r.context() }
func (r *rehearsal) Helper()                  {}
func (r *rehearsal) Log(...any)               {}
func (r *rehearsal) Logf(string, ...any)      {}

func (r *rehearsal) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *rehearsal) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *rehearsal) Error(...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *rehearsal) Errorf(string, ...any) { r.Error() }

func (r *rehearsal) Fatal(...any) {
	r.Error()
	runtime.Goexit()
}

func (r *rehearsal) Fatalf(string, ...any) { r.Fatal() }
