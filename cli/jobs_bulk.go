package cli

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func jobsCancelCommand(e *env) *cobra.Command {
	return bulkCommand(e, &cobra.Command{
		Use:   "cancel ID… | FILTER",
		Short: "Cancel jobs that no worker has",
		Long: "Cancel waiting jobs by id, or all that match a filter. Reserved jobs stay. For 7 days jobs restore brings them back.\n\n" +
			bulkLong + "\nWithout a terminal, cancel with a filter needs --yes." + "\n\n" + jobFilterLong,
		Example: `  sqlqueue jobs cancel 42 43
  sqlqueue jobs cancel --queue mail --name send_invoice --older-than 1d --dry-run
  sqlqueue jobs cancel --field customer.id=42 --yes`,
	}, bulkChange{
		does: "cancel", did: "cancelled",
		narrow: func(f *operator.JobFilter) error {
			if f.State == operator.Reserved {
				return exit.Usagef("a reserved job cannot be cancelled: see jobs release")
			}
			f.NotReserved = true
			return nil
		},
		each: (*operator.Operator).Cancel,
		all:  (*operator.Operator).CancelAll,
		undo: true,
	})
}

func jobsRestoreCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "restore UNDO",
		Short: "Put cancelled jobs back",
		Long: "Put jobs back that were cancelled in the last 7 days, as they were, with new ids. UNDO is what jobs cancel has printed; " +
			"it is\nalso in the TARGET of sqlqueue operations.",
		Example: `  sqlqueue jobs restore KPHCKYQ5KJ6VBHNTA3JAFBXOCY`,
		Args:    between(1, 1, "UNDO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				n, err := inBatches(cmd, "restored", "job", "", func(ctx context.Context, progress func(int)) (int, error) {
					return o.Restore(ctx, args[0], progress)
				})
				return reportCount(cmd, "restored", n, "job", err)
			})
		},
	}
}

// sayUndo tells how to restore what was cancelled.
func sayUndo(cmd *cobra.Command, undo string, n int) {
	if undo != "" && n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "to undo: %s jobs restore %s\n", cmd.Root().Name(), undo)
	}
}

// undoable is an Operator whose cancelled jobs can be restored by undo; without one it is o.
func (c *bulkChange) undoable(o *operator.Operator) (of *operator.Operator, undo string) {
	if !c.undo {
		return o, ""
	}
	undo = rand.Text()
	return o.Undoable(undo), undo
}

func jobsReleaseCommand(e *env) *cobra.Command {
	return bulkCommand(e, &cobra.Command{
		Use:   "release ID… | FILTER",
		Short: "Put reserved jobs back, available now",
		Long: "Put reserved jobs back, available now. Use it if a job's worker is known to be dead, and expire is off or long.\n" +
			"A worker that is still running such a job loses its reservation.\n\n" + bulkLong + "\n\n" + jobFilterLong,
		Example: `  sqlqueue jobs release 42
  sqlqueue jobs release --queue mail --older-than 1h --dry-run`,
	}, bulkChange{
		does: "release", did: "released", harmless: true,
		narrow: func(f *operator.JobFilter) error {
			if f.State != "" && f.State != operator.Reserved {
				return exit.Usagef("only reserved jobs can be released, not %s ones", f.State)
			}
			f.State = operator.Reserved
			return nil
		},
		each: (*operator.Operator).Release,
		all:  (*operator.Operator).ReleaseAll,
	})
}

const bulkLong = `With a filter it first shows how many jobs match, and on a terminal asks for confirmation. ` +
	`A thousand are changed in each transaction.`

// bulkChange is what can be done to jobs by their ids, or to all that pass a filter.
type bulkChange struct {
	does, did string
	harmless  bool                            // nothing is lost
	narrow    func(*operator.JobFilter) error // to the jobs that it can be done to; its error is one of usage
	each      func(*operator.Operator, context.Context, ...int64) (int, error)
	all       func(*operator.Operator, context.Context, operator.JobFilter, ...func(int)) (int, error)
	undo      bool // the jobs can be restored
}

func bulkCommand(e *env, cmd *cobra.Command, change bulkChange) *cobra.Command {
	flags, consent := addJobFilter(cmd), consentFlags(e, cmd)
	consent.says, consent.harmless = true, change.harmless
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0 && flags.given():
			return exit.Usagef("give ids or a filter, not both")
		case len(args) > 0 && consent.dryRun:
			return exit.Usagef("--dry-run goes with a filter, not with ids")
		case len(args) > 0:
			return changeJobs(e, cmd, args, &change)
		case !flags.given():
			return exit.Usagef("%s needs ids of jobs, or a filter such as --queue", cmd.CommandPath())
		}
		if err := flags.check(); err != nil {
			return err
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			filter, err := flags.of(cmd.Context(), o)
			if err == nil {
				err = change.narrow(&filter)
			}
			if err == nil {
				err = consent.possible(cmd)
			}
			if err != nil {
				return err
			}
			found := extent{}
			goOn, err := consent.given(cmd, change.does, func() (_ extent, err error) {
				found.n, err = o.CountJobs(cmd.Context(), filter, term.CountedTo)
				found.text = term.CountTo(found.n, "job")
				return found, err
			})
			if !goOn {
				return err
			}
			o, undo := change.undoable(o)
			n, err := inBatches(cmd, change.did, "job", found.text, func(ctx context.Context, progress func(int)) (int, error) {
				return change.all(o, ctx, filter, progress)
			})
			err = reportCount(cmd, change.did, n, "job", err)
			sayUndo(cmd, undo, n)
			return err
		})
	}
	return cmd
}

// changeJobs changes the jobs of the arguments and prints how many it were, also when others could not be changed.
func changeJobs(e *env, cmd *cobra.Command, args []string, change *bulkChange) error {
	ids, err := settings.ParseIDs(args)
	if err != nil {
		return err
	}
	return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
		o, undo := change.undoable(o)
		n, err := change.each(o, cmd.Context(), ids...)
		err = reportCount(cmd, change.did, n, "job", err)
		sayUndo(cmd, undo, n)
		return err
	})
}
