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
)

// broken is a Store that does one thing wrong.
type broken struct {
	sqlqueue.Store
	ask    func(*sqlqueue.Exchange)
	answer func(sqlqueue.Exchange, *sqlqueue.Exchanged)
	push   func([]sqlqueue.NewJob)
	change func(*sqlqueue.JobFilter, *sqlqueue.JobChange)
	retry  func(*sqlqueue.FailedFilter)
	failed func([]sqlqueue.FailedJob)
	jobs   func([]sqlqueue.Job)
	queues func([]sqlqueue.QueueInfo)
	counts func(*sqlqueue.Counts)
	groups func([]sqlqueue.FailedGroup) []sqlqueue.FailedGroup
	signed func(*sqlqueue.Subscription)
	err    func(error) error
}

func (b *broken) Unwrap() sqlqueue.Store { return b.Store }

func (b *broken) Exchange(ctx context.Context, x sqlqueue.Exchange) (sqlqueue.Exchanged, error) {
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

func (b *broken) Push(ctx context.Context, jobs []sqlqueue.NewJob) ([]sqlqueue.Pushed, error) {
	if b.push != nil {
		jobs = slices.Clone(jobs)
		b.push(jobs)
	}
	answer, err := b.Store.Push(ctx, jobs)
	return answer, b.wrong(err)
}

func (b *broken) ChangeJobs(ctx context.Context, f sqlqueue.JobFilter, c sqlqueue.JobChange) ([]int64, error) {
	if b.change != nil {
		b.change(&f, &c)
	}
	ids, err := b.Store.ChangeJobs(ctx, f, c)
	return ids, b.wrong(err)
}

func (b *broken) ChangeFailed(ctx context.Context, f sqlqueue.FailedFilter, c sqlqueue.FailedChange) ([]int64, []sqlqueue.Duplicate, error) {
	if b.retry != nil {
		b.retry(&f)
	}
	return b.Store.ChangeFailed(ctx, f, c)
}

func (b *broken) FailedJobs(ctx context.Context, f sqlqueue.FailedFilter) ([]sqlqueue.FailedJob, error) {
	jobs, err := b.Store.FailedJobs(ctx, f)
	if b.failed != nil {
		b.failed(jobs)
	}
	return jobs, err
}

func (b *broken) Jobs(ctx context.Context, f sqlqueue.JobFilter) ([]sqlqueue.Job, error) {
	jobs, err := b.Store.Jobs(ctx, f)
	if b.jobs != nil {
		b.jobs(jobs)
	}
	return jobs, err
}

func (b *broken) Queues(ctx context.Context, most int64) ([]sqlqueue.QueueInfo, error) {
	queues, err := b.Store.Queues(ctx, most)
	if b.queues != nil && most > 0 {
		b.queues(queues)
	}
	return queues, b.wrong(err)
}

func (b *broken) Counts(ctx context.Context, since time.Duration, most int) (sqlqueue.Counts, error) {
	counts, err := b.Store.Counts(ctx, since, most)
	if b.counts != nil {
		b.counts(&counts)
	}
	return counts, b.wrong(err)
}

func (b *broken) FailedGroups(ctx context.Context, f sqlqueue.FailedFilter) ([]sqlqueue.FailedGroup, error) {
	groups, err := b.Store.FailedGroups(ctx, f)
	if b.groups != nil {
		groups = b.groups(groups)
	}
	return groups, b.wrong(err)
}

func (b *broken) Subscribe(ctx context.Context, s sqlqueue.Subscription) error {
	if b.signed != nil {
		b.signed(&s)
	}
	return b.wrong(b.Store.Subscribe(ctx, s))
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
			b.ask = func(x *sqlqueue.Exchange) {
				for i := range x.Settle {
					jobs, err := b.Store.Jobs(context.Background(), sqlqueue.JobFilter{IDs: []int64{x.Settle[i].ID}, Limit: 1})
					if err == nil && len(jobs) > 0 {
						x.Settle[i].By = jobs[0].ReservedBy
					}
				}
			}
			return b
		}},
		{"lost reservations are not reported", fenceCases, "was deleted", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { a.Lost = nil })},
		{"everything is reported lost", settleCases, "delete: the job is gone", answering(func(x sqlqueue.Exchange, a *sqlqueue.Exchanged) {
			for _, s := range x.Settle {
				a.Lost = append(a.Lost, s.Reservation)
			}
		})},
		{"abandoned numbers are ignored", fenceCases, "abandoned: what", asking(func(x *sqlqueue.Exchange) { x.Abandoned = nil })},
		{"a job is given twice", reserveCases, "not given again", givingTwice},
		{"attempts do not grow", settleCases, "release without delay", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) {
			for i := range a.Reserved {
				a.Reserved[i].Attempts = 1
			}
		})},
		{"any order", reserveCases, "priority, then available_at", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { slices.Reverse(a.Reserved) })},
		{"queues in another order", reserveCases, "strict order", asking(func(x *sqlqueue.Exchange) { slices.Reverse(x.Reserve) })},
		{"more than the limit", reserveCases, "no more than the limit", asking(func(x *sqlqueue.Exchange) { x.Limit *= 2 })},
		{"nothing is told of what is due next", reserveCases, "next due job", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { a.NextDue = time.Time{} })},
		{"no expire", reserveCases, "written whole", asking(func(x *sqlqueue.Exchange) {
			for i := range x.Reserve {
				x.Reserve[i].Expire = 0
			}
		})},
		{"a give-back spends the attempt", settleCases, "give-back: the attempt", settling(func(s *sqlqueue.Settlement) { s.GiveBack = false })},
		{"a release gives the attempt back", settleCases, "one row changes in place", settling(func(s *sqlqueue.Settlement) { s.GiveBack = true })},
		{"a release has no delay", settleCases, "one row changes in place", settling(func(s *sqlqueue.Settlement) { s.Delay = 0 })},
		{"a release deletes", settleCases, "one row changes in place", settling(func(s *sqlqueue.Settlement) {
			if s.Outcome == sqlqueue.Release {
				s.Outcome = sqlqueue.Delete
			}
		})},
		{"a failed job is deleted", settleCases, "fail: the row moves", settling(func(s *sqlqueue.Settlement) {
			if s.Outcome == sqlqueue.Fail {
				s.Outcome = sqlqueue.Delete
			}
		})},
		{"error texts are cut", settleCases, "error texts", settling(func(s *sqlqueue.Settlement) { s.Error = s.Error[:min(len(s.Error), 1000)] })},
		{"touch does nothing", settleCases, "touch moves", asking(func(x *sqlqueue.Exchange) { x.Touch = nil })},
		{"nothing is requeued", expireCases, "goes back in place", asking(func(x *sqlqueue.Exchange) { x.Requeue = 0 })},
		{"too much is requeued", expireCases, "oldest expired come first", asking(func(x *sqlqueue.Exchange) { x.Requeue *= 2 })},
		{"the number of what is requeued is wrong", expireCases, "oldest expired come first", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { a.Requeued = min(a.Requeued, 1) })},
		{"maintenance does not matter", controlCases, "maintenance stops", asking(func(x *sqlqueue.Exchange) { x.Force = true })},
		{"force does not matter", controlCases, "maintenance stops", asking(func(x *sqlqueue.Exchange) { x.Force = false })},
		{"controls are not told", controlCases, "restart counts", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { a.Controls = nil })},
		{"wanted concurrency is not told", operatorCases, "concurrency that an operator wants", answering(func(_ sqlqueue.Exchange, a *sqlqueue.Exchanged) { a.WantedConcurrency = 0 })},
		{"workers are not written", operatorCases, "worker's row", asking(func(x *sqlqueue.Exchange) { x.Worker = nil })},
		{"delays do not matter", pushCases, "delay counts", pushing(func(j *sqlqueue.NewJob) { j.Delay = 0 })},
		{"times are cut to seconds", pushCases, "to the microsecond", pushing(func(j *sqlqueue.NewJob) { j.At = j.At.Truncate(time.Second) })},
		{"everything goes to one queue", pushCases, "push to several queues", pushing(func(j *sqlqueue.NewJob) { j.Queue = "default" })},
		{"names of queues are folded", pushCases, "tell case and accents", pushing(func(j *sqlqueue.NewJob) { j.Queue = strings.ToLower(j.Queue) })},
		{"priorities do not matter", reserveCases, "priority, then available_at", pushing(func(j *sqlqueue.NewJob) { j.Priority = 0 })},
		{"keys do not matter", uniqueCases, "a key that is held", pushing(func(j *sqlqueue.NewJob) { j.UniqueKey = "" })},
		{"keys are folded", uniqueCases, "tell case apart", pushing(func(j *sqlqueue.NewJob) { j.UniqueKey = strings.ToLower(j.UniqueKey) })},
		{"payloads are cut", badRowsCases, "8 MB", pushing(func(j *sqlqueue.NewJob) {
			if len(j.Payload) > 1<<20 {
				j.Payload = []byte(`{"job":"cut"}`)
			}
		})},
		{"reserved jobs are edited and cancelled", operatorCases, "neither edited nor cancelled", func() *broken {
			return &broken{change: func(f *sqlqueue.JobFilter, _ *sqlqueue.JobChange) { f.NotReserved = false }}
		}},
		{"a release by hand deletes", operatorCases, "release by hand", func() *broken {
			return &broken{change: func(_ *sqlqueue.JobFilter, c *sqlqueue.JobChange) { c.Delete = c.Delete || c.Release }}
		}},
		{"an edit forgets the time", operatorCases, "edit: queue", func() *broken {
			return &broken{change: func(_ *sqlqueue.JobFilter, c *sqlqueue.JobChange) { c.At = nil }}
		}},
		{"retry takes every queue", failedCases, "retry many", func() *broken { return &broken{retry: func(f *sqlqueue.FailedFilter) { f.Queue = "" }} }},
		{"failed jobs in another order", failedCases, "by queue, name, id", func() *broken { return &broken{failed: func(j []sqlqueue.FailedJob) { slices.Reverse(j) }} }},
		{"jobs in another order", operatorCases, "by queue, state", func() *broken { return &broken{jobs: func(j []sqlqueue.Job) { slices.Reverse(j) }} }},
		{"a filter's error does not matter", searchCases, "part of their error", func() *broken { return &broken{retry: func(f *sqlqueue.FailedFilter) { f.Error = "" }} }},
		{"a filter cancels what workers have", searchCases, "cancel by filter: in batches", func() *broken {
			return &broken{change: func(f *sqlqueue.JobFilter, _ *sqlqueue.JobChange) { f.NotReserved = false }}
		}},
		{"a filter cancels one batch", searchCases, "cancel by filter: in batches", func() *broken {
			return &broken{change: func(f *sqlqueue.JobFilter, _ *sqlqueue.JobChange) { f.Limit = 999 }}
		}},
		{"fields do not matter", searchCases, "jobs by a field", func() *broken {
			return &broken{change: func(f *sqlqueue.JobFilter, _ *sqlqueue.JobChange) { f.Fields = nil }}
		}},
		{"groups are of the oldest only", searchCases, "grouped by queue", func() *broken {
			return &broken{groups: func(g []sqlqueue.FailedGroup) []sqlqueue.FailedGroup { return g[:min(len(g), 1)] }}
		}},
		{"the number of ready jobs is not to be trusted", countsCases, "counted up to a limit", func() *broken {
			return &broken{queues: func(q []sqlqueue.QueueInfo) {
				for i := range q {
					q[i].Ready = q[i].CountedTo
				}
			}}
		}},
		{"the oldest is not looked for", countsCases, "counted up to a limit", func() *broken {
			return &broken{queues: func(q []sqlqueue.QueueInfo) {
				for i := range q {
					q[i].Oldest = time.Time{}
				}
			}}
		}},
		{"counts are not written", countsCases, "added up over workers", asking(func(x *sqlqueue.Exchange) { x.Counts = nil })},
		{"what waits is not counted", countsCases, "look at so many waiting", func() *broken { return &broken{counts: func(c *sqlqueue.Counts) { c.Minutes = nil }} }},
		{"what was left out looks like silence", countsCases, "look at so many waiting", func() *broken { return &broken{counts: func(c *sqlqueue.Counts) { c.PushedSince = time.Time{} }} }},
		{"old counts stay", countsCases, "old counts are deleted", asking(func(x *sqlqueue.Exchange) { x.OldCounts = 0 })},
		{"every count is old", countsCases, "old counts are deleted", asking(func(x *sqlqueue.Exchange) { x.OldCounts = min(x.OldCounts, time.Hour) })},
		{"the secret is lost", subscriptionCases, "written, listed by name", func() *broken { return &broken{signed: func(s *sqlqueue.Subscription) { s.Secret = "" }} }},
		{"subscriptions have names of their own", subscriptionCases, "takes the place", func() *broken {
			return &broken{signed: func(s *sqlqueue.Subscription) { s.Name += s.Queue }}
		}},
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
						return open(tb).Bind(func(s sqlqueue.Store) (sqlqueue.Store, error) {
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
		{"a job is in both tables", `INSERT INTO {failed_jobs} (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
			SELECT id, queue, priority, payload, attempts, '', '', created_at, created_at FROM {jobs}`},
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

func asking(f func(*sqlqueue.Exchange)) func() *broken {
	return func() *broken { return &broken{ask: f} }
}

func answering(f func(sqlqueue.Exchange, *sqlqueue.Exchanged)) func() *broken {
	return func() *broken { return &broken{answer: f} }
}

func settling(f func(*sqlqueue.Settlement)) func() *broken {
	return asking(func(x *sqlqueue.Exchange) {
		for i := range x.Settle {
			f(&x.Settle[i])
		}
	})
}

func pushing(f func(*sqlqueue.NewJob)) func() *broken {
	return func() *broken {
		return &broken{push: func(jobs []sqlqueue.NewJob) {
			for i := range jobs {
				f(&jobs[i])
			}
		}}
	}
}

// givingTwice gives again what it gave last when there is nothing else.
func givingTwice() *broken {
	var last []sqlqueue.Job
	return &broken{answer: func(x sqlqueue.Exchange, a *sqlqueue.Exchanged) {
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
