package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func retryCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "retry ID… | --all",
		Short: "Put failed jobs back into their queues",
		Long: "Put failed jobs back into their queues: with new ids, no attempts, and available now. A thousand are put back in each\n" +
			"transaction. If another job now has its unique key, a job stays failed, and the command reports an error.",
		Example: `  sqlqueue retry 7 8
  sqlqueue retry --all --queue mail --error 'connection*refused'`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "every failed job")
	flags := addFailedFilter(cmd, "with --all: ")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := flags.idsOrAll(all, args)
		if err != nil {
			return err
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			n, err := inBatches(cmd, "retried", "job", "", func(ctx context.Context, progress func(int)) (int, error) {
				return o.Retry(ctx, filter, progress)
			})
			return reportCount(cmd, "retried", n, "job", err)
		})
	}
	return cmd
}
