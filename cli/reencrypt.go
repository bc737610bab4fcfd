package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func reencryptCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "reencrypt",
		Short: "Encrypt all jobs' data with the first key",
		Long: "Encrypt the data of all jobs with the first key of SQLQUEUE_ENCRYPTION_KEYS: of jobs that wait or have failed,\n" +
			"schedules and what batches push. Data that is not encrypted yet is encrypted too. Jobs that a worker has are left: run\n" +
			"it again until nothing is left, before you take an old key away. It can be interrupted and run again. With rows that\n" +
			"are left or cannot be read, the exit code is 1.\n\n" +
			"SQLQUEUE_ENCRYPTION_KEYS has keys such as \"k2:BASE64 k1:BASE64\": a name and 32 bytes in base64 (openssl rand -base64\n" +
			"32). The first encrypts, all decrypt. SQLQUEUE_ENCRYPTION_KEYS_FILE may name a file with them instead. No flag takes\n" +
			"them.",
		Example: `  sqlqueue reencrypt`,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
				if q.Config().Cipher == nil {
					return exit.Usagef("there are no keys: set SQLQUEUE_ENCRYPTION_KEYS or SQLQUEUE_ENCRYPTION_KEYS_FILE")
				}
				return reencrypt(cmd, operator.New(q).As(whoami(), "cli"))
			})
		},
	}
}

func reencrypt(cmd *cobra.Command, o *operator.Operator) error {
	var done operator.Reencrypted
	n, err := inBatches(cmd, "encrypted", "row", "", func(ctx context.Context, progress func(int)) (n int, err error) {
		done, err = o.Reencrypt(ctx, progress)
		return done.Changed, err
	})
	if err = reportCount(cmd, "encrypted", n, "row", err); err != nil {
		return err
	}
	switch {
	case done.Unreadable > 0:
		return fmt.Errorf("%s cannot be read: the key is not there, or the data was changed", term.Count(done.Unreadable, "row"))
	case done.Left > 0:
		return fmt.Errorf("%s left that a worker has or somebody else changes: run it again", term.Count(done.Left, "row"))
	}
	return nil
}
