package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/worker"
)

// childFlags are about the child processes of work and listen.
type childFlags struct {
	command   string
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
	flags.Var(seconds{&c.killAfter, notNegative}, "kill-after", "how long a job may go on after its timeout, until its child process is killed, or its handler is given up")
	flags.Var(counter{value: &c.memory}, "child-memory", "megabytes that a child process may use, with all its children: with more it is killed; 0 for no limit")
}

func (w *working) checkChildren(cmd *cobra.Command) error {
	c := &w.children
	switch {
	case c.command == "" && w.options.Mux == nil:
		return usagef(`this program has no handlers of its own: give --exec COMMAND, such as --exec 'cat >&2'`)
	case c.command == "" && c.listens && !child.CanServe:
		return usagef("on this system, %s needs --exec COMMAND", cmd.CommandPath())
	case c.memory > 0 && c.command == "" && !c.listens:
		return usagef("--child-memory is for child processes: give --exec COMMAND, or use listen")
	case c.memory > 0 && !supervise.CanLimitMemory:
		return usagef("--child-memory needs Linux")
	}
	return nil
}

// handlers returns what runs the jobs: the application's own handlers, here or in children, or a command. The children end at the end of
// atOnce, and whatever is left of them when the function is called.
func (w *working) handlers(atOnce context.Context, config *worker.Config, out io.Writer) (mux *worker.Mux, endChildren func(), err error) {
	if w.children.command == "" && !w.children.listens {
		return w.options.Mux, func() {}, nil
	}
	supervisor := &supervise.Supervisor{}
	settings := child.Settings{
		Supervisor: supervisor,
		KillAfter:  w.children.killAfter,
		Kill:       atOnce.Done(),
		Memory:     int64(w.children.memory) * megabyte,
		Output:     passOn(out, w.logFormat, config.Logger),
	}
	if w.children.command != "" {
		mux = worker.NewMux()
		mux.HandleAll(execHandler(atOnce, child.Command{Settings: settings, Args: child.Shell(w.children.command)}, config.Backoff))
		return mux, supervisor.Close, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	pool := &child.Pool{Settings: settings, Path: self, Args: os.Args[1:], Jobs: w.children.jobs}
	config.OnFailed = nil // it is called in a child
	mux = w.options.Mux.Remote(callChild(atOnce, pool, config.Logger))
	return mux, func() { pool.Close(); supervisor.Close() }, nil
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
