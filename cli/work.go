package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/worker"
)

const workLong = `Run jobs until TERM, INT, QUIT or HUP: then no more are taken, and those that run have --grace to finish. A second signal ends it at
once; HUP is never the second, and does nothing under nohup. USR2 pauses: no more jobs are taken until CONT. A server that is away is waited
for. A log that cannot be written ends no worker: its lines are dropped, and counted.

A handler whose context has ended at --timeout has --kill-after to return. Then its job is settled as timed out all the same; the handler
keeps its place among --concurrency, and when too many do (--max-stuck) the worker finishes and exits 1, for its supervisor.

With --exec each job is a command, a line for sh -c. The job's data stands on its standard input, the job in its environment:
SQLQUEUE_JOB_ID, SQLQUEUE_JOB_NAME, SQLQUEUE_JOB_QUEUE, SQLQUEUE_JOB_ATTEMPTS and, up to 64 KiB, SQLQUEUE_JOB_PAYLOAD. Its exit code says
how it went:
  0   done: the job is deleted
  75  release: the job is put back and waits as after an error
  65  fail for good: the job moves to the failed jobs
  any other, or a signal: an error; the job is put back, and after its last try it moves to the failed jobs
The error's text is the end of the command's standard error. Whatever the command prints goes to standard error, with the job's id
before each line. A command that is to end (--timeout, the end of --grace) gets TERM, and after --kill-after it is killed, with all that it
has started.
` + handlersHelp + `
Without --exec and --handlers, a program that has no handlers of its own posts each job to the subscription of its queue, and serves all
queues that have one, or those of --queue: see subscribe --help. A subscription that comes, changes or goes is heeded within seconds.
` + processesLong

const megabyte = 1 << 20

func workCommand(e *env) *cobra.Command {
	w := &working{env: e}
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Run jobs",
		Long:  workLong,
		Example: `  sqlqueue work --exec './send-invoice'
  sqlqueue work --queue high,default --concurrency 20 --exec 'php artisan handle "$SQLQUEUE_JOB_NAME"'
  sqlqueue work --handlers handlers.yaml --tries 5
  sqlqueue work --processes 4 --exec './send-invoice'
  sqlqueue work --once --exec 'cat >&2'
  sqlqueue work --stop-when-empty --tries 3 --backoff 1,5,10 --exec 'curl -fsS --data-binary @- https://example.com/jobs'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return w.run(cmd) },
	}
	w.flags(cmd)
	cmd.Flags().Var(settings.Counter(&w.processes, 1), "processes", "how many worker processes to run under this one, and to start again when they end (default: none, jobs run in this one)")
	cmd.Flags().Lookup("processes").DefValue = ""
	return cmd
}

// working is one run of work.
type working struct {
	*env
	children  childFlags
	config    worker.Config // of the Options; flags that were given are put in by settings
	logFormat string
	processes int // 0: none

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

// flags adds work's flags. Their defaults are those of the Options, or else worker.Config's.
func (w *working) flags(cmd *cobra.Command) {
	w.config = w.options.Worker
	if len(w.config.Queues) == 0 {
		w.config.Queues = []string{w.settings.Queue}
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
	flags.BoolVar(&w.config.Once, "once", w.config.Once, "run one job and exit 0 whatever its outcome; with nothing there, sleep once and exit")
	flags.Bool("daemon", false, "accepted, and the default: run until a signal")
	flags.BoolVar(&w.config.StopWhenEmpty, "stop-when-empty", w.config.StopWhenEmpty, "exit 0 when nothing is due and nothing is running here")
	flags.Var(settings.Counter(&w.config.Concurrency, 1), "concurrency", "how many jobs run at once")
	flags.Var(settings.Counter(&w.tries, 0), "tries", "how often a job runs at most, 0 for no limit")
	flags.Var(settings.DurationList(&w.backoff), "backoff", "waits after the 1st, 2nd, … error, such as 1,5,10; the last repeats (default: from 1s, doubling up to 1h)")
	flags.Var(settings.Duration(&w.delay, settings.NotNegative), "delay", "the same wait after every error; instead of --backoff")
	flags.Var(settings.Duration(&w.timeout, settings.NotNegative), "timeout", "how long a job may run, 0 for no limit")
	flags.Var(settings.Expiry(&w.expire), "expire", "how long after its worker has died a job runs again, or off (environment: SQLQUEUE_EXPIRE)")
	flags.Var(settings.Duration(&w.sleep, settings.NotNegative), "sleep", "how long to wait, when no job is due, before looking again")
	flags.Var(settings.Duration(&w.config.Rest, settings.NotNegative), "rest", "how long to rest after each job")
	flags.Var(settings.Duration(&w.grace, settings.NotNegative), "grace", "how long jobs may go on after a signal")
	flags.Var(settings.Counter(&w.memory, 0), "memory", "megabytes that this process may use: with more, finish and exit 12; 0 for no limit")
	flags.Var(settings.Counter(&w.config.MaxStuck, 0), "max-stuck", "exit 1 when more handlers than this do not return after their timeout (default half of concurrency)")
	flags.Var(settings.Counter(&w.config.MaxJobs, 0), "max-jobs", "exit after so many jobs, 0 for no limit")
	flags.Var(settings.Duration(&w.config.MaxTime, settings.NotNegative), "max-time", "exit after so long, 0 for no limit")
	flags.BoolVar(&w.config.Force, "force", w.config.Force, "go on in maintenance mode")
	flags.StringVar(&w.config.Name, "name", w.config.Name, "what operators see (default: host and process)")
	flags.StringVar(&w.logFormat, "log-format", "text", "text or json, to standard error")
	for _, name := range []string{"delay", "rest", "max-stuck"} {
		flags.Lookup(name).DefValue = ""
	}
}

// workerConfig returns what the worker is to do.
func (w *working) workerConfig(cmd *cobra.Command, logger *slog.Logger) (worker.Config, error) {
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

func (w *working) run(cmd *cobra.Command) error {
	if err := w.checkChildren(cmd); err != nil {
		return err
	}
	if w.processes > 0 && !canRunProcesses {
		return exit.Usagef("--processes needs Unix")
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
	d, err := w.open(false)
	if err != nil {
		return err
	}
	defer within(toClose, d.Close)
	began := time.Now()
	if err := d.ConnectWithin(cmd.Context(), config.MaxTime); open.IsRefused(err) {
		return err // others are waited for by the worker
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
func (w *working) runProcesses(ctx context.Context, d *open.Database, config worker.Config) error {
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
func (w *working) runner(atOnce context.Context, d *open.Database, config *worker.Config, out io.Writer) (runner, func(), error) {
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

var errAtOnce = errors.New("stopped at once by a second signal: jobs that were running run again when their reservations expire")

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
func jsonLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

var errNoEnd = errors.New("the worker did not end within its grace: jobs that were running run again when their reservations expire")

// untilSignal runs run with a context that ends at the first TERM, INT, QUIT or HUP. The second one ends atOnce, and gives run a moment, and
// so does the end of the longest time that run may take after its context; negative: there is none. HUP is never taken for the second: a
// terminal that closes sends several, and systemd sends one after its TERM. From the first one on they stay caught: a later one must not
// kill the process on its way out.
func untilSignal(ctx context.Context, logger *slog.Logger, longest, moment time.Duration, run func(ctx, atOnce context.Context) error) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, endSignals()...)

	ctx, drain := context.WithCancel(ctx)
	defer drain()
	atOnce, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var result error
	done := make(chan struct{})
	go func() {
		result = run(ctx, atOnce)
		close(done)
	}()

	ended := ctx.Done()
	var over <-chan time.Time
	caught, second := false, false // second: the next signal is the second one
	why := errAtOnce
wait:
	for {
		select {
		case <-done:
			if !caught {
				signal.Stop(signals)
			}
			return result
		case s := <-signals:
			if second && s != syscall.SIGHUP {
				break wait
			}
			if !caught {
				logger.Info("signal: finishing; a second one ends it at once", "signal", s.String())
				drain()
			}
			caught, second = true, second || s != syscall.SIGHUP
		case <-ended:
			ended = nil
			if longest >= 0 {
				over = time.After(longest)
			}
		case <-over:
			why = errNoEnd
			break wait
		}
	}
	end(worker.ErrStopped)
	select {
	case <-done:
	case <-time.After(moment):
	}
	return why
}

// within calls f, and returns when it has, or when it takes longer than that.
func within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
