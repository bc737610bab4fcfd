package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func limitCommand(e *env) *cobra.Command {
	var limit operator.Limit
	var rate string
	var off bool
	cmd := &cobra.Command{
		Use:   "limit QUEUE",
		Short: "Limit how many jobs of a queue run at once, or start in a period",
		Long: `Limit how many jobs of QUEUE run at once, or start in a period, on all workers together. Workers apply it within a second.
Running jobs continue. A new limit replaces the old one completely.

  mail      the queue mail and all queues below it (mail/1, mail/eu/2) together
  'mail/*'  each queue below mail separately
  mail/42   this queue, instead of the limit of mail/*

A queue at its limit does not hold up other queues. --burst is how many jobs may start at once after a quiet time.`,
		Example: `  sqlqueue limit 'mail/*' --running 1
  sqlqueue limit api --rate 10/1m --burst 2
  sqlqueue limit api --off
  sqlqueue limit list`,
		Args: between(1, 1, "QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			limit.Queue = args[0]
			if rate != "" {
				count, per, ok := strings.Cut(rate, "/")
				n, err := strconv.ParseInt(count, 10, 32)
				if !ok || err != nil || n < 1 {
					return exit.Usagef("--rate is %q: it must be a number of jobs, a slash and a period, such as 10/1m", rate)
				}
				if limit.Per, err = settings.ParseDuration(per); err != nil {
					return exit.Usagef("--rate: %w", err)
				}
				limit.Rate = n
			}
			set := limit.Running > 0 || limit.Rate > 0
			if set == off {
				return exit.Usagef("give --running or --rate, or --off alone")
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				if err := o.SetLimit(cmd.Context(), limit); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), limit.Queue+": "+limitText(limitJSONOf(limit)))
				return err
			})
		},
	}
	cmd.Flags().Int64Var(&limit.Running, "running", 0, "how many jobs may run at once")
	cmd.Flags().StringVar(&rate, "rate", "", "how many jobs may start in a period, such as 10/1m")
	cmd.Flags().Int64Var(&limit.Burst, "burst", 0,
		"how many jobs of --rate may start at once (default: the jobs of one second, at least 1)")
	cmd.Flags().BoolVar(&off, "off", false, "remove the limit")
	for _, flag := range []string{"running", "burst"} {
		cmd.Flags().Lookup(flag).DefValue = ""
	}
	cmd.AddCommand(limitListCommand(e))
	return cmd
}

func limitListCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the limits",
		Example: "  sqlqueue limit list --json",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				limits, err := o.Limits(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(limitsJSON(limits))
				}
				for _, l := range limits {
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), l.Queue+": "+limitText(limitJSONOf(l))); err != nil {
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

type limitJSON struct {
	Queue      string  `json:"queue"`
	Running    int64   `json:"running,omitzero"`
	Rate       int64   `json:"rate,omitzero"`
	PerSeconds float64 `json:"per_seconds,omitzero"`
	Burst      int64   `json:"burst,omitzero"`
}

func limitsJSON(limits []operator.Limit) []limitJSON {
	out := []limitJSON{}
	for _, l := range limits {
		out = append(out, limitJSONOf(l))
	}
	return out
}

func limitJSONOf(l operator.Limit) limitJSON {
	j := limitJSON{Queue: l.Queue, Running: l.Running, Rate: l.Rate, Burst: l.Burst}
	if l.Rate > 0 {
		j.PerSeconds = l.Per.Seconds()
	}
	return j
}

func limitText(l limitJSON) string {
	var says []string
	if l.Running > 0 {
		says = append(says, fmt.Sprintf("at most %d running", l.Running))
	}
	if l.Rate > 0 {
		says = append(says, fmt.Sprintf("%d in %v", l.Rate, time.Duration(l.PerSeconds*float64(time.Second)).Round(time.Millisecond)))
	}
	if l.Burst > 0 {
		says = append(says, fmt.Sprintf("%d at once", l.Burst))
	}
	return cmp.Or(strings.Join(says, ", "), "no limit")
}
