package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func (p *program) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "forget ID…",
		Short:   "Delete failed jobs",
		Example: `  sqlqueue forget 7 8`,
		Args:    between(1, -1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			if err != nil {
				return err
			}
			return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
				n, err := q.Forget(cmd.Context(), sqlqueue.FailedFilter{IDs: ids})
				return reportCount(cmd, "forgot", n, "failed job", err)
			})
		},
	}
}
