package cli

import (
	"github.com/spf13/cobra"
)

const listenLong = `Run jobs like work, each in a child process. A job that hangs, crashes or uses too much memory does not affect others.

When a job exceeds its timeout, its command gets TERM, or its handler's context ends. After --kill-after its process is killed with all
its descendants. The job is settled at once, and the worker goes on. If listen itself is killed, its child processes end too.

An application's own handlers run in processes of the same program, which is started anew for each child, so the next child uses a new
version. A child serves --child-jobs jobs, one after the other, and needs no connection to the database of the jobs. With --exec and
--handlers each job is a command or posted to a URL, as in work, and so are subscriptions; --reuse works too.

All output of a child goes to standard error, with the job's id before each line.`

func listenCommand(e *env) *cobra.Command {
	w := e.working()
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
			if w.ServesChild() {
				return w.ServeChild(cmd.Context())
			}
			return w.Run(cmd)
		},
	}
	w.Flags(cmd)
	w.ListenFlags(cmd)
	return cmd
}
