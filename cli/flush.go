package cli

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func (p *program) flushCommand() *cobra.Command {
	return p.deleteFailed(&cobra.Command{
		Use:   "flush",
		Short: "Delete all failed jobs, or the old ones",
		Example: `  sqlqueue flush --hours 48
  sqlqueue flush --queue mail --yes`,
	}, 0)
}

func (p *program) pruneFailedCommand() *cobra.Command {
	return p.deleteFailed(&cobra.Command{
		Use:   "prune-failed",
		Short: "Delete the failed jobs of days past",
		Long:  "Delete the failed jobs of days past: flush with a limit of 24 hours, for cron.",
		Example: `  sqlqueue prune-failed
  sqlqueue prune-failed --hours 168 --queue mail`,
	}, 24*time.Hour)
}

// deleteFailed makes cmd delete failed jobs, by default those that failed so long ago.
func (p *program) deleteFailed(cmd *cobra.Command, olderThan time.Duration) *cobra.Command {
	filter := operator.FailedFilter{OlderThan: olderThan}
	cmd.Args = between(0, 0)
	cmd.Flags().Var(hours{&filter.OlderThan}, "hours", "only jobs that failed at least so many hours ago")
	queue := oneQueueFlag(cmd, "only failed jobs of this queue")
	consent := consentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter.Queue = queue()
		return p.withOperator(cmd.Context(), func(o *operator.Operator) error { return forget(cmd, consent, o, filter) })
	}
	return cmd
}

// hours is a flag that takes a number of hours.
type hours struct{ value *time.Duration }

func (h hours) String() string {
	if h.value == nil || *h.value == 0 {
		return ""
	}
	return strconv.FormatFloat(h.value.Hours(), 'f', -1, 64)
}

func (h hours) Type() string { return "number" }

func (h hours) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > maxSeconds/3600 {
		return fmt.Errorf("%q is not a number of hours from 0", text)
	}
	*h.value = time.Duration(n * float64(time.Hour))
	return nil
}
