package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/worker"
)

const listenLong = `Run jobs like work, each in a child process: one that hangs, crashes or takes too much memory hurts no other.

A job that runs longer than its timeout is told so: a command gets TERM, a handler's context ends. After --kill-after its process is
killed, with all that descends from it. The job is settled at once, and the worker goes on. Nothing of it is left behind when listen
itself is killed.

An application's own handlers run in processes of the same program, which is read again for each: a new version is used from the next
child on. A child serves --child-jobs jobs, one after the other, and needs no connection to the database of the jobs. With --exec and
--handlers each job is a command or posted to a URL, as in work, and so are subscriptions.

Whatever a child prints goes to standard error, with the job's id before each line.`

func listenCommand(e *env) *cobra.Command {
	w := &working{env: e}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Run jobs in child processes",
		Long:  listenLong,
		Example: `  sqlqueue listen --exec './send-invoice' --timeout 30 --child-memory 256
  sqlqueue listen --queue high,default --concurrency 4 --exec 'php artisan handle "$SQLQUEUE_JOB_NAME"'
  sqlqueue listen --handlers handlers.yaml --kill-after 5
  sqlqueue listen --child-jobs 100 --child-memory 512
  sqlqueue listen --exit-on-timeout --exec './nightly-report'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if child.Serves() && e.options.Mux != nil && w.own() {
				return serveChild(e, cmd)
			}
			return w.run(cmd)
		},
	}
	w.flags(cmd)
	w.listenFlags(cmd)
	return cmd
}

func (w *working) listenFlags(cmd *cobra.Command) {
	w.children.listens = true
	flags := cmd.Flags()
	flags.Var(settings.Counter(&w.children.jobs, 1), "child-jobs", "how many jobs a child process serves, one after the other, before it is replaced; commands serve one")
	flags.BoolVar(&w.children.exitOnTimeout, "exit-on-timeout", false, "when a job has timed out and is settled, finish and exit 1")
	w.children.jobs, w.config.Concurrency = 1, 1
	for _, name := range []string{"child-jobs", "concurrency"} {
		flags.Lookup(name).DefValue = "1"
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

// serveChild is a child process of listen.
func serveChild(e *env, cmd *cobra.Command) error {
	return child.Serve(cmd.Context(), func(ctx context.Context, request []byte) []byte {
		return e.options.Mux.RunPacked(ctx, request, e.options.Config.Codec, e.options.Worker.OnFailed)
	})
}
