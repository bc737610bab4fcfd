package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// childFlags are about what runs the jobs of work and listen: child processes, URLs, or the application's own handlers.
type childFlags struct {
	command   string
	reuse     bool                    // the processes of the command
	file      string                  // of handlers
	handlers  map[string]*fileHandler // of the file
	schedules []sqlqueue.Schedule     // of the file
	delivers  bool                    // to subscriptions
	publicly  bool                    // only to public addresses
	killAfter time.Duration
	memory    int // in MB

	jobs      int  // that a child serves; 0: no limit
	jobsGiven bool // by --child-jobs

	// Of listen only.
	listens       bool
	exitOnTimeout bool
}

func (c *childFlags) flags(cmd *cobra.Command) {
	c.killAfter = 2 * time.Second
	flags := cmd.Flags()
	flags.StringVar(&c.command, "exec", "", "run each job as this command, a line for sh -c")
	flags.BoolVar(&c.reuse, "reuse", false,
		"keep the processes of --exec for the next jobs, which they read as lines of JSON and answer with lines of JSON")
	flags.StringVar(&c.file, "handlers", "", "run each job by its name's command or URL, from this file of YAML or JSON")
	flags.BoolVar(&c.delivers, "subscriptions", false,
		"post jobs to their queues' subscriptions, also in a program with handlers of its own")
	flags.BoolVar(&c.publicly, "public-urls-only", false,
		"post to no loopback, private or other address that is not public; link-local ones are always refused")
	flags.Var(settings.Duration(&c.killAfter, settings.NotNegative), "kill-after",
		"how long a job may go on after its timeout, until its child process is killed, or its handler is given up")
	flags.Var(settings.Counter(&c.memory, 0), "child-memory",
		"megabytes that a child process may use, with all its children: with more it is killed; 0 for no limit")
}

// own says whether the application's own handlers run the jobs.
func (w *Work) own() bool {
	return w.children.command == "" && w.children.file == "" && !w.children.delivers
}

// checkChildren reads the file of handlers, too.
func (w *Work) checkChildren(cmd *cobra.Command) (err error) {
	c := &w.children
	ways := 0
	for _, flag := range []string{"exec", "handlers", "subscriptions"} {
		if cmd.Flags().Changed(flag) {
			ways++
		}
	}
	commands := c.command != "" || c.file != ""
	c.delivers = c.delivers || !commands && w.Mux == nil
	switch {
	case ways > 1:
		return exit.Usagef("give one of --exec, --handlers and --subscriptions")
	case w.own() && c.listens && !child.CanServe:
		return exit.Usagef("on this system, %s needs --exec COMMAND or --handlers FILE", cmd.CommandPath())
	case c.memory > 0 && !commands && (!c.listens || c.delivers):
		return exit.Usagef("--child-memory is for child processes: give --exec COMMAND or --handlers FILE, or use listen")
	case c.memory > 0 && !supervise.CanLimitMemory:
		return exit.Usagef("--child-memory needs Linux")
	}
	if c.reuse && c.command == "" {
		return exit.Usagef("--reuse is for --exec COMMAND; in a file of --handlers, a command has reuse: true")
	}
	if c.file != "" {
		if c.handlers, c.schedules, err = readHandlers(cmd, c.file); err != nil {
			return err
		}
	}
	if c.jobsGiven = cmd.Flags().Changed("child-jobs"); c.jobsGiven && !c.listens && !w.reuses() {
		return exit.Usagef(
			"--child-jobs is for processes that serve several jobs: give --exec COMMAND --reuse, or reuse: true in the file of --handlers",
		)
	}
	return nil
}

// reuses says whether processes of commands serve several jobs.
func (w *Work) reuses() bool {
	for _, h := range w.named() {
		if h.reuse {
			return true
		}
	}
	return false
}

// handlers returns what runs the jobs: the application's own handlers, here or in children, commands, or URLs. The children end at the end
// of atOnce, and whatever is left of them when the function is called.
func (w *Work) handlers(atOnce context.Context, config *worker.Config, out io.Writer) (mux *worker.Mux, endChildren func(), err error) {
	if w.own() && !w.children.listens {
		return w.Mux, func() {}, nil
	}
	supervisor := &supervise.Supervisor{Moved: func(instead string) {
		config.Logger.Warn("the working directory is gone: commands start in another one", "directory", instead)
	}}
	settings := child.Settings{
		Supervisor: supervisor,
		KillAfter:  w.children.killAfter,
		Kill:       atOnce.Done(),
		Memory:     int64(w.children.memory) * megabyte,
		Output:     passOn(out, w.logFormat, config.Logger),
	}
	if !w.own() {
		mux, endChildren := w.namedHandlers(atOnce, settings, config.Backoff)
		return mux, func() { endChildren(); supervisor.Close() }, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	pool := &child.Pool{Settings: settings, Path: self, Args: os.Args[1:], Jobs: w.children.jobs}
	config.OnFailed = nil // it is called in a child
	mux = w.Mux.Remote(callChild(atOnce, pool))
	return mux, func() { pool.Close(); supervisor.Close() }, nil
}

// namedHandlers returns the commands and URLs, and a function that ends the processes that serve several jobs.
func (w *Work) namedHandlers(atOnce context.Context, settings child.Settings, backoff worker.Backoff) (*worker.Mux, func()) {
	client := deliver.New(w.children.publicly)
	mux := worker.NewMux()
	reused := map[string]*child.Reused{} // by command: names that have the same one share its processes
	for name, h := range w.named() {
		backoff := backoff
		if h.settings.Backoff != nil {
			backoff = h.settings.Backoff
		}
		var handler worker.Handler
		switch {
		case h.command == nil:
			handler = urlHandler(atOnce, client, h.target, w.identity, backoff)
		case h.reuse:
			key := strings.Join(h.command, "\x00")
			if reused[key] == nil {
				reused[key] = &child.Reused{Settings: settings, Args: h.command, Jobs: w.children.reusedJobs()}
			}
			handler = execHandler(atOnce, reused[key], backoff)
		default:
			handler = execHandler(atOnce, child.Command{Settings: settings, Args: h.command}, backoff)
		}
		if name == otherNames {
			mux.HandleAll(handler, h.settings)
		} else {
			mux.HandleFunc(name, handler, h.settings)
		}
	}
	return mux, func() {
		var ending sync.WaitGroup
		for _, r := range reused {
			ending.Go(r.Close)
		}
		ending.Wait()
		client.Close()
	}
}

// reusedJobs is how many jobs a process of a command serves. The default of listen, 1, is for the application's own handlers.
func (c *childFlags) reusedJobs() int {
	if !c.jobsGiven {
		return 0
	}
	return c.jobs
}

// named returns the handlers of the file, or the command for all names.
func (w *Work) named() map[string]*fileHandler {
	if w.children.command != "" {
		return map[string]*fileHandler{otherNames: {command: child.Shell(w.children.command), reuse: w.children.reuse}}
	}
	return w.children.handlers
}

// urlHandler returns a handler that posts each job. The end of atOnce ends the handlers' contexts too.
func urlHandler(
	atOnce context.Context, client *deliver.Client, to *deliver.Target, database string, backoff worker.Backoff,
) worker.Handler {
	return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
		ctx, end := endsWith(ctx, atOnce)
		defer end()
		return client.Post(ctx, to, job, deliver.ID(job.JobInfo, database), releaseDelay(job.JobInfo, backoff))
	}
}

// untilTimeout returns a context that ends when a job has timed out, if that is wanted, and a function that says which one it was.
func (c *childFlags) untilTimeout(ctx context.Context, config *worker.Config) (_ context.Context, timedOut func() error) {
	if !c.exitOnTimeout {
		return ctx, func() error { return nil }
	}
	ctx, end := context.WithCancel(ctx)
	var first atomic.Int64
	told := config.Events.TimedOut
	config.Events.TimedOut = func(job worker.JobInfo) {
		if told != nil {
			told(job)
		}
		first.CompareAndSwap(0, job.ID)
		end()
	}
	return ctx, func() error {
		end()
		if id := first.Load(); id != 0 {
			return fmt.Errorf("job %d timed out, and --exit-on-timeout was given", id)
		}
		return nil
	}
}

// callChild lets children of a pool answer what is asked about jobs. The end of atOnce ends the jobs' contexts too. A job that no child
// was started for is put back, its attempt not spent.
func callChild(atOnce context.Context, pool *child.Pool) worker.RemoteCall {
	return func(ctx context.Context, job worker.JobInfo, request []byte) ([]byte, error) {
		ctx, end := endsWith(ctx, atOnce)
		defer end()
		answer, err := pool.Call(ctx, child.Job{ID: job.ID, Name: job.Name}, request)
		if errors.Is(err, child.ErrNotStarted) {
			return nil, worker.CannotStart(err)
		}
		return answer, err
	}
}

// ServesChild reports whether this process is a child of listen.
func (w *Work) ServesChild() bool { return child.Serves() && w.Mux != nil && w.own() }

// ServeChild is a child process of listen.
func (w *Work) ServeChild(ctx context.Context) error {
	return child.Serve(ctx, func(ctx context.Context, request []byte) []byte {
		return w.Mux.RunPacked(ctx, request, w.Codec, w.Worker.OnFailed)
	})
}
