package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

const (
	mostReadEvery     = 2 * time.Second        // how often the subscriptions are read, unless --sleep is shorter
	emptyEvery        = 100 * time.Millisecond // how often is looked whether the last job of a worker that is to end has ended
	unsubscribedDelay = 10 * time.Second       // how long a job waits whose subscription has gone
)

// delivery posts jobs to the subscriptions of their queues. It runs one worker after the other: when other queues have subscriptions, the
// next one.
type delivery struct {
	atOnce context.Context //nolint:containedctx // ends every post
	db     *open.Database
	client *deliver.Client
	config worker.Config
	fixed  bool // the config's queues are served; otherwise those that have subscriptions

	routes  atomic.Pointer[map[string]route] // by queue
	broken  string                           // why the subscriptions could not be read the last time
	refused error                            // by the database, for good
	started atomic.Int64                     // jobs
	running atomic.Int64                     // of them

	mu     sync.Mutex
	paused bool
	worker *worker.Worker // that runs, or nil
}

// route is where the jobs of a queue go.
type route struct {
	target *deliver.Target
	origin string // what tells the subscription from others, in other databases too
	err    error  // what is wrong with the subscription
}

func newDelivery(atOnce context.Context, d *open.Database, client *deliver.Client, config worker.Config, fixed bool) *delivery {
	return &delivery{atOnce: atOnce, db: d, client: client, config: config, fixed: fixed}
}

// readEvery is how often the subscriptions are read: no less often than the worker looks for jobs.
func (d *delivery) readEvery() time.Duration {
	const least = 50 * time.Millisecond
	if d.config.Sleep <= 0 {
		return mostReadEvery
	}
	return min(max(d.config.Sleep, least), mostReadEvery)
}

// Pause is Worker.Pause, also for the workers that come.
func (d *delivery) Pause() { d.pause(true) }

// Resume is Worker.Resume.
func (d *delivery) Resume() { d.pause(false) }

func (d *delivery) pause(paused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paused = paused
	switch {
	case d.worker == nil:
	case paused:
		d.worker.Pause()
	default:
		d.worker.Resume()
	}
}

// set notes the worker that runs.
func (d *delivery) set(w *worker.Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.worker = w
	if w != nil && d.paused {
		w.Pause()
	}
}

// Run is Worker.Run.
func (d *delivery) Run(ctx context.Context) error {
	began := time.Now()
	if err := d.beginWithin(ctx, d.config.MaxTime); err != nil || ctx.Err() != nil || d.routes.Load() == nil {
		return err
	}
	for {
		queues := d.queues()
		config := d.config
		config.Queues = queues
		if config.MaxJobs > 0 {
			config.MaxJobs -= int(d.started.Load())
		}
		if config.MaxTime > 0 {
			config.MaxTime -= time.Since(began)
		}
		switch {
		case d.config.MaxJobs > 0 && config.MaxJobs <= 0, d.config.MaxTime > 0 && config.MaxTime <= 0:
			return nil
		case len(queues) > 0:
			if changed, err := d.work(ctx, config); !changed || err != nil {
				return err
			}
		case config.Once, config.StopWhenEmpty:
			return nil
		default:
			d.wait(ctx, d.readEvery())
			d.read(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// beginWithin is begin that ends after so long; 0: it does not. Then nothing was read.
func (d *delivery) beginWithin(ctx context.Context, longest time.Duration) error {
	if longest > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, longest)
		defer cancel()
	}
	return d.begin(ctx)
}

// begin reads the subscriptions for the first time. A server that is away is waited for.
func (d *delivery) begin(ctx context.Context) error {
	for ; ctx.Err() == nil; d.wait(ctx, d.readEvery()) {
		if err := d.db.CheckTables(ctx); err != nil {
			return err
		}
		read := d.read(ctx)
		if d.refused != nil {
			return d.refused
		}
		if read {
			if len(d.queues()) == 0 || d.fixed && !slices.ContainsFunc(d.config.Queues, d.subscribed) {
				return exit.Usagef(
					"this program has no handlers of its own, and %s: give --exec COMMAND, such as --exec 'cat >&2', or --handlers FILE, "+
						"or use subscribe", d.missing(),
				)
			}
			return nil
		}
	}
	return nil
}

func (d *delivery) missing() string {
	if d.fixed && len(*d.routes.Load()) > 0 {
		return "no queue of --queue has a subscription"
	}
	return "no queue has a subscription"
}

// wait waits for a while, or until the context ends.
func (d *delivery) wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// subscribed says whether a queue has a subscription.
func (d *delivery) subscribed(queue string) bool {
	_, ok := (*d.routes.Load())[queue]
	return ok
}

// queues returns the queues to be served, by name unless they are fixed.
func (d *delivery) queues() []string {
	if d.fixed {
		return d.config.Queues
	}
	var queues []string
	for queue := range *d.routes.Load() {
		queues = append(queues, queue)
	}
	slices.Sort(queues)
	return queues
}

// read reads the subscriptions. When that fails, those that were read before hold.
func (d *delivery) read(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, open.ConnectTimeout)
	defer cancel()
	all, err := operator.New(d.db.Queue).Subscriptions(ctx)
	if err != nil {
		if refused, ok := errors.AsType[*sqlqueue.RefusedError](err); ok {
			d.refused = refused
		}
		if says := d.db.Redact(open.ConnectError(err)).Error(); says != d.broken && !errors.Is(err, context.Canceled) {
			d.broken = says
			d.config.Logger.Error("cannot read the subscriptions", "error", says)
		}
		return false
	}
	if d.broken != "" {
		d.broken = ""
		d.config.Logger.Info("the subscriptions are read again")
	}
	routes := map[string]route{}
	for _, s := range all {
		target, err := targetOf(s)
		if err != nil {
			err = fmt.Errorf("subscription %q: %w", s.Name, err)
		}
		routes[s.Queue] = route{target, fmt.Sprintf("%s/%s/%d", d.db.Identity(), s.Name, s.CreatedAt.UnixMicro()), err}
	}
	d.routes.Store(&routes)
	return true
}

func targetOf(s operator.Subscription) (*deliver.Target, error) {
	var secret *deliver.Secret
	if s.Secret != "" {
		var err error
		if secret, err = deliver.ParseSecret(s.Secret); err != nil {
			return nil, err
		}
	}
	return deliver.NewTarget(s.URL, secret, nil)
}

// work runs a worker until it ends, or until other queues have subscriptions: then it ends with its last job.
func (d *delivery) work(ctx context.Context, config worker.Config) (changed bool, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	mux := worker.NewMux()
	mux.HandleAll(d.handle)
	w := worker.New(d.db.Queue, mux, config)
	d.set(w)
	defer d.set(nil)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	tick := time.NewTicker(d.readEvery())
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return changed && ctx.Err() != nil, err // it may have ended for a reason of its own
		case <-tick.C:
		}
		switch {
		case changed:
			if d.running.Load() == 0 {
				end()
			}
		case d.read(ctx) && !slices.Equal(d.queues(), config.Queues):
			changed = true
			d.config.Logger.Info("other queues have subscriptions now: finishing with the old ones", "queues", d.queues())
			d.set(nil) // it stays paused
			w.Pause()
			tick.Reset(emptyEvery)
		}
	}
}

func (d *delivery) handle(ctx context.Context, job *worker.Job[json.RawMessage]) error {
	d.started.Add(1)
	d.running.Add(1)
	defer d.running.Add(-1)
	to, ok := (*d.routes.Load())[job.Queue]
	switch {
	case !ok:
		return worker.Snooze(unsubscribedDelay)
	case to.err != nil:
		return to.err
	}
	ctx, end := endsWith(ctx, d.atOnce)
	defer end()
	return d.client.Post(ctx, to.target, job, deliver.ID(job.JobInfo, to.origin), releaseDelay(job.JobInfo, d.config.Backoff))
}
