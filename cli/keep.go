package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func keepCommand(e *env) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:   "keep QUEUE TIME",
		Short: "Keep finished jobs of a queue, with their results, for a time",
		Long: `Keep jobs of QUEUE that finish from now on, with their data and results, for TIME. Then workers delete them. ` +
			`Without this, a job is
deleted when it is done. jobs list --state done lists what is kept. A job's own --keep comes first.

  mail      the queue mail
  'mail/*'  the queues below mail (mail/1, mail/eu/2) that have no setting of their own
  '*'       all other queues

A TIME of 0 keeps nothing of a queue, also if a pattern keeps its jobs; --off removes the setting. ` +
			`What is kept already stays for its time.`,
		Example: `  sqlqueue keep reports 7d
  sqlqueue keep 'mail/*' 24h
  sqlqueue keep reports --off
  sqlqueue keep list`,
		Args: between(1, 2, "QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if off == (len(args) == 2) {
				return exit.Usagef("give a time, such as 24h, or --off alone")
			}
			k := operator.Keep{Queue: args[0]}
			if !off {
				var err error
				if k.For, err = settings.ParseDuration(args[1]); err != nil {
					return exit.Usagef("the time to keep jobs: %w", err)
				}
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				if off {
					if err := o.ResetKeep(cmd.Context(), k.Queue); err != nil {
						return err
					}
					_, err := fmt.Fprintln(cmd.OutOrStdout(), k.Queue+": no setting")
					return err
				}
				if err := o.SetKeep(cmd.Context(), k); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), keepText(k))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "remove the setting")
	cmd.AddCommand(keepListCommand(e))
	return cmd
}

func keepListCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List how long finished jobs are kept",
		Example: "  sqlqueue keep list --json",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				keeps, err := o.Keeps(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					list := []keepJSON{}
					for _, k := range keeps {
						list = append(list, keepJSON{k.Queue, k.For.Seconds()})
					}
					return json.NewEncoder(cmd.OutOrStdout()).Encode(list)
				}
				for _, k := range keeps {
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), keepText(k)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

type keepJSON struct {
	Queue       string  `json:"queue"`
	KeepSeconds float64 `json:"keep_seconds"`
}

func keepText(k operator.Keep) string {
	if k.For == 0 {
		return k.Queue + ": finished jobs are not kept"
	}
	return k.Queue + ": finished jobs are kept for " + term.Duration(k.For.Round(time.Millisecond))
}
