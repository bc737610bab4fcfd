package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func (p *program) retryCommand() *cobra.Command {
	var all bool
	var filter sqlqueue.FailedFilter
	cmd := &cobra.Command{
		Use:   "retry ID… | --all [--queue NAME]",
		Short: "Put failed jobs back into their queues",
		Long: "Put failed jobs back into their queues: with new ids, no attempts, and available now.\n" +
			"A job whose unique key another job has by now stays failed, which is an error.",
		Example: `  sqlqueue retry 7 8
  sqlqueue retry --all --queue mail`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "every failed job")
	queue := oneQueueFlag(cmd, "with --all: only failed jobs of this queue")
	cmd.Flags().StringVar(&filter.Name, "name", "", "with --all: only failed jobs for this handler")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter.Queue = queue()
		switch {
		case all && len(args) > 0:
			return usagef("give ids or --all, not both")
		case !all && (filter.Queue != "" || filter.Name != ""):
			return usagef("--queue and --name go with --all: %s", cmd.UseLine())
		case !all && len(args) == 0:
			return usagef("%s needs ids of failed jobs, or --all: %s", cmd.CommandPath(), cmd.UseLine())
		case !all:
			var err error
			if filter.IDs, err = parseIDs(args); err != nil {
				return err
			}
		}
		return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
			n, err := q.Retry(cmd.Context(), filter)
			return reportCount(cmd, "retried", n, "job", err)
		})
	}
	return cmd
}
