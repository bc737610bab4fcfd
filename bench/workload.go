package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// workload is what a system is measured at.
type workload struct {
	name     string
	title    string
	kind     string // for system.without and system.only
	defaults bool   // for systems as they come
	few      bool   // for systems that name its kind, in only or also
	full     bool   // not in a run of minutes
	once     bool   // one round
	run      func(ctx context.Context, st *stage) (result, error)
}

// result is one measurement. Numbers that were not taken are 0.
type result struct {
	Rate      float64 `json:"jobs_per_second,omitempty"`
	ServerCPU float64 `json:"server_cpu_us_per_job,omitempty"`
	ClientCPU float64 `json:"client_cpu_us_per_job,omitempty"`
	WAL       float64 `json:"wal_bytes_per_job,omitempty"`
	P50       float64 `json:"p50_ms,omitempty"`
	P95       float64 `json:"p95_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	Max       float64 `json:"max_ms,omitempty"`
	Kept      float64 `json:"kept_percent,omitempty"` // rate of the last 10 s, of that of the first
}

// size is how much a run does.
type size struct {
	jobs    int
	seconds float64 // of the timed workloads
	hold    time.Duration
	beside  int // rows of other jobs in the tables
}

// suits tells whether a system does the workload.
func (w workload) suits(s system) bool {
	if w.few {
		return s.only == w.kind || s.also == w.kind
	}
	return s.defaults == w.defaults && (s.only == "" || s.only == w.kind) && !slices.Contains(s.without, w.kind)
}

func workloads(engine string, s size) []workload {
	all := []workload{
		{name: "drain", title: fmt.Sprintf("Drain %s jobs, no-op handlers, one process", whole(s.jobs)), run: drain{jobs: s.jobs}.run},
		{
			name: "drain-defaults", title: fmt.Sprintf("The same with %s, everything at its defaults", whole(s.jobs/10)),
			defaults: true, run: drain{jobs: s.jobs / 10}.run,
		},
		{
			name: "enqueue-batch", kind: "enqueue", title: "Enqueue, batches of 1,000, one client",
			run: enqueue{clients: 1, batch: 1000, seconds: s.seconds / 4}.run,
		},
		{
			name: "enqueue-1", kind: "enqueue", title: "Enqueue one at a time, one client",
			run: enqueue{clients: 1, batch: 1, seconds: s.seconds / 4}.run,
		},
		{
			name: "enqueue-8", kind: "enqueue", title: "Enqueue one at a time, 8 clients",
			run: enqueue{clients: 8, batch: 1, seconds: s.seconds / 4}.run,
		},
		{
			name: "enqueue-64", kind: "enqueue", title: "Enqueue one at a time, 64 clients in one process",
			full: true, run: enqueue{clients: 64, batch: 1, seconds: s.seconds / 4}.run,
		},
		{
			name: "mixed-batch", title: fmt.Sprintf("Push and run at once for %g s, batches of 1,000", s.seconds),
			run: mixed{batch: 1000, clients: 1, seconds: s.seconds}.run,
		},
		{
			name: "mixed-8", kind: "producers",
			title: fmt.Sprintf("Push and run at once for %g s, 8 clients that push one at a time", s.seconds),
			run:   mixed{batch: 1, clients: 8, seconds: s.seconds}.run,
		},
		{
			name: "sleep", kind: "sleep", title: fmt.Sprintf("Drain %s jobs, handlers that sleep 10 ms, 1,000 at once", whole(s.jobs)),
			run: drain{jobs: s.jobs, sleep: 10, concurrency: 1000}.run,
		},
		{
			name: "processes-8", title: fmt.Sprintf("Drain %s jobs, 8 processes", whole(s.jobs)),
			full: true, run: drain{jobs: s.jobs, processes: 8}.run,
		},
	}
	for _, rate := range []int{10, 100, 1000} {
		all = append(all, workload{
			name: fmt.Sprintf("latency-%d", rate), kind: "latency", full: rate == 10,
			title: fmt.Sprintf("From before the push to the handler, %d pushes a second, tuned", rate),
			run:   latency{rate: rate, seconds: s.seconds / 2}.run,
		}, workload{
			name: fmt.Sprintf("latency-%d-defaults", rate), kind: "latency", full: rate == 10, defaults: true,
			title: fmt.Sprintf("From before the push to the handler, %d pushes a second, defaults", rate),
			run:   latency{rate: rate, seconds: s.seconds / 2}.run,
		})
	}
	for _, rows := range []int{s.beside, 5 * s.beside} {
		all = append(all, workload{
			name: fmt.Sprintf("delayed-%d", rows), kind: "delayed", full: true, once: true,
			title: fmt.Sprintf("Drain %s jobs beside %s delayed ones", whole(s.jobs), whole(rows)),
			run:   drain{jobs: s.jobs, beside: beside{delayed: rows}}.run,
		})
	}
	all = append(all, workload{
		name: fmt.Sprintf("failed-%d", s.beside), kind: "failed", full: true, once: true,
		title: fmt.Sprintf("Drain %s jobs beside %s failed ones", whole(s.jobs), whole(s.beside)),
		run:   drain{jobs: s.jobs, beside: beside{failed: s.beside}}.run,
	})
	if engine == sqlite { // a reader only keeps its log from being reused
		return all
	}
	held := mixed{batch: 1000, clients: 1, seconds: s.hold.Seconds(), hold: true}
	title := fmt.Sprintf("Push and run at once for %v, batches of 1,000, while a snapshot is held open", s.hold)
	return append(all,
		workload{name: "held", once: true, title: title, run: held.run},
		workload{
			name: "held-expire", kind: "expire", few: true, full: true,
			once: true, title: title + ", with reservations of 5 s", run: held.run,
		})
}

// drain runs jobs that are there before.
type drain struct {
	jobs, processes    int
	beside             beside
	concurrency, sleep int
}

// beside is what else lies in the tables.
type beside struct{ delayed, failed int }

func (b beside) fill(ctx context.Context, st *stage, producer *child) error {
	const most = 1_000_000 // in one request: they must be answered within patience
	for left := b.delayed; left > 0; left -= most {
		if _, err := producer.ask(request{Op: "fill", Jobs: min(left, most), Delay: 7200}); err != nil {
			return err
		}
	}
	if b.failed > 0 {
		if _, err := st.db.ExecContext(ctx, fmt.Sprintf(st.system.failed, b.failed)); err != nil {
			return fmt.Errorf("failed jobs: %w", err)
		}
	}
	return nil
}

func (d drain) run(ctx context.Context, st *stage) (r result, err error) {
	producer, err := st.start(ctx)
	if err != nil {
		return r, err
	}
	if err := d.beside.fill(ctx, st, producer); err != nil {
		return r, err
	}
	if _, err := producer.ask(request{Op: "fill", Jobs: d.jobs}); err != nil {
		return r, err
	}
	var workers []*child
	for range max(d.processes, 1) {
		c, err := st.start(ctx, profileVariables(st.system, "drain")...)
		if err != nil {
			return r, err
		}
		workers = append(workers, c)
	}
	if err := st.settle(ctx); err != nil {
		return r, err
	}
	before := st.meter.read(ctx)
	for _, c := range workers {
		if _, err := c.ask(request{Op: "work", Concurrency: d.concurrency, Sleep: d.sleep}); err != nil {
			return r, err
		}
	}
	if err := await(ctx, workers, d.jobs, 10*time.Minute); err != nil {
		return r, err
	}
	all, err := stop(workers)
	if err != nil {
		return r, err
	}
	after := st.meter.read(ctx)
	if left, err := st.left(ctx); err != nil || left > 0 || all.Jobs != d.jobs {
		return r, errors.Join(err, fmt.Errorf("%d jobs were handled of %d, and %d are left", all.Jobs, d.jobs, left))
	}
	n := float64(d.jobs)
	return result{
		Rate:      n / (float64(all.Last-all.First) / 1e6),
		ServerCPU: (after.cpu - before.cpu) / n * 1e6,
		ClientCPU: all.CPU / n * 1e6,
		WAL:       (after.wal - before.wal) / n,
	}, nil
}

// handled counts what processes have handled.
func handled(workers []*child) (n int, err error) {
	for _, c := range workers {
		a, err := c.ask(request{Op: "count"})
		if err != nil {
			return n, err
		}
		n += a.Jobs
	}
	return n, nil
}

// await waits until the workers have handled so many jobs. It gives up when they handle none for 10 s.
func await(ctx context.Context, workers []*child, jobs int, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	last, since := 0, time.Now()
	for {
		n, err := handled(workers)
		if err != nil || n >= jobs {
			return err
		}
		if n > last {
			last, since = n, time.Now()
		}
		if time.Since(since) > 10*time.Second {
			_, err := stop(workers) // one may have ended with an error
			return errors.Join(fmt.Errorf("nothing was handled for 10 s, after %d jobs of %d", n, jobs), err)
		}
		if !wait(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%d jobs of %d: %w", n, jobs, ctx.Err())
		}
	}
}

// stop stops processes and adds up what they tell.
func stop(children []*child) (all reply, err error) {
	for _, c := range children {
		a, err := c.ask(request{Op: "stop"})
		if err != nil {
			return all, err
		}
		all.Jobs, all.CPU, all.Last = all.Jobs+a.Jobs, all.CPU+a.CPU, max(all.Last, a.Last)
		if all.First == 0 || a.First < all.First {
			all.First = a.First
		}
		all.Latencies = append(all.Latencies, a.Latencies...)
	}
	return all, nil
}

// enqueue pushes for some seconds, with no worker.
type enqueue struct {
	clients, batch int
	seconds        float64
}

func (e enqueue) run(ctx context.Context, st *stage) (r result, err error) {
	producer, err := st.start(ctx)
	if err != nil {
		return r, err
	}
	// Connections are opened and statements prepared before.
	if _, err := producer.ask(request{Op: "push", Clients: e.clients, Batch: e.batch, Seconds: 0.2}); err != nil {
		return r, err
	}
	if err := st.settle(ctx); err != nil {
		return r, err
	}
	before := st.meter.read(ctx)
	a, err := producer.ask(request{Op: "push", Clients: e.clients, Batch: e.batch, Seconds: e.seconds})
	if err != nil {
		return r, err
	}
	after := st.meter.read(ctx)
	n := float64(a.Jobs)
	return result{
		Rate: n / a.Seconds, ServerCPU: (after.cpu - before.cpu) / n * 1e6, ClientCPU: a.CPU / n * 1e6, WAL: (after.wal - before.wal) / n,
	}, nil
}

// mixed pushes in one process and runs in another.
type mixed struct {
	clients, batch int
	seconds        float64
	hold           bool // a snapshot is held open meanwhile
}

// ahead bounds the backlog, so that what is measured is the whole, and not the faster half of it.
const ahead = 20_000

func (m mixed) run(ctx context.Context, st *stage) (r result, err error) {
	producer, worker, err := pair(ctx, st, "mixed")
	if err != nil {
		return r, err
	}
	if _, err := worker.ask(request{Op: "work"}); err != nil {
		return r, err
	}
	if _, err := producer.ask(request{Op: "push", Clients: m.clients, Batch: m.batch, Ahead: ahead}); err != nil {
		return r, err
	}
	if _, err := relay(ctx, producer, worker, warmUp(m.seconds)); err != nil {
		return r, err
	}
	if m.hold {
		release, err := st.hold(ctx)
		if err != nil {
			return r, err
		}
		defer release()
	}
	before := st.meter.read(ctx)
	began := time.Now()
	counts, err := relay(ctx, producer, worker, time.Duration(m.seconds*float64(time.Second)))
	if err != nil {
		return r, err
	}
	took := time.Since(began).Seconds()
	after := st.meter.read(ctx)
	pushed, err := stop([]*child{producer})
	if err != nil {
		return r, err
	}
	if err := await(ctx, []*child{worker}, pushed.Jobs, time.Minute); err != nil {
		return r, err
	}
	ran, err := stop([]*child{worker})
	if err != nil {
		return r, err
	}
	if left, err := st.left(ctx); err != nil || left > 0 || ran.Jobs != pushed.Jobs {
		return r, errors.Join(err, fmt.Errorf("%d jobs were handled of %d, and %d are left", ran.Jobs, pushed.Jobs, left))
	}
	n := float64(counts[len(counts)-1] - counts[0])
	r = result{
		Rate: n / took, ServerCPU: (after.cpu - before.cpu) / n * 1e6, WAL: (after.wal - before.wal) / n,
		ClientCPU: (pushed.CPU + ran.CPU) / float64(ran.Jobs) * 1e6,
	}
	if k := len(counts) - 1; m.hold && k >= 20 {
		r.Kept = 100 * float64(counts[k]-counts[k-10]) / float64(counts[10]-counts[0])
	}
	return r, nil
}

// warmUp is how long to go on before a measurement of so many seconds: a second, unless that is much.
func warmUp(seconds float64) time.Duration {
	return min(time.Second, time.Duration(seconds/4*float64(time.Second)))
}

// pair starts a process that pushes and one that works.
func pair(ctx context.Context, st *stage, what string) (producer, worker *child, err error) {
	if producer, err = st.start(ctx); err != nil {
		return nil, nil, err
	}
	if worker, err = st.start(ctx, profileVariables(st.system, what)...); err != nil {
		return nil, nil, err
	}
	return producer, worker, st.settle(ctx)
}

// relay tells the producer for a time how far the worker is, and returns the worker's counts: at the beginning, after each second, and at
// the end.
func relay(ctx context.Context, producer, worker *child, d time.Duration) (counts []int, err error) {
	began := time.Now()
	for {
		a, err := worker.ask(request{Op: "count"})
		if err != nil {
			return nil, err
		}
		passed := time.Since(began)
		if passed >= d {
			return append(counts, a.Jobs), nil
		}
		if int(passed.Seconds()) >= len(counts) {
			counts = append(counts, a.Jobs)
		}
		if _, err := producer.ask(request{Op: "handled", Jobs: a.Jobs}); err != nil {
			return nil, err
		}
		if !wait(ctx, 5*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// hold opens a snapshot, as a long report does.
func (st *stage) hold(ctx context.Context) (release func(), err error) {
	conn, err := st.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	begin, read := "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"
	if st.host.engine == mariadb {
		begin, read = "START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT 1"
	}
	for _, statement := range []string{begin, read} {
		if _, err = conn.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		_ = conn.Close()
	}, nil
}

// latency pushes one at a time at a fixed rate to a worker that is idle.
type latency struct {
	rate    int
	seconds float64
}

func (l latency) run(ctx context.Context, st *stage) (r result, err error) {
	producer, worker, err := pair(ctx, st, "latency")
	if err != nil {
		return r, err
	}
	if _, err := worker.ask(request{Op: "work"}); err != nil {
		return r, err
	}
	push := request{Op: "push", Clients: min(l.rate, 8), Batch: 1, Rate: l.rate, Seconds: warmUp(l.seconds).Seconds()}
	warm, err := producer.ask(push)
	if err != nil {
		return r, err
	}
	if err := await(ctx, []*child{worker}, warm.Jobs, time.Minute); err != nil {
		return r, err
	}
	push.Seconds = l.seconds
	pushed, err := producer.ask(push)
	if err != nil {
		return r, err
	}
	if err := await(ctx, []*child{worker}, warm.Jobs+pushed.Jobs, time.Minute); err != nil {
		return r, err
	}
	ran, err := stop([]*child{worker})
	if err != nil {
		return r, err
	}
	waited := ran.Latencies[min(warm.Jobs, len(ran.Latencies)):]
	if len(waited) == 0 {
		return r, errors.New("no latencies")
	}
	slices.Sort(waited)
	at := func(p float64) float64 { return waited[min(int(p*float64(len(waited))), len(waited)-1)] }
	return result{P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: waited[len(waited)-1], Rate: float64(pushed.Jobs) / pushed.Seconds}, nil
}
