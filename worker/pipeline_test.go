package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
	"github.com/sqlqueue/sqlqueue/worker"
)

// manyWriters is a Store that does not say that its database has a single writer.
type manyWriters struct{ driver.Store }

func (m manyWriters) SQL() *sqldb.Database { database, _ := sqldb.Of(m.Store); return database }

// hearing is a Store that hears of a push 5 ms after the jobs that a worker reserves first, and of no others.
type hearing struct{ driver.Store }

func (h hearing) Listen(ctx context.Context, _ []string, heard func()) error {
	heard()
	pass(105 * time.Millisecond)
	heard()
	<-ctx.Done()
	return context.Cause(ctx)
}

// traffic has exchanges take a while, and looks at which are under way at once.
type traffic struct {
	mu        sync.Mutex
	under     []driver.Exchange // way, in the order of their beginning
	most      int
	pipelined int // that began while another was under way
	settled   map[sqlqueue.Reservation]int
	taken     int
	atMost    int           // that may be taken; 0: any number
	slow      time.Duration // what one takes that settles and begins while another is under way
	wrong     []string
	looked    time.Time // when a small one began while another was under way: once in a second the worker goes through all that it holds
	loose     bool      // also small ones may begin then: something else is due
}

// watchTraffic returns the bench's queue as one of a database with many writers. Exchanges take 50 ms; fails says how one that begins while
// another is under way fails, before it has taken effect or after.
func (b *bench) watchTraffic(fails func(n int) (before, after error)) (*sqlqueue.Queue, *traffic) {
	const takes = 50 * time.Millisecond
	tr := &traffic{settled: map[sqlqueue.Reservation]int{}, slow: takes, looked: time.Now()}
	failing := map[string]error{}
	b.store.intercept(func(ctx context.Context, x *driver.Exchange) error {
		second, before := tr.begin(*x, fails, failing)
		timer := time.NewTimer(takes)
		if second && len(x.Settle) > 0 {
			timer.Reset(tr.slow)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			before = ctx.Err()
		}
		if before != nil {
			tr.end(*x, nil)
		}
		return before
	}, func(x driver.Exchange, answer *driver.Exchanged) error {
		tr.end(x, answer)
		return failing[x.Number]
	})
	return b.q.Bind(func(s driver.Store) (driver.Store, error) { return manyWriters{s}, nil }), tr
}

func (tr *traffic) begin(x driver.Exchange, fails func(int) (error, error), failing map[string]error) (second bool, before error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	limits := x.Limit
	for _, other := range tr.under {
		limits += other.Limit
	}
	if tr.atMost > 0 && tr.taken+limits > tr.atMost {
		tr.wrong = append(tr.wrong, fmt.Sprintf("%d are taken, and %d more asked for", tr.taken, limits))
	}
	second = len(tr.under) > 0
	if second {
		tr.pipelined++
		if first := tr.under[0]; len(first.Touch) > 0 && len(x.Settle) > 0 {
			tr.wrong = append(tr.wrong, "one began while one that touches was under way")
		}
		if len(x.Settle) < 100 && !tr.loose {
			if since := time.Since(tr.looked); since < time.Second {
				tr.wrong = append(tr.wrong, fmt.Sprintf("a second one began that settles %d, %v after the last", len(x.Settle), since))
			}
			tr.looked = time.Now()
		}
		if fails != nil {
			before, failing[x.Number] = fails(tr.pipelined)
		}
	}
	tr.under = append(tr.under, x)
	tr.most = max(tr.most, len(tr.under))
	return second, before
}

func (tr *traffic) end(x driver.Exchange, answer *driver.Exchanged) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range tr.under {
		if tr.under[i].Number == x.Number {
			tr.under = append(tr.under[:i], tr.under[i+1:]...)
			break
		}
	}
	if answer == nil {
		return
	}
	tr.taken += len(answer.Reserved)
	for _, s := range x.Settle {
		tr.settled[s.Reservation]++
	}
	for _, of := range answer.Lost {
		tr.settled[of]--
	}
}

// runs counts how often each job runs.
type runs struct {
	mu sync.Mutex
	of map[int64]int
}

func (r *runs) note(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[int64]int{}
	}
	r.of[id]++
}

func (r *runs) once(t *testing.T, jobs int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.of) != jobs {
		t.Errorf("%d jobs have run, want %d", len(r.of), jobs)
	}
	for id, n := range r.of {
		if n != 1 {
			t.Fatalf("job %d has run %d times", id, n)
		}
	}
}

func TestB1_ASecondExchangeGoesBesideTheFirst(t *testing.T) {
	const jobs = 4_000
	refused := errors.New("connection refused")
	unknown := fmt.Errorf("reset: %w", sqlqueue.ErrOutcomeUnknown)
	for name, c := range map[string]struct {
		fails  func(n int) (before, after error)
		config worker.Config
		long   time.Duration // what one of the handlers takes
		slow   time.Duration // what the second exchange takes
		taken  int
	}{
		"where there is much to settle": {taken: jobs},
		"in turn":                       {config: worker.Config{Fair: true}, taken: jobs},
		"and fails, sometimes": {taken: jobs, fails: func(n int) (error, error) {
			if n%3 == 0 {
				return refused, nil
			}
			return nil, nil
		}},
		"and its outcome is unknown, sometimes": {taken: jobs, fails: func(n int) (error, error) {
			if n%3 == 0 {
				return nil, unknown
			}
			return nil, nil
		}},
		"and takes long":                {taken: jobs, slow: 400 * time.Millisecond},
		"up to so many jobs":            {config: worker.Config{MaxJobs: 2_050}, taken: 2_050},
		"but not while another touches": {config: worker.Config{Expire: 600 * time.Millisecond}, long: 3 * time.Second, taken: jobs},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				q, tr := b.watchTraffic(c.fails)
				tr.loose, tr.atMost = c.fails != nil || c.long+c.slow > 0, c.config.MaxJobs
				tr.slow = max(tr.slow, c.slow)
				var ran runs
				b.handle(func(_ context.Context, job *raw) error {
					ran.note(job.ID)
					if job.ID == 1 {
						pass(c.long)
					}
					pass(time.Millisecond)
					return nil
				})
				b.pushMany(jobs)
				c.config.Concurrency, c.config.StopWhenEmpty = 10, true
				if err := b.startOn(q, c.config).ended(); err != nil {
					t.Fatal(err)
				}
				ran.once(t, c.taken)
				if left := len(b.waiting()); left != jobs-c.taken {
					t.Errorf("%d jobs are left, want %d", left, jobs-c.taken)
				}
				if tr.most != 2 || tr.pipelined < 4 {
					t.Errorf("at most %d exchanges were under way at once, and %d began while another was under way", tr.most, tr.pipelined)
				}
				for of, times := range tr.settled {
					if times != 1 {
						t.Fatalf("%v was settled %d times", of, times)
					}
				}
				if len(tr.wrong) > 0 {
					t.Error(tr.wrong)
				}
			})
		})
	}
}

func TestB1_AWorkerThatIsStoppedTakesInBothAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const jobs = 4_000
		q, tr := b.watchTraffic(nil)
		tr.slow = 400 * time.Millisecond
		var ran runs
		b.handle(func(_ context.Context, job *raw) error { ran.note(job.ID); pass(time.Millisecond); return nil })
		b.pushMany(jobs)
		r := b.startOn(q, worker.Config{Concurrency: 10})
		within(t, time.Minute, "two exchanges", func() bool {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			return len(tr.under) == 2
		})
		r.stop()
		left := b.waiting()
		ran.once(t, jobs-len(left))
		for _, job := range left {
			if job.Reserved || job.Attempts != 0 {
				t.Fatalf("after the end, job %d has %d attempts, reserved %t", job.ID, job.Attempts, job.Reserved)
			}
		}
	})
}

// The first exchange finds no job while the second one still settles the last. Nothing else happens then that would wake the worker.
func TestB1_AWorkerNoticesTheEndAfterTheSecondExchange(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		const jobs = 100
		q, tr := b.watchTraffic(nil)
		tr.slow = 5 * time.Second
		q = q.Bind(func(s driver.Store) (driver.Store, error) { return hearing{s}, nil })
		b.handle(func(context.Context, *raw) error { pass(20 * time.Millisecond); return nil })
		b.pushMany(jobs)
		start := time.Now()
		if err := b.startOn(q, worker.Config{Concurrency: 2 * jobs, StopWhenEmpty: true, Sleep: time.Hour}).ended(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Minute || tr.pipelined == 0 {
			t.Errorf("the worker ended after %v, %d exchanges began beside another", took, tr.pipelined)
		}
	})
}

// Who has no time left for the answers says what it does not know.
func TestB1_AWorkerThatHasToEndDoesNotForgetTheSecondExchange(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		q, tr := b.watchTraffic(nil)
		tr.slow = time.Hour
		b.handle(func(context.Context, *raw) error { pass(time.Millisecond); return nil })
		b.pushMany(2_500)
		r := b.startOn(q, worker.Config{Concurrency: 10, Grace: time.Second, StuckAfter: time.Second})
		settles := 0
		within(t, time.Minute, "two exchanges", func() bool {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if len(tr.under) == 2 {
				settles = len(tr.under[1].Settle)
			}
			return settles > 0
		})
		r.cancel()
		var unfinished *worker.UnfinishedError
		if err := r.ended(); !errors.As(err, &unfinished) || len(unfinished.Unsettled) < settles {
			t.Errorf("got %v, want at least %d unsettled", err, settles)
		}
	})
}

func TestB1_ASingleWriterIsAskedOnceAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		_, tr := b.watchTraffic(nil)
		b.handle(func(context.Context, *raw) error { pass(time.Millisecond); return nil })
		b.pushMany(2_500)
		b.drain(worker.Config{Concurrency: 10})
		if tr.most != 1 {
			t.Errorf("%d exchanges were under way at once", tr.most)
		}
	})
}
