package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// scene is a new database, with workers of this process.
type scene struct {
	*stage
	queue *sqlqueue.Queue
	close func()

	ran     atomic.Int64
	running sync.Map // by queue: *atomic.Int64
	most    atomic.Int64
	sleep   time.Duration
	began   time.Time // when drain started the workers

	mu     sync.Mutex
	starts map[string][]time.Time // of queues that are watched
	watch  func(queue string) bool
}

func (g *grouping) open(ctx context.Context) (*scene, error) {
	st, opened, err := g.host.openOwn(ctx)
	if err != nil {
		return nil, err
	}
	s := &scene{stage: st, queue: opened.queue, starts: map[string][]time.Time{}, watch: func(string) bool { return false }}
	s.close = func() {
		opened.Close()
		if err := st.close(ctx); err != nil {
			log.Print(err)
		}
	}
	return s, nil
}

// push pushes jobs to queues, a thousand at a time.
func (s *scene) push(ctx context.Context, n int, queue func(i int) string) error {
	const most = 1000
	for from := 0; from < n; from += most {
		jobs := newJobs(min(most, n-from))
		many := make([]sqlqueue.Pushable, len(jobs))
		for i, job := range jobs {
			many[i] = sqlqueue.With(job, sqlqueue.OnQueue(queue(from+i)))
		}
		if _, err := s.queue.PushMany(ctx, many); err != nil {
			return err
		}
	}
	return nil
}

func inOne(int) string { return "q/0" }

// work runs workers until stop is called.
func (s *scene) work(ctx context.Context, workers, concurrency int, queue string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[args]) error {
		s.run(job.Queue)
		return nil
	})
	errs := make([]error, workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			errs[i] = worker.New(s.queue, mux, worker.Config{
				Queues: []string{queue}, Concurrency: concurrency, Logger: slog.New(slog.DiscardHandler),
			}).Run(ctx)
		})
	}
	return func() error {
		cancel()
		group.Wait()
		return errors.Join(errs...)
	}
}

// run is the handler.
func (s *scene) run(queue string) {
	of, _ := s.running.LoadOrStore(queue, new(atomic.Int64))
	n := of.(*atomic.Int64).Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() { //nolint:revive // the condition does it
	}
	if s.watch(queue) {
		s.mu.Lock()
		s.starts[queue] = append(s.starts[queue], time.Now())
		s.mu.Unlock()
	}
	if s.sleep > 0 {
		<-time.After(s.sleep)
	}
	of.(*atomic.Int64).Add(-1)
	s.ran.Add(1)
}

// spent is what a drain cost.
type spent struct {
	server, client float64 // µs a job
	rate           float64 // jobs a second
	transactions   float64 // for a thousand jobs; 0: not known
}

func (a spent) times(b spent) string {
	if b.server == 0 {
		return fmt.Sprintf("client %.1f µs a job, × %.2f of plain; jobs/s × %.2f", a.client, a.client/b.client, a.rate/b.rate)
	}
	text := fmt.Sprintf("server %.1f µs a job, × %.2f of plain; client × %.2f; jobs/s × %.2f",
		a.server, a.server/b.server, a.client/b.client, a.rate/b.rate)
	if a.transactions > 0 {
		text += fmt.Sprintf("; %.1f transactions for 1,000 jobs, plain %.1f", a.transactions, b.transactions)
	}
	return text
}

// drain runs all jobs that are there.
func (s *scene) drain(ctx context.Context, jobs, workers, concurrency int, queue string) (spent, error) {
	if err := s.settle(ctx); err != nil {
		return spent{}, err
	}
	transactions := s.transactions(ctx)
	before, cpu := s.meter.read(ctx), cpuTime()
	s.began = time.Now()
	stop := s.work(ctx, workers, concurrency, queue)
	err := s.await(ctx, 5*time.Minute, func() bool { return s.ran.Load() >= int64(jobs) })
	took := time.Since(s.began).Seconds()
	err = errors.Join(err, stop())
	after, n := s.meter.read(ctx), float64(jobs)
	return spent{
		(after.cpu - before.cpu) / n * 1e6, (cpuTime() - cpu) / n * 1e6, n / took, (s.transactions(ctx) - transactions) / n * 1000,
	}, err
}

// transactions is how many the database has committed, as its server has counted a moment ago.
func (s *scene) transactions(ctx context.Context) (n float64) {
	if s.host.engine == postgres {
		wait(ctx, time.Second)
		_ = s.db.QueryRowContext(ctx, `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
	}
	return n
}

func (s *scene) await(ctx context.Context, most time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !holds() {
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%d jobs had run after %v", s.ran.Load(), most)
		}
	}
	return nil
}

// fill is a scene with jobs.
func (g *grouping) fill(ctx context.Context, jobs int, queue func(i int) string) (*scene, error) {
	s, err := g.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.push(ctx, jobs, queue); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
