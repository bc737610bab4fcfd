package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func forgetCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "forget ID… | --all",
		Short: "Delete failed jobs",
		Long: "Delete failed jobs by id, or with --all those that match a filter. With --all it first shows them and asks for\n" +
			"confirmation; without a terminal it needs --yes. A thousand are deleted in each transaction.",
		Example: `  sqlqueue forget 7 8
  sqlqueue forget --all --name send_invoice --error 'HTTP 404' --dry-run`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "every failed job")
	flags, consent := addFailedFilter(cmd, "with --all: "), consentFlags(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := flags.idsOrAll(all, args)
		if err != nil {
			return err
		}
		if !all && consent.dryRun {
			return exit.Usagef("--dry-run goes with --all, not with ids")
		}
		consent.yes = consent.yes || !all
		if err := consent.possible(cmd); err != nil {
			return err
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error { return forget(cmd, consent, o, filter) })
	}
	return cmd
}
