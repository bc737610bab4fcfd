// Package bench measures what a database does with jobs.
package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

const (
	batch       = 1000
	singles     = 2 * time.Second // for jobs one at a time
	pushRate    = 100             // pushes a second for the latency
	latencies   = 300             // pushes for it, unless they take longer than
	longestWait = 5 * time.Second
)

// Result is what bench prints as JSON.
type Result struct {
	Engine   string            `json:"engine"`
	Jobs     int               `json:"jobs"`
	Single   float64           `json:"enqueue_single_per_second"`
	Batch    float64           `json:"enqueue_batch_per_second"`
	Drain    float64           `json:"drain_per_second"`
	P50      float64           `json:"latency_p50_ms"`
	P95      float64           `json:"latency_p95_ms"`
	Settings map[string]string `json:"settings"`
}

// measurement is one run of bench.
type measurement struct {
	producer, consumer *sqlqueue.Queue // two, so that the worker does not hear of pushes within the process
	queue              string
	jobs               int
	result             Result

	pushed int
	done   atomic.Int64           // of the step
	step   atomic.Pointer[string] // for people
}

// Run measures on a database.
func Run(cmd *cobra.Command, of open.Settings, jobs int) (r Result, settings []Setting, err error) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once

	var opened [2]*open.Database
	for i := range opened {
		d, err := open.Open(of, false)
		if err != nil {
			return r, nil, err
		}
		defer d.Close()
		opened[i] = d
	}
	d := opened[0]
	if err := d.Connect(ctx); err != nil {
		return r, nil, err
	}
	if err := d.Queue.Check(ctx); err != nil {
		return r, nil, err
	}
	settings, err = serverSettings(ctx, d)
	if err != nil {
		return r, nil, err
	}
	b := &measurement{producer: d.Queue, consumer: opened[1].Queue, queue: "bench-" + strings.ToLower(rand.Text()), jobs: jobs}
	b.result = Result{Engine: engineOf(d.Dialect, settings), Jobs: jobs, Settings: map[string]string{}}
	for _, s := range settings {
		b.result.Settings[s.name] = s.value
	}
	defer b.showProgress(cmd.ErrOrStderr())()
	err = b.run(ctx)
	if ctx.Err() != nil && cmd.Context().Err() == nil {
		err = errors.New("interrupted")
	}
	if left := b.cleanUp(context.WithoutCancel(ctx)); left != nil {
		err = errors.Join(err,
			fmt.Errorf("its jobs are left: run %s clear --include-reserved --queue %s: %w", cmd.Parent().CommandPath(), b.queue, left))
	}
	return b.result, settings, err
}

func (b *measurement) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{b.enqueueSingle, b.enqueueBatches, b.drain, b.latency} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *measurement) cleanUp(ctx context.Context) error {
	b.begin("deleting what is left")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := operator.New(b.producer).Clear(ctx, b.queue, true)
	return err
}

// padded is a job of 100 bytes of data.
type padded struct {
	At  int64  `json:"at"` // when it was pushed, in microseconds since 1970
	Pad string `json:"pad"`
}

var pad = strings.Repeat("x", 68)

func (padded) JobName() string { return "bench" }

func newJob() padded { return padded{time.Now().UnixMicro(), pad} }

// push pushes jobs as one batch. A push that has begun is not interrupted: nothing may come after the clean-up.
func (b *measurement) push(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	jobs := make([]sqlqueue.Pushable, n)
	for i := range jobs {
		jobs[i] = newJob()
	}
	var err error
	if n == 1 {
		_, err = b.producer.Push(ctx, jobs[0], sqlqueue.OnQueue(b.queue))
	} else {
		_, err = b.producer.PushMany(ctx, jobs, sqlqueue.OnQueue(b.queue))
	}
	b.pushed += n
	b.done.Add(int64(n))
	return err
}

func (b *measurement) enqueueSingle(ctx context.Context) error {
	b.begin("enqueueing one at a time")
	if err := b.push(ctx, 1); err != nil { // opens the connection
		return err
	}
	began, n := time.Now(), 0
	for ; n < b.jobs && time.Since(began) < singles; n++ {
		if err := b.push(ctx, 1); err != nil {
			return err
		}
	}
	b.result.Single = perSecond(n, time.Since(began))
	return nil
}

func (b *measurement) enqueueBatches(ctx context.Context) error {
	b.begin(fmt.Sprintf("enqueueing %d in batches", b.jobs))
	began := time.Now()
	for left := b.jobs; left > 0; left -= batch {
		if err := b.push(ctx, min(left, batch)); err != nil {
			return err
		}
	}
	b.result.Batch = perSecond(b.jobs, time.Since(began))
	return nil
}

func perSecond(n int, took time.Duration) float64 { return rounded(float64(n)/took.Seconds(), 10) }

// drain runs all jobs, from the worker's start until it has settled the last.
func (b *measurement) drain(ctx context.Context) error {
	b.begin(fmt.Sprintf("draining %d", b.pushed))
	began := time.Now()
	if err := b.work(ctx, worker.Config{StopWhenEmpty: true}, func(padded) { b.done.Add(1) }); err != nil {
		return err
	}
	took := time.Since(began)
	if n := int(b.done.Load()); ctx.Err() == nil && n < b.pushed {
		return fmt.Errorf("only %d of %d jobs ran: %w", n, b.pushed, errStopped)
	}
	b.result.Drain = perSecond(b.pushed, took)
	return ctx.Err()
}

var errStopped = errors.New("the queues are paused, or the workers were told to restart, meanwhile")

// latency pushes at a fixed rate to a worker that has nothing else to do.
func (b *measurement) latency(ctx context.Context) error {
	b.begin("measuring latency")
	n := min(b.jobs, latencies)
	waited := make(chan time.Duration, 2*n) // a job may run twice
	idle, ended := make(chan struct{}), make(chan struct{})
	working, stop := context.WithCancel(ctx)
	var failed error
	go func() {
		defer close(ended)
		failed = b.work(working, worker.Config{Events: worker.Events{Idle: sync.OnceFunc(func() { close(idle) })}}, func(job padded) {
			waited <- time.Since(time.UnixMicro(job.At))
		})
	}()
	defer func() { stop(); <-ended }()

	select {
	case <-idle:
	case <-ended:
	}
	tick := time.NewTicker(time.Second / pushRate)
	defer tick.Stop()
	began := time.Now()
	next := tick.C
	var waits []time.Duration
	for pushed := 0; next != nil || len(waits) < pushed; {
		select {
		case <-next:
			if err := b.push(ctx, 1); err != nil {
				return err
			}
			if pushed++; pushed == n || time.Since(began) > longestWait {
				next = nil
			}
		case wait := <-waited:
			waits = append(waits, wait)
		case <-ended:
			return cmp.Or(failed, ctx.Err(), errStopped)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	slices.Sort(waits)
	b.result.P50, b.result.P95 = milliseconds(waits[len(waits)*50/100]), milliseconds(waits[len(waits)*95/100])
	return nil
}

func milliseconds(d time.Duration) float64 {
	return rounded(float64(d)/float64(time.Millisecond), 1000)
}

// rounded cuts off digits that nobody can measure.
func rounded(v, steps float64) float64 { return math.Round(v*steps) / steps }

// work runs the jobs of the queue. It leaves the expired jobs of other queues to other workers.
func (b *measurement) work(ctx context.Context, config worker.Config, handle func(padded)) error {
	config.Queues, config.Expire, config.Force = []string{b.queue}, -1, true
	config.Logger = slog.New(slog.DiscardHandler)
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[padded]) error {
		handle(job.Data)
		return nil
	})
	return worker.New(b.consumer, mux, config).Run(ctx)
}

func (b *measurement) begin(step string) {
	b.done.Store(0)
	b.step.Store(&step)
}

// showProgress tells on a terminal how far it is, until the function is called.
func (b *measurement) showProgress(w io.Writer) (stop func()) {
	b.begin("starting")
	return term.ShowLine(w, func() string {
		text := *b.step.Load()
		if n := b.done.Load(); n > 0 {
			text += fmt.Sprintf(": %d", n)
		}
		return text
	})
}
