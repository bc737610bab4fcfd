package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
)

func laterCommand(e *env) *cobra.Command {
	push := &pushing{env: e}
	cmd := &cobra.Command{
		Use:   "later DELAY NAME [DATA]",
		Short: "Push a job that is available after a delay, and print its id",
		Long: "Push a job for the handler NAME that is available after DELAY: seconds, or a duration such as 10m. It prints the\n" +
			"job's id.\n\n" +
			pushLong,
		Example: `  sqlqueue later 90 send_invoice '{"order_id":42}'
  sqlqueue later 1h30m remind --queue mail`,
		Args: between(2, 3, "DELAY", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if push.delay, err = settings.ParseDuration(args[0]); err != nil {
				return exit.Usagef("DELAY: %w", err)
			}
			return push.run(cmd, args[1:])
		},
	}
	push.flags(cmd)
	return cmd
}
