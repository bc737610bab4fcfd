// Package run is what work and listen do: it runs the jobs, with the application's handlers, commands, URLs or subscriptions, in this
// process, in children, or in several worker processes.
package run

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

const megabyte = 1 << 20

// Program is whose jobs are run.
type Program struct {
	Mux    *worker.Mux // its own handlers, or nil
	Codec  sqlqueue.Codec
	Worker worker.Config // what flags do not say
	Queue  string        // the default one
	Open   func() (*open.Database, error)
}

// New returns a run of work or listen, before its flags are made.
func New(p Program) *Work { return &Work{Program: p} }

// Work is one run of work or listen.
type Work struct {
	Program
	children  childFlags
	config    worker.Config // of the Options; flags that were given are put in by settings
	logFormat string
	metrics   string // address; empty: none
	processes int    // 0: none

	queuesGiven bool   // by --queue
	identity    string // of the database

	tries   int
	backoff []time.Duration
	delay   time.Duration
	expire  time.Duration
	timeout time.Duration
	sleep   time.Duration
	grace   time.Duration
	memory  int
}

// Flags adds work's flags. Their defaults are those of the Options, or else worker.Config's.
func (w *Work) Flags(cmd *cobra.Command) {
	w.config = w.Worker
	if len(w.config.Queues) == 0 {
		w.config.Queues = []string{w.Queue}
	}
	w.config.Concurrency = cmp.Or(w.config.Concurrency, 10)
	w.tries = max(cmp.Or(w.config.Tries, 25), 0)
	w.timeout = max(cmp.Or(w.config.Timeout, time.Minute), 0)
	w.expire = cmp.Or(w.config.Expire, time.Minute)
	w.sleep = cmp.Or(w.config.Sleep, 3*time.Second)
	w.grace = cmp.Or(w.config.Grace, 30*time.Second)
	w.memory = int(cmp.Or(w.config.MaxMemory, 128*megabyte) / megabyte)

	w.children.flags(cmd)
	flags := cmd.Flags()
	settings.QueueFlag(cmd, &w.config.Queues, "queues in strict order, with commas between them (environment: SQLQUEUE_QUEUE)")
	flags.BoolVar(&w.config.Fair, "fair", w.config.Fair, "serve the queues in turn instead of in strict order")
	flags.BoolVar(&w.config.Once, "once", w.config.Once,
		"run one job and exit 0, whatever its outcome; if there is no job, sleep once and exit")
	flags.Bool("daemon", false, "accepted, and the default: run until a signal")
	flags.BoolVar(&w.config.StopWhenEmpty, "stop-when-empty", w.config.StopWhenEmpty,
		"exit 0 when nothing is due and nothing is running here")
	flags.Var(settings.Counter(&w.config.Concurrency, 1), "concurrency", "how many jobs run at once")
	flags.Var(settings.Counter(&w.tries, 0), "tries", "how often a job runs at most, 0 for no limit")
	flags.Var(settings.DurationList(&w.backoff), "backoff",
		"waits after the 1st, 2nd, … error, such as 1,5,10; the last repeats (default: from 1s, doubling up to 1h)")
	flags.Var(settings.Duration(&w.delay, settings.NotNegative), "delay", "the same wait after every error; instead of --backoff")
	flags.Var(settings.Duration(&w.timeout, settings.NotNegative), "timeout", "how long a job may run, 0 for no limit")
	flags.Var(settings.Expiry(&w.expire), "expire",
		"a dead worker's job runs again after this time; off: never (environment: SQLQUEUE_EXPIRE)")
	flags.Var(settings.Duration(&w.sleep, settings.NotNegative), "sleep", "how long to wait, when no job is due, before looking again")
	flags.Var(settings.Duration(&w.config.Rest, settings.NotNegative), "rest", "how long to rest after each job")
	flags.Var(settings.Duration(&w.grace, settings.NotNegative), "grace", "how long running jobs may continue after a signal")
	flags.Var(settings.Counter(&w.memory, 0), "memory",
		"megabytes that this process may use: with more, finish and exit 12; 0 for no limit")
	flags.Var(settings.Counter(&w.config.MaxStuck, 0), "max-stuck",
		"exit 1 when more handlers than this do not return after their timeout (default half of concurrency)")
	flags.Var(settings.Counter(&w.config.MaxJobs, 0), "max-jobs", "exit after this many jobs, 0 for no limit")
	flags.Var(settings.Duration(&w.config.MaxTime, settings.NotNegative), "max-time", "exit after this time, 0 for no limit")
	flags.BoolVar(&w.config.Force, "force", w.config.Force, "take jobs in maintenance mode too")
	flags.StringVar(&w.config.Name, "name", w.config.Name, "name shown to operators (default: host and process)")
	flags.StringVar(&w.metrics, "metrics", "",
		"serve /metrics, /livez and /readyz at this port of this machine, or at a host and port, such as 0.0.0.0:9464")
	flags.StringVar(&w.logFormat, "log-format", "text", "text or json, to standard error")
	for _, name := range []string{"delay", "rest", "max-stuck"} {
		flags.Lookup(name).DefValue = ""
	}
}

// ProcessFlags adds the flags of work that listen has not, or that say something else there.
func (w *Work) ProcessFlags(cmd *cobra.Command) {
	cmd.Flags().Var(settings.Counter(&w.processes, 1), "processes",
		"how many worker processes to run under this one, and to start again when they end (default: none, jobs run in this one)")
	cmd.Flags().Var(settings.Counter(&w.children.jobs, 1), "child-jobs",
		"with --reuse: how many jobs a child process serves before it is replaced (default: no limit)")
	for _, name := range []string{"processes", "child-jobs"} {
		cmd.Flags().Lookup(name).DefValue = ""
	}
}

// ListenFlags adds the flags of listen that work has not.
func (w *Work) ListenFlags(cmd *cobra.Command) {
	w.children.listens = true
	flags := cmd.Flags()
	flags.Var(settings.Counter(&w.children.jobs, 1), "child-jobs",
		"how many jobs a child process serves, one after the other, before it is replaced; commands serve one, or with --reuse any number")
	flags.BoolVar(&w.children.exitOnTimeout, "exit-on-timeout", false, "when a job has timed out and is settled, finish and exit 1")
	w.children.jobs, w.config.Concurrency = 1, 1
	for _, name := range []string{"child-jobs", "concurrency"} {
		flags.Lookup(name).DefValue = "1"
	}
}

// workerConfig returns what the worker is to do.
func (w *Work) workerConfig(cmd *cobra.Command, logger *slog.Logger) (worker.Config, error) {
	const none = -1 // where 0 is the default
	config := w.config
	changed := cmd.Flags().Changed
	w.queuesGiven = changed("queue")
	config.Tries, config.Timeout, config.Expire, config.Logger = w.tries, w.timeout, w.expire, logger
	if config.Tries == 0 {
		config.Tries = none
	}
	if config.Timeout == 0 {
		config.Timeout = none
	}
	config.Schedules = append(slices.Clone(config.Schedules), w.children.schedules...)
	config.Sleep = max(w.sleep, time.Millisecond)
	config.Grace = w.grace
	if config.Grace == 0 {
		config.Grace = 1
	}
	if changed("max-stuck") && config.MaxStuck == 0 {
		config.MaxStuck = none
	}
	config.MaxMemory = int64(w.memory) * megabyte
	switch {
	case w.children.listens, !w.own():
		config.StuckAfter = w.children.killAfter + 3*time.Second // the kill comes before
	case changed("kill-after"):
		config.StuckAfter = max(w.children.killAfter, time.Millisecond)
	}
	switch {
	case changed("delay") && changed("backoff"):
		return config, exit.Usagef("give --delay or --backoff, not both")
	case changed("delay"):
		config.Backoff = worker.FixedBackoff(w.delay)
	case changed("backoff"):
		config.Backoff = worker.ListBackoff(w.backoff...)
	case config.Backoff == nil:
		config.Backoff = worker.ExponentialBackoff(time.Second, time.Hour)
	}
	return config, nil
}

// Run runs jobs as the flags say, until a signal or the end of the command's context.
func (w *Work) Run(cmd *cobra.Command) error {
	if err := w.checkChildren(cmd); err != nil {
		return err
	}
	if w.processes > 0 && !canRunProcesses {
		return exit.Usagef("--processes needs Unix")
	}
	if err := w.checkMetrics(); err != nil {
		return err
	}
	loggerTo, escape := textLogger, term.PrintableTabs
	switch w.logFormat {
	case "text":
	case "json":
		loggerTo, escape = jsonLogger, term.PrintableJSON
	default:
		return exit.Usagef("unknown log format %q: use text or json", w.logFormat)
	}
	if !term.IsTerminal(cmd.ErrOrStderr()) {
		escape = nil
	}
	outlivePipes()
	out := newLogWriter(cmd.ErrOrStderr(), escape, loggerTo)
	defer out.close()
	logger := loggerTo(out)
	config, err := w.workerConfig(cmd, logger)
	if err != nil {
		return err
	}
	d, err := w.Open()
	if err != nil {
		return err
	}
	defer Within(toClose, d.Close)
	began := time.Now()
	switch err := d.ConnectWithin(cmd.Context(), config.MaxTime); {
	case open.IsRefused(err):
		return err // others are waited for by the worker
	case err == nil:
		if err := d.CheckTables(cmd.Context()); err != nil {
			return err // here, so that it is said once: the worker would log it, too
		}
	}
	if config.MaxTime > 0 {
		config.MaxTime = max(config.MaxTime-time.Since(began), 1)
	}
	if w.processes > 0 {
		return w.runProcesses(cmd.Context(), d, config)
	}

	moment := 2 * time.Second // to kill what runs
	if w.own() && !w.children.listens {
		moment = 0 // nothing ends a handler
	}
	return untilSignal(cmd.Context(), logger, toEndAfter(config), moment, func(ctx, atOnce context.Context) error {
		ctx, timedOut := w.children.untilTimeout(ctx, &config)
		stop, err := w.serveMetrics(ctx, d, &config)
		if err != nil {
			return err
		}
		defer stop()
		runner, end, err := w.runner(atOnce, d, &config, out)
		if err != nil {
			return err
		}
		defer end()
		defer pauseOnSignals(runner)()
		if err := runner.Run(ctx); err != nil {
			return err
		}
		return timedOut()
	})
}

const (
	defaultStuckAfter = 5 * time.Second // worker.Config's

	toEnd   = 5 * time.Second // that a worker may take at its end besides its grace, and what its handlers may take after it
	toClose = 2 * time.Second // of it, how long it waits for connections that a handler has not given back
)

// toEndAfter is how long a worker may take after a signal; negative: there is no limit.
func toEndAfter(config worker.Config) time.Duration {
	if config.Grace < 0 {
		return -1
	}
	return config.Grace + cmp.Or(config.StuckAfter, defaultStuckAfter) + toEnd
}

// runProcesses runs workers in processes of their own. What is wrong with the tables is an error here, and not of each of them.
func (w *Work) runProcesses(ctx context.Context, d *open.Database, config worker.Config) error {
	if err := d.CheckTables(ctx); err != nil {
		return err
	}
	d.Close()
	f, err := newFleet(w.processes, config)
	if err != nil {
		return err
	}
	return f.run(ctx)
}

// runner is a worker, or what stands for several.
type runner interface {
	Run(ctx context.Context) error
	Pause()
	Resume()
}

// runner returns what runs the jobs, and a function for its end.
func (w *Work) runner(atOnce context.Context, d *open.Database, config *worker.Config, out io.Writer) (runner, func(), error) {
	if w.children.delivers {
		client := deliver.New(w.children.publicly)
		return newDelivery(atOnce, d, client, *config, w.queuesGiven), client.Close, nil
	}
	w.identity = d.Identity()
	mux, endChildren, err := w.handlers(atOnce, config, out)
	if err != nil {
		return nil, nil, err
	}
	return worker.New(d.Queue, mux, *config), endChildren, nil
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
func jsonLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
