package cli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func queuesCommand(e *env) *cobra.Command {
	var asJSON, exact bool
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "List the queues with their jobs, workers and rates",
		Long: "List the queues: ready, delayed, reserved and failed jobs, since when the oldest ready job has been available, and the\n" +
			"number of workers. An empty queue is listed if a worker serves it. The last columns are rates over the last five whole\n" +
			"minutes; stats shows more of them. The row (all), in the JSON the queue with an empty name, shows controls that apply\n" +
			"to all queues.\n\n" +
			"Jobs are counted up to 10000, shown as 10000+ (counted_to in the JSON), unless you give --exact.",
		Example: `  sqlqueue queues
  sqlqueue queues --exact
  sqlqueue queues --json | jq '.[] | select(.ready > 1000) | .queue'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				most := int64(term.CountedTo)
				if exact {
					most = 0
				}
				infos, err := o.ServedQueues(cmd.Context(), most)
				if err != nil {
					return err
				}
				counts, err := o.Counts(cmd.Context(), queuesRates)
				if err != nil {
					return err
				}
				limits, err := o.Limits(cmd.Context())
				if err != nil {
					return err
				}
				queues := make([]listedQueue, len(infos))
				for i, info := range infos {
					r := counts.Rates(info.Queue, queuesRates)
					queues[i] = listedQueue{info, limitsJSON(operator.LimitsOf(limits, info.Queue)), r.Pushed, r.Done, r.Failed}
				}
				if asJSON {
					return term.WriteArray(cmd.OutOrStdout(), queues)
				}
				return queueTable(queues, time.Now()).Print(cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&exact, "exact", false, "count every job (slow with millions)")
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

// queuesRates is what the rates of queues are taken over.
const queuesRates = 5 * time.Minute

// listedQueue is a row of `queues --json`.
type listedQueue struct {
	operator.ServedQueue
	Limits []limitJSON `json:"limits,omitempty"`
	Pushed float64     `json:"pushed_per_minute"`
	Done   float64     `json:"done_per_minute"`
	Failed float64     `json:"failed_per_minute"`
}

func queueTable(queues []listedQueue, now time.Time) *term.Grid {
	const control = 6 // the column before which the workers stand
	columns := slices.Insert(queueColumns(), control, term.Number("WORKERS"))
	t := term.NewGrid(append(columns, term.Spare(term.Number("PUSHED/MIN")), term.Spare(term.Number("DONE/MIN")),
		term.Spare(term.Number("FAILED/MIN")))...)
	for _, i := range queues {
		cells := slices.Insert(queueCells(i.QueueInfo, i.Limits, now), control, workersOf(i))
		t.Add(append(cells, term.PerMinute(i.Pushed), term.PerMinute(i.Done), term.PerMinute(i.Failed))...)
		paintQueue(t, i.QueueInfo)
		if i.Failed > 0 {
			t.Paint("FAILED/MIN", term.Red)
		}
	}
	return t
}

// workersOf writes the number of a queue's workers. All queues together are no queue that one could serve.
func workersOf(q listedQueue) string {
	if q.Queue == "" {
		return "-"
	}
	return strconv.Itoa(q.Workers)
}

func queueColumns() []term.Column {
	return []term.Column{
		term.Text("QUEUE", 60), term.Number("READY"), term.Number("DELAYED"), term.Number("RESERVED"), term.Number("FAILED"),
		term.Word("OLDEST"), term.Spare(term.Text("CONTROL", 60)),
	}
}

func queueCells(i operator.QueueInfo, limits []limitJSON, now time.Time) []string {
	number := func(n int64) string { return term.UpTo(n, i.CountedTo) }
	return []string{
		cmp.Or(i.Queue, "(all)"), number(i.Ready), number(i.Delayed), number(i.Reserved), number(i.Failed), term.Ago(i.Oldest, now),
		cmp.Or(told(i.Control, limits, now), "-"),
	}
}

func paintQueue(t *term.Grid, i operator.QueueInfo) {
	if i.Failed > 0 {
		t.Paint("FAILED", term.Red)
	}
	if i.Control.Paused || i.Control.Maintenance {
		t.Paint("CONTROL", term.Yellow)
	}
}

// told says what operators have said about a queue.
func told(c operator.Control, limits []limitJSON, now time.Time) string {
	var says []string
	switch {
	case c.Paused && c.PausedUntil.IsZero():
		says = append(says, "paused")
	case c.Paused:
		says = append(says, "paused, ends "+term.Ago(c.PausedUntil, now))
	}
	if c.Maintenance {
		says = append(says, "down")
	}
	switch {
	case c.Expire == nil:
	case *c.Expire == 0:
		says = append(says, "expire off")
	default:
		says = append(says, "expire "+term.Duration(*c.Expire))
	}
	for _, l := range limits {
		text := limitText(l)
		if l.Queue != c.Queue {
			text += " (" + l.Queue + ")"
		}
		says = append(says, text)
	}
	return strings.Join(says, ", ")
}
