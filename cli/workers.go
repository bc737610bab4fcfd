package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func workersCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "List the workers: where they run, and since when",
		Long: "List the workers, by the time when they started. A worker writes its row when it starts and every 5 s, and deletes it\n" +
			"when it ends. A worker that has not written its row for 30 s is shown as dead; the row of a killed worker stays for 10\n" +
			"minutes.",
		Example: `  sqlqueue workers
  sqlqueue workers --json | jq -r '.[].host'
  sqlqueue workers set 5f0c2d1e9a3b4c5d --concurrency 50`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				workers, err := o.Workers(cmd.Context())
				if err != nil {
					return err
				}
				now, err := o.Now(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return term.WriteArray(cmd.OutOrStdout(), workers)
				}
				return workerTable(workers, now).Print(cmd.OutOrStdout())
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	cmd.AddCommand(workersSetCommand(e))
	return cmd
}

func workerTable(workers []operator.Worker, now time.Time) *term.Grid {
	t := term.NewGrid(term.Word("ID"), term.Text("NAME", 40), term.Text("HOST", 40), term.Spare(term.Number("PID")),
		term.Text("QUEUES", 40), term.Number("CONCURRENCY"), term.Spare(term.Word("WANTED")),
		term.Word("STATE"), term.Spare(term.Word("STARTED")), term.Spare(term.Word("SEEN")))
	for _, w := range workers {
		wanted, state := "-", cmp.Or(w.Status, "running")
		if w.WantedConcurrency != 0 && w.WantedConcurrency != w.Concurrency {
			wanted = strconv.Itoa(w.WantedConcurrency)
		}
		if w.Dead {
			state = "dead"
		}
		t.Add(w.ID, w.Name, w.Host, strconv.Itoa(w.PID), strings.Join(w.Queues, ","), strconv.Itoa(w.Concurrency), wanted, state,
			term.Ago(w.StartedAt, now), term.Ago(w.SeenAt, now))
		if w.Dead {
			t.Paint("STATE", term.Yellow)
		}
	}
	return t
}

func workersSetCommand(e *env) *cobra.Command {
	var concurrency int
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change how many jobs a worker runs at once, while it runs",
		Long: "Change how many jobs a worker runs at once, while it runs. It takes effect within two seconds, or eight if more than\n" +
			"ten workers are idle. 0 goes back to the worker's own setting.",
		Example: `  sqlqueue workers set 5f0c2d1e9a3b4c5d --concurrency 50
  sqlqueue workers set 5f0c2d1e9a3b4c5d --concurrency 0`,
		Args: between(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("concurrency") {
				return exit.Usagef("%s needs --concurrency N", cmd.CommandPath())
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				if err := o.SetConcurrency(cmd.Context(), args[0], concurrency); err != nil {
					return err
				}
				says := fmt.Sprintf("worker %s: concurrency %d", args[0], concurrency)
				if concurrency == 0 {
					says = fmt.Sprintf("worker %s: its own concurrency", args[0])
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), term.Printable(says))
				return err
			})
		},
	}
	cmd.Flags().Var(settings.Counter(&concurrency, 0), "concurrency", "how many jobs to run at once, 0 for the worker's own setting")
	cmd.Flags().Lookup("concurrency").DefValue = ""
	return cmd
}
