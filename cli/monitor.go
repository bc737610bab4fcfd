package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// aliveFor is how long ago a worker that runs can have written its row, which it does every 5 s.
const aliveFor = 30 * time.Second

func (p *program) monitorCommand() *cobra.Command {
	most, workers := 1000, 0
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "monitor QUEUE…",
		Short: "Exit 2 when a queue has too many ready jobs, or too few workers",
		Long: "Exit 2 when a queue has more ready jobs than --max, or fewer workers than --min-workers, and say which. Jobs that are delayed or\n" +
			"reserved do not count; a worker counts if it has written its row within 30 s.",
		Example: `  sqlqueue monitor mail default --max 500
  sqlqueue monitor mail --min-workers 1 || notify-send 'mail is stuck'`,
		Args: between(1, -1, "QUEUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var queues []string
			names := queueNames{value: &queues, given: new(bool)}
			for _, arg := range args {
				if err := names.Set(arg); err != nil {
					return usagef("%v", err)
				}
			}
			return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
				found, err := monitor(cmd, q, queues, int64(most), workers)
				if err != nil {
					return err
				}
				if asJSON {
					err = writeArray(cmd.OutOrStdout(), found)
				} else {
					err = table(cmd.OutOrStdout(), monitorRows(found, time.Now()))
				}
				return errors.Join(err, alert(found))
			})
		},
	}
	cmd.Flags().Var(counter{value: &most}, "max", "how many ready jobs are not too many")
	cmd.Flags().Var(counter{value: &workers}, "min-workers", "how many workers each queue needs")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// monitored is a queue that monitor looks at.
type monitored struct {
	Queue   string    `json:"queue"`
	Ready   int64     `json:"ready"`
	Oldest  time.Time `json:"oldest,omitzero"`
	Workers int       `json:"workers"`
	Alerts  []string  `json:"alerts"`
}

func monitor(cmd *cobra.Command, q *sqlqueue.Queue, queues []string, most int64, workers int) ([]monitored, error) {
	held, err := q.Queues(cmd.Context(), 0)
	if err != nil {
		return nil, err
	}
	running, err := q.Workers(cmd.Context())
	if err != nil {
		return nil, err
	}
	clock, err := q.Exchange(cmd.Context(), sqlqueue.Exchange{}) // the database's, like the workers' rows
	if err != nil {
		return nil, err
	}
	running = slices.DeleteFunc(running, func(w sqlqueue.Worker) bool { return clock.Now.Sub(w.SeenAt) > aliveFor })
	found := make([]monitored, len(queues))
	for i, queue := range queues {
		m := monitored{Queue: queue, Alerts: []string{}}
		for _, info := range held {
			if info.Queue == queue {
				m.Ready, m.Oldest = info.Ready, info.Oldest
			}
		}
		for _, w := range running {
			if slices.Contains(w.Queues, queue) {
				m.Workers++
			}
		}
		if m.Ready > most {
			m.Alerts = append(m.Alerts, fmt.Sprintf("%d ready jobs, more than %d", m.Ready, most))
		}
		if m.Workers < workers {
			m.Alerts = append(m.Alerts, fmt.Sprintf("%d workers, fewer than %d", m.Workers, workers))
		}
		found[i] = m
	}
	return found, nil
}

func monitorRows(found []monitored, now time.Time) [][]string {
	rows := [][]string{{"QUEUE", "READY", "OLDEST", "WORKERS", "ALERT"}}
	for _, m := range found {
		says := "-"
		if len(m.Alerts) > 0 {
			says = strings.Join(m.Alerts, "; ")
		}
		rows = append(rows, []string{brief(m.Queue, 60), strconv.FormatInt(m.Ready, 10), ago(m.Oldest, now), strconv.Itoa(m.Workers), says})
	}
	return rows
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
	return &codedError{exitAlert, errors.New(strings.Join(says, "; "))}
}
