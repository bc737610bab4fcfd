package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/deliver"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/worker"
)

// childFlags are about what runs the jobs of work and listen: child processes, URLs, or the application's own handlers.
type childFlags struct {
	command   string
	file      string                  // of handlers
	handlers  map[string]*fileHandler // of the file
	delivers  bool                    // to subscriptions
	publicly  bool                    // only to public addresses
	killAfter time.Duration
	memory    int // in MB

	// Of listen only.
	listens       bool
	jobs          int
	exitOnTimeout bool
}

func (c *childFlags) flags(cmd *cobra.Command) {
	c.killAfter = 2 * time.Second
	flags := cmd.Flags()
	flags.StringVar(&c.command, "exec", "", "run each job as this command, a line for sh -c")
	flags.StringVar(&c.file, "handlers", "", "run each job by its name's command or URL, from this file of YAML or JSON")
	flags.BoolVar(&c.delivers, "subscriptions", false, "post jobs to their queues' subscriptions, also in a program with handlers of its own")
	flags.BoolVar(&c.publicly, "public-urls-only", false, "post to no loopback, private or other address that is not public; link-local ones are always refused")
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
	if c.file != "" {
		c.handlers, err = readHandlers(cmd, c.file)
	}
	return err
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
		client := deliver.New(w.children.publicly)
		mux = worker.NewMux()
		for name, h := range w.named() {
			backoff := config.Backoff
			if h.settings.Backoff != nil {
				backoff = h.settings.Backoff
			}
			handler := urlHandler(atOnce, client, h.target, w.identity, backoff)
			if h.command != nil {
				handler = execHandler(atOnce, child.Command{Settings: settings, Args: h.command}, backoff)
			}
			if name == otherNames {
				mux.HandleAll(handler, h.settings)
			} else {
				mux.HandleFunc(name, handler, h.settings)
			}
		}
		return mux, func() { client.Close(); supervisor.Close() }, nil
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

// named returns the handlers of the file, or the command for all names.
func (w *Work) named() map[string]*fileHandler {
	if w.children.command != "" {
		return map[string]*fileHandler{otherNames: {command: child.Shell(w.children.command)}}
	}
	return w.children.handlers
}

// urlHandler returns a handler that posts each job. The end of atOnce ends the handlers' contexts too.
func urlHandler(atOnce context.Context, client *deliver.Client, to *deliver.Target, database string, backoff worker.Backoff) worker.Handler {
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
