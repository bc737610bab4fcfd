package cli

import "github.com/spf13/cobra"

const workLong = `Run jobs until TERM, INT, QUIT or HUP: then no more are taken, and those that run have --grace to finish. A second signal ends it at
once, but the same one within a second counts once; HUP is never the second, and does nothing under nohup. USR2 pauses: no more jobs are
taken until CONT. It waits for a database that is down. A log that cannot be written ends no worker: its lines are dropped, and counted.

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

const handlersHelp = `
With --handlers each name has its own handler, from a file in YAML or JSON:
  send_invoice:
    command: ./send-invoice           # a line for sh -c, as --exec
  resize:
    command: [python3, resize.py]     # a list runs without a shell
    timeout: 10m
    tries: 3
    backoff: [1, 5, 10]
  notify:
    url: https://example.com/jobs     # the job is posted there
    secret_env: NOTIFY_SECRET         # signs it, as does secret: whsec_…
    headers: {Authorization: Bearer …}
  "*":                                # all other names; without it they are put back
    command: php artisan handle "$SQLQUEUE_JOB_NAME"
A job's own tries, timeout and backoff beat its handler's, and these beat those given here.
`

const processesLong = `
With --processes N, N worker processes run under this one, each with the options given here: limits hold for each. It passes on TERM, INT,
QUIT, HUP, USR2 and CONT, and starts again a worker that ends: at once after restart, soon after the memory limit, and after a wait that
grows when it ends otherwise. With --once, --stop-when-empty, --max-jobs or --max-time, one that exits 0 is done. It exits with the
highest of the last exit codes. No worker is left behind when this process is killed.`

func workCommand(e *env) *cobra.Command {
	w := e.working()
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
		RunE: func(cmd *cobra.Command, _ []string) error { return w.Run(cmd) },
	}
	w.Flags(cmd)
	w.ProcessFlags(cmd)
	return cmd
}
