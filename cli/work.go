package cli

import "github.com/spf13/cobra"

const workLong = `Run jobs until TERM, INT, QUIT or HUP. Then take no more, and give the running ones --grace to finish. ` +
	`A second signal ends it at
once, but the same one within a second counts once; HUP is never the second, and does nothing under nohup. USR2 pauses: no more jobs are
taken until CONT. Waits if the database is down. If the log cannot be written, the worker goes on, and counts the dropped lines.

When a handler's context ends at --timeout, the handler has --kill-after to return. Otherwise its job is settled as timed out, and the
handler keeps its slot. With too many such handlers (--max-stuck) the worker finishes and exits 1, so that its supervisor restarts it.

With --exec each job is a command, a line for sh -c. Data arrives on standard input, metadata in environment variables:
SQLQUEUE_JOB_ID, SQLQUEUE_JOB_NAME, SQLQUEUE_JOB_QUEUE, SQLQUEUE_JOB_ATTEMPTS and, up to 64 KiB, SQLQUEUE_JOB_PAYLOAD. The exit code
tells the outcome:
  0   done: the job is deleted
  75  release: the job runs again later, with the same wait as after an error
  65  fail for good: the job moves to the failed jobs
  any other, or a signal: an error; the job runs again later, and after its last try it moves to the failed jobs
The error's text is the end of the command's standard error. All output of the command goes to standard error, with the job's id before
each line. At --timeout and at the end of --grace a command gets TERM; after --kill-after it is killed with all its children.
` + reuseHelp + handlersHelp + `
Without --exec and --handlers, a program without handlers of its own posts each job to the subscription of its queue. It serves all
queues that have one, or those of --queue: see subscribe --help. Changes to subscriptions take effect within seconds.
` + processesLong

const reuseHelp = `
With --reuse the command runs in at most --concurrency processes, each of which serves one job after the other. It reads each job as a
line of JSON on standard input, and answers with a line of JSON on standard output:
  {"id":1,"queue":"orders","name":"send_invoice","attempts":1,"data":{"order_id":42}}
  {"id":1,"outcome":"done"}
The outcomes are done, error and fail (with "error": "the reason"), release and snooze (with "delay" in seconds), and discard. With
"last": true the process gets no more jobs. It should exit when its standard input ends, and log to standard error. A process that ends
without an answer, writes anything else, or exceeds the timeout is replaced; its exit code counts as above, but 0 is an error.
`

const handlersHelp = `
With --handlers each name has its own handler, from a file in YAML or JSON:
  send_invoice:
    command: ./send-invoice           # a line for sh -c, as --exec
  resize:
    command: [python3, resize.py]     # a list runs without a shell
    timeout: 10m
    tries: 3
    backoff: [1, 5, 10]
    reuse: true                       # its processes serve several jobs, as with --reuse
  notify:
    url: https://example.com/jobs     # the job is posted there
    secret_env: NOTIFY_SECRET         # signs it, as does secret: whsec_…
    headers: {Authorization: Bearer …}
  "*":                                # all other names; without it they are put back
    command: php artisan handle "$SQLQUEUE_JOB_NAME"
  schedules:                          # set when the worker starts; cron or every
    nightly: {cron: "30 2 * * *", zone: Asia/Shanghai, job: resize, data: {all: true}}
A job's own tries, timeout and backoff override its handler's, and these override the flags.
`

const processesLong = `
With --processes N, this process runs N worker processes with the same options; limits apply to each of them. It forwards TERM, INT,
QUIT, HUP, USR2 and CONT. It restarts a worker that ends: at once after restart, soon after the memory limit, otherwise after a growing
wait. With --once, --stop-when-empty, --max-jobs or --max-time, a worker that exits 0 is not restarted. The exit code is the highest of
the workers' last exit codes. If this process is killed, its workers end too.`

func workCommand(e *env) *cobra.Command {
	w := e.working()
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Run jobs",
		Long:  workLong,
		Example: `  sqlqueue work --exec './send-invoice'
  sqlqueue work --queue high,default --concurrency 20 --exec 'php artisan handle "$SQLQUEUE_JOB_NAME"'
  sqlqueue work --exec 'python3 worker.py' --reuse --child-jobs 1000
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
