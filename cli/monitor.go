package cli

import (
	"cmp"
	"errors"
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

func monitorCommand(e *env) *cobra.Command {
	most, workers := 1000, 0
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "monitor QUEUE…",
		Short: "Exit 2 when a queue has too many ready jobs, or too few workers",
		Long: "Exit 2 when a queue has more ready jobs than --max, fewer workers than --min-workers, or ready jobs and no worker, and\n" +
			"say which. --min-workers 0 allows ready jobs without a worker, for workers that cron starts. Delayed and reserved jobs\n" +
			"do not count, and counting stops at --max + 1. A worker counts if it has written its row in the last 30 s.",
		Example: `  sqlqueue monitor mail default --max 500
  sqlqueue monitor mail --min-workers 1 || notify-send 'mail is stuck'`,
		Args: between(1, -1, "QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var queues []string
			names := settings.QueueNames(&queues)
			for _, arg := range args {
				if err := names.Set(arg); err != nil {
					return exit.Usagef("%v", err)
				}
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				none := cmd.Flags().Changed("min-workers") && workers == 0
				found, err := monitor(cmd, o, queues, int64(most), workers, none)
				if err != nil {
					return err
				}
				if asJSON {
					err = term.WriteArray(cmd.OutOrStdout(), found)
				} else {
					err = monitorTable(found, time.Now()).Print(cmd.OutOrStdout())
				}
				return errors.Join(err, alert(found))
			})
		},
	}
	cmd.Flags().Var(settings.Counter(&most, 0), "max", "alert above this many ready jobs")
	cmd.Flags().Var(settings.Counter(&workers, 0), "min-workers",
		"how many workers each queue needs (default: one while it has ready jobs)")
	cmd.Flags().Lookup("min-workers").DefValue = ""
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

// monitored is a queue that monitor looks at.
type monitored struct {
	Queue     string    `json:"queue"`
	Ready     int64     `json:"ready"`
	CountedTo int64     `json:"counted_to,omitzero"` // one more than too many: as great, Ready stands for so many or more
	Oldest    time.Time `json:"oldest,omitzero"`
	Workers   int       `json:"workers"`
	Alerts    []string  `json:"alerts"`
}

// monitor looks at queues. none allows ready jobs without a worker.
func monitor(cmd *cobra.Command, o *operator.Operator, queues []string, most int64, workers int, none bool) ([]monitored, error) {
	loads, err := o.Loads(cmd.Context(), queues, most+1)
	if err != nil {
		return nil, err
	}
	found := make([]monitored, len(loads))
	for i, load := range loads {
		m := monitored{load.Queue, load.Ready, load.CountedTo, load.Oldest, load.Workers, []string{}}
		if m.Ready > most {
			m.Alerts = append(m.Alerts, fmt.Sprintf("more than %d ready jobs", most))
		}
		switch {
		case m.Workers < workers:
			m.Alerts = append(m.Alerts, fmt.Sprintf("%d workers, fewer than %d", m.Workers, workers))
		case m.Workers == 0 && m.Ready > 0 && !none:
			m.Alerts = append(m.Alerts, "ready jobs and no worker")
		}
		found[i] = m
	}
	return found, nil
}

func monitorTable(found []monitored, now time.Time) *term.Grid {
	t := term.NewGrid(term.Text("QUEUE", 60), term.Number("READY"), term.Word("OLDEST"), term.Number("WORKERS"), term.Text("ALERT", 120))
	for _, m := range found {
		t.Add(m.Queue, term.UpTo(m.Ready, m.CountedTo), term.Ago(m.Oldest, now), strconv.Itoa(m.Workers),
			cmp.Or(strings.Join(m.Alerts, "; "), "-"))
		if len(m.Alerts) > 0 {
			t.Paint("ALERT", term.Red)
		}
	}
	return t
}

// alert is the error of queues that need somebody, or nil.
func alert(found []monitored) error {
	var says []string
	for _, m := range found {
		if len(m.Alerts) > 0 {
			says = append(says, fmt.Sprintf("queue %q has %s", m.Queue, strings.Join(m.Alerts, " and ")))
		}
	}
	if says == nil {
		return nil
	}
	return exit.With(exit.Alert, errors.New(strings.Join(says, "; ")))
}
