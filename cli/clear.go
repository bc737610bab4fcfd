package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func clearCommand(e *env) *cobra.Command {
	var includeReserved bool
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Delete the jobs of a queue, or of all queues",
		Long: "Delete the ready and delayed jobs of a queue, or without --queue of all queues. Reserved jobs stay, unless you give\n" +
			"--include-reserved; their workers then lose them. Failed jobs stay: see flush.",
		Example: `  sqlqueue clear --queue mail --dry-run
  sqlqueue clear --queue mail
  sqlqueue clear --include-reserved --yes`,
		Args: between(0, 0),
	}
	queue := settings.OneQueueFlag(cmd, "only jobs of this queue")
	cmd.Flags().BoolVar(&includeReserved, "include-reserved", false, "also delete jobs that a worker has reserved")
	consent := consentFlags(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := consent.possible(cmd); err != nil {
			return err
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			of := "all queues"
			if queue() != "" {
				of = fmt.Sprintf("queue %q", queue())
			}
			goOn, err := consent.given(cmd, "delete", func() (extent, error) {
				n, err := o.CountJobs(cmd.Context(), operator.JobFilter{Queue: queue(), NotReserved: !includeReserved}, term.CountedTo)
				return extent{n: n, text: term.CountTo(n, "job") + " of " + of + " for good"}, err
			})
			if !goOn {
				return err
			}
			n, err := inBatches(cmd, "deleted", "job", "", func(ctx context.Context, progress func(int)) (int, error) {
				return o.Clear(ctx, queue(), includeReserved, progress)
			})
			return reportCount(cmd, "deleted", n, "job", err)
		})
	}
	return cmd
}
