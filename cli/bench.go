package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/bench"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const benchLong = `Measure the database of the address from here: enqueueing one job at a time, enqueueing in batches, draining with
handlers that do nothing, and the time from a push to the handler's start at 100 jobs a second, with a worker that hears of pushes
only through the database. Jobs have 100 bytes of data. They go to a queue with a random name that begins with bench-, and are deleted
at the end, also after TERM and INT. Other jobs are not touched. Other users of the database notice the load, and influence the
results.

One client in this process does all the work; several clients get more. A killed run leaves its queue: see queues and clear.`

func benchCommand(e *env) *cobra.Command {
	jobs, asJSON := 100_000, false
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure jobs per second and latency on this database",
		Long:  benchLong,
		Example: `  sqlqueue bench
  sqlqueue bench --jobs 40000 --json | jq .drain_per_second`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			const most = 10_000_000
			if jobs > most {
				return exit.Usagef("--jobs %d is too large: use at most %d", jobs, most)
			}
			config := sqlqueue.Config{Prefix: e.settings.Prefix, Schema: e.settings.Schema}
			result, settings, err := bench.Run(cmd, open.Settings{DSN: e.settings.DSN, Config: config}, jobs)
			switch {
			case err != nil:
				return err
			case asJSON:
				return term.WriteJSON(cmd.OutOrStdout(), result)
			}
			return result.Print(cmd.OutOrStdout(), settings)
		},
	}
	cmd.Flags().Var(settings.Counter(&jobs, 1), "jobs",
		"how many jobs to push in batches and to run; the tests with single jobs use at most this many")
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}
