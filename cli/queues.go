package cli

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func (p *program) queuesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "List the queues and what they hold",
		Long: "List the queues and what they hold: jobs that are ready, delayed and reserved, failed jobs, and since when the oldest ready\n" +
			"job has been available. The queue with the empty name, shown as (all), stands for what was said about all queues.",
		Example: `  sqlqueue queues
  sqlqueue queues --json | jq '.[] | select(.ready > 1000) | .queue'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
				queues, err := q.Queues(cmd.Context(), 0)
				if err != nil {
					return err
				}
				if len(queues) > 0 && queues[0].Queue == "" && told(queues[0].Control, time.Now()) == "" {
					queues = queues[1:]
				}
				if asJSON {
					return writeArray(cmd.OutOrStdout(), queues)
				}
				return table(cmd.OutOrStdout(), queueRows(queues, time.Now()))
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func queueRows(queues []sqlqueue.QueueInfo, now time.Time) [][]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"QUEUE", "READY", "DELAYED", "RESERVED", "FAILED", "OLDEST", "CONTROL"}}
	for _, i := range queues {
		name := brief(i.Queue, 60)
		if name == "" {
			name = "(all)"
		}
		rows = append(rows, []string{
			name, number(i.Ready), number(i.Delayed), number(i.Reserved), number(i.Failed), ago(i.Oldest, now), cmp.Or(told(i.Control, now), "-"),
		})
	}
	return rows
}

// told says what operators have said about a queue.
func told(c sqlqueue.Control, now time.Time) string {
	var says []string
	switch {
	case c.Paused && c.PausedUntil.IsZero():
		says = append(says, "paused")
	case c.Paused:
		says = append(says, "paused, ends "+ago(c.PausedUntil, now))
	}
	if c.Maintenance {
		says = append(says, "down")
	}
	switch {
	case c.Expire == nil:
	case *c.Expire == 0:
		says = append(says, "expire off")
	default:
		says = append(says, "expire "+formatDuration(*c.Expire))
	}
	return strings.Join(says, ", ")
}
