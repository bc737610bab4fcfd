package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// groups measures what limits, turns and batches cost, and what they promise. Everything has a database of its own. Workers are in this
// process.
func groups(ctx context.Context, h *host, size size, only func(name string) bool, out io.Writer) error {
	g := &grouping{host: h, size: size}
	_, _ = fmt.Fprintf(out, "## %s\n\n%s jobs.\n\n", h.engine, whole(size.jobs))
	for _, line := range describe(ctx, h.admin, h.engine) {
		_, _ = fmt.Fprintf(out, "- %s\n", line)
	}
	_, _ = fmt.Fprintf(out, "\n| measure | here |\n|---|---|\n")
	var errs []error
	for _, m := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"limits: 1 queue of 1,000 at once", g.limited(1, 1000)},
		{"limits: 100 queues of 10", g.limited(100, 10)},
		{"limits: 10,000 queues of 1", g.limited(10_000, 1)},
		{"batch: of all jobs, 8 workers", g.batch},
		{"turns: one tenant of 1,000 has 90 %", g.unfair},
		{"turns: 100 tenants with as many each", g.even},
		{"turns: one tenant alone", g.alone},
		{"turns: behind blocked jobs", g.blocked},
		{"turns: 10,000 queues without work", g.idle},
		{"limits: snapshot held open, 500 jobs a second", g.held},
	} {
		if !only(m.name) || h.engine == sqlite && strings.Contains(m.name, "snapshot") {
			continue
		}
		text, err := m.do(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			text = oneLine(err.Error())
		}
		log.Printf("%s: %s", m.name, text)
		_, _ = fmt.Fprintf(out, "| %s | %s |\n", m.name, text)
	}
	return errors.Join(errs...)
}

type grouping struct {
	host *host
	size size
}

// plain drains the same jobs of one queue, which is served by its name.
func (g *grouping) plain(ctx context.Context, workers, concurrency int) (spent, error) {
	s, err := g.fill(ctx, g.size.jobs, inOne)
	if err != nil {
		return spent{}, err
	}
	defer s.close()
	return s.drain(ctx, g.size.jobs, workers, concurrency, "q/0")
}

func numbered(queues int) func(int) string {
	return func(i int) string { return fmt.Sprintf("q/%d", i%queues) }
}

func (g *grouping) limited(queues, most int) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		plain, err := g.plain(ctx, 2, 500)
		if err != nil {
			return "", err
		}
		s, err := g.fill(ctx, g.size.jobs, numbered(queues))
		if err != nil {
			return "", err
		}
		defer s.close()
		if err := operator.New(s.queue).SetLimit(ctx, operator.Limit{Queue: "q/*", Running: int64(most)}); err != nil {
			return "", err
		}
		used, err := s.drain(ctx, g.size.jobs, 2, 500, "q/*")
		if over := s.most.Load(); over > int64(most) {
			err = errors.Join(err, fmt.Errorf("%d ran at once", over))
		}
		return fmt.Sprintf("%s; at most %d at once", used.times(plain), s.most.Load()), err
	}
}

func (g *grouping) batch(ctx context.Context) (string, error) {
	plain, err := g.plain(ctx, 8, 100)
	if err != nil {
		return "", err
	}
	s, err := g.open(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	b := s.queue.Batch("q")
	for left := g.size.jobs; left > 0; left -= 1000 {
		var jobs []sqlqueue.Pushable
		for _, job := range newJobs(min(left, 1000)) {
			jobs = append(jobs, job)
		}
		if _, err := b.Push(ctx, jobs...); err != nil {
			return "", err
		}
	}
	id, err := b.Seal(ctx, sqlqueue.OnSuccess(args{}))
	if err != nil {
		return "", err
	}
	used, err := s.drain(ctx, g.size.jobs, 8, 100, fmt.Sprintf("q/b%d", id))
	if err != nil {
		return "", err
	}
	var callbacks int
	err = s.db.QueryRowContext(ctx, "SELECT count(*) FROM jobs WHERE queue = 'default'").Scan(&callbacks)
	return fmt.Sprintf("%s; %d callbacks", used.times(plain), callbacks), err
}

// tenants is how many share a queue's workers.
const tenants = 1000

func (g *grouping) unfair(ctx context.Context) (string, error) {
	waits := func(first string, queue func(i int) string) (float64, error) {
		s, err := g.fill(ctx, g.size.jobs, queue)
		if err != nil {
			return 0, err
		}
		defer s.close()
		s.sleep = time.Millisecond
		small := g.size.jobs / 10
		s.watch = func(string) bool { return true }
		if _, err := s.drain(ctx, g.size.jobs, 1, 40, first); err != nil {
			return 0, err
		}
		var waited []float64
		if first == "q/0" { // in order: the small ones are the last
			waited = sinceAll(s.starts["q/0"][g.size.jobs-small:], s.began)
		}
		for queue, starts := range s.starts {
			if queue != "q/0" {
				waited = append(waited, sinceAll(starts, s.began)...)
			}
		}
		slices.Sort(waited)
		return waited[len(waited)*99/100], nil
	}
	fifo, err := waits("q/0", inOne)
	if err != nil {
		return "", err
	}
	turns, err := waits("q/*", func(i int) string {
		if i < g.size.jobs*9/10 {
			return "q/0"
		}
		return fmt.Sprintf("q/%d", 1+i%(tenants-1))
	})
	return fmt.Sprintf("p99 of the small ones %.2f s, %.2f s in one queue: × %.3f", turns, fifo, turns/fifo), err
}

func sinceAll(at []time.Time, began time.Time) (seconds []float64) {
	for _, t := range at {
		seconds = append(seconds, t.Sub(began).Seconds())
	}
	return seconds
}

// even looks at how many jobs each tenant has had when half of them were started.
func (g *grouping) even(ctx context.Context) (string, error) {
	const n = 100
	s, err := g.fill(ctx, g.size.jobs, numbered(n))
	if err != nil {
		return "", err
	}
	defer s.close()
	s.watch = func(string) bool { return true }
	if _, err := s.drain(ctx, g.size.jobs, 2, 100, "q/*"); err != nil {
		return "", err
	}
	var all []time.Time
	for _, starts := range s.starts {
		all = append(all, starts...)
	}
	slices.SortFunc(all, time.Time.Compare)
	half := all[len(all)/2]
	var sum, squares float64
	for _, starts := range s.starts {
		i, _ := slices.BinarySearchFunc(starts, half, time.Time.Compare)
		sum, squares = sum+float64(i), squares+float64(i*i)
	}
	return fmt.Sprintf("Jain's index %.3f when half of the jobs had started", sum*sum/(n*squares)), nil
}

func (g *grouping) alone(ctx context.Context) (string, error) {
	plain, err := g.plain(ctx, 2, 500)
	if err != nil {
		return "", err
	}
	s, err := g.fill(ctx, g.size.jobs, inOne)
	if err != nil {
		return "", err
	}
	defer s.close()
	used, err := s.drain(ctx, g.size.jobs, 2, 500, "q/*")
	return used.times(plain), err
}

// blocked has many jobs that may not start before a thousand others.
func (g *grouping) blocked(ctx context.Context) (string, error) {
	const small = 1000
	s, err := g.fill(ctx, g.size.beside, inOne)
	if err != nil {
		return "", err
	}
	defer s.close()
	if err := operator.New(s.queue).SetLimit(ctx, operator.Limit{Queue: "q/0", Running: 1}); err != nil {
		return "", err
	}
	if err := s.push(ctx, small, func(i int) string { return fmt.Sprintf("q/%d", 1+i) }); err != nil {
		return "", err
	}
	if err := s.settle(ctx); err != nil {
		return "", err
	}
	s.sleep = 10 * time.Millisecond
	s.watch = func(queue string) bool { return queue != "q/0" }
	began := time.Now()
	stop := s.work(ctx, 1, 40, "q/*")
	started := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.starts)
	}
	err = s.await(ctx, 2*time.Minute, func() bool { return started() >= small })
	err = errors.Join(err, stop())
	var waited []float64
	for _, starts := range s.starts {
		waited = append(waited, sinceAll(starts, began)...)
	}
	slices.Sort(waited)
	if len(waited) == 0 {
		return "", err
	}
	return fmt.Sprintf("%s blocked; 99 %% of %d others had started after %.2f s",
		whole(g.size.beside), small, waited[len(waited)*99/100]), err
}

// idle has queues whose jobs are not due.
func (g *grouping) idle(ctx context.Context) (string, error) {
	const queues = 10_000
	s, err := g.open(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	for from := 0; from < queues; from += 1000 {
		var jobs []sqlqueue.Pushable
		for i, job := range newJobs(1000) {
			jobs = append(jobs, sqlqueue.With(job, sqlqueue.OnQueue(fmt.Sprintf("q/%d", from+i)), sqlqueue.Delay(2*time.Hour)))
		}
		if _, err := s.queue.PushMany(ctx, jobs); err != nil {
			return "", err
		}
	}
	if err := s.settle(ctx); err != nil {
		return "", err
	}
	stop := s.work(ctx, 1, 40, "q/*")
	wait(ctx, 5*time.Second) // it has found them all
	before, cpu, began := s.meter.read(ctx), cpuTime(), time.Now()
	wait(ctx, 20*time.Second)
	passed := time.Since(began).Seconds()
	server, client := (s.meter.read(ctx).cpu-before.cpu)/passed, (cpuTime()-cpu)/passed

	// Another process knows nothing of our workers: an INSERT does not tell them.
	const tries = 5
	var slowest time.Duration
	for i := range tries {
		pushed, ran := time.Now(), s.ran.Load()
		if _, err := s.db.ExecContext(ctx,
			fmt.Sprintf(`INSERT INTO jobs (queue, payload) VALUES ('q/new/%d', '{"job": "job", "data": {}}')`, i)); err != nil {
			return "", errors.Join(err, stop())
		}
		if err := s.await(ctx, time.Minute, func() bool { return s.ran.Load() > ran }); err != nil {
			return "", errors.Join(err, stop())
		}
		slowest = max(slowest, time.Since(pushed))
		wait(ctx, 2*time.Second)
	}
	return fmt.Sprintf("%.1f %% of a core for the worker, %.1f %% for the server; a job in a new queue starts within %v",
		100*client, 100*server, slowest.Round(time.Millisecond)), stop()
}

// held pushes to a limited queue while a snapshot is held open.
func (g *grouping) held(ctx context.Context) (string, error) {
	const rate, most, window = 500, 50, 10 * time.Second
	s, err := g.open(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	if err := operator.New(s.queue).SetLimit(ctx, operator.Limit{Queue: "q/0", Running: most}); err != nil {
		return "", err
	}
	release, err := s.hold(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	pushing, cancel := context.WithCancel(ctx)
	var producer sync.WaitGroup
	var failed error
	producer.Go(func() {
		for began, n := time.Now(), 0; wait(pushing, 20*time.Millisecond); {
			due := int(time.Since(began).Seconds() * rate)
			if failed = s.push(ctx, due-n, inOne); failed != nil {
				return
			}
			n = due
		}
	})
	stop := s.work(ctx, 1, most, "q/*")
	measured := func() (jobs float64, server float64) {
		before, ran := s.meter.read(ctx), s.ran.Load()
		wait(ctx, window)
		n := float64(s.ran.Load() - ran)
		return n / window.Seconds(), (s.meter.read(ctx).cpu - before.cpu) / max(n, 1) * 1e6
	}
	first, cheap := measured()
	wait(ctx, g.size.hold-2*window)
	last, dear := measured()
	cancel()
	producer.Wait()
	err = errors.Join(failed, stop())
	return fmt.Sprintf("after %v: %.0f jobs a second, %.0f in the first 10 s: %.0f %% kept; server %.0f and %.0f µs a job",
		g.size.hold, last, first, 100*last/max(first, 1), dear, cheap), err
}
