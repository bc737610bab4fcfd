package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func (p *program) clearCommand() *cobra.Command {
	var includeReserved, yes bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Delete the jobs of a queue, or of all queues",
		Long: "Delete the jobs of a queue, or without --queue of all queues: ready and delayed ones. Jobs that a worker has stay, unless\n" +
			"--include-reserved is given: then their workers lose them. Failed jobs stay: see flush.",
		Example: `  sqlqueue clear --queue mail
  sqlqueue clear --include-reserved --yes`,
		Args: between(0, 0),
	}
	queue := oneQueueFlag(cmd, "only jobs of this queue")
	cmd.Flags().BoolVar(&includeReserved, "include-reserved", false, "also jobs that a worker has")
	yesFlag(cmd, &yes)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
			what := "all jobs"
			if queue() != "" {
				what = fmt.Sprintf("the jobs of queue %q", queue())
			}
			if err := confirm(cmd, yes, "This deletes "+what+" for good."); err != nil {
				return err
			}
			n, err := q.Clear(cmd.Context(), queue(), includeReserved)
			return reportCount(cmd, "deleted", n, "job", err)
		})
	}
	return cmd
}
