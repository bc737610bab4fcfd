package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func flushCommand(e *env) *cobra.Command {
	return deleteFailed(e, &cobra.Command{
		Use:   "flush",
		Short: "Delete all failed jobs, or the old ones",
		Example: `  sqlqueue flush --hours 48 --dry-run
  sqlqueue flush --queue mail --yes`,
	}, 0)
}

func pruneFailedCommand(e *env) *cobra.Command {
	return deleteFailed(e, &cobra.Command{
		Use:   "prune-failed",
		Short: "Delete failed jobs that are older than a day, or than --hours",
		Long:  "Delete failed jobs that are older than a day, or than --hours. Unlike flush it needs no --yes, so that cron can run it.",
		Example: `  sqlqueue prune-failed
  sqlqueue prune-failed --hours 168 --queue mail`,
	}, 24*time.Hour)
}

// deleteFailed makes cmd delete failed jobs, by default those that failed so long ago.
func deleteFailed(e *env, cmd *cobra.Command, olderThan time.Duration) *cobra.Command {
	filter := operator.FailedFilter{OlderThan: olderThan}
	cmd.Args = between(0, 0)
	cmd.Flags().Var(settings.Hours(&filter.OlderThan), "hours", "only jobs that failed at least this many hours ago")
	queue := settings.OneQueueFlag(cmd, "only failed jobs of this queue")
	consent := consentFlags(e, cmd)
	consent.harmless = olderThan > 0 // cron runs it
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := consent.possible(cmd); err != nil {
			return err
		}
		filter.Queue = queue()
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error { return forget(cmd, consent, o, filter) })
	}
	return cmd
}
