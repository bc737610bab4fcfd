package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const namesLong = `Show how often the jobs of each name ran, how long they took and how long they had waited: ` +
	`half of the runs were shorter than P50,
95 of 100 shorter than P95. Percentiles are off by at most a quarter. Queues below a level count as one: mail/42 as mail.

Workers write their counts every 10 s. They are kept for each minute for 3 h, then for 10 minutes up to 48 h, then for each hour up to
30 days. A worker counts 500 names apart; what comes after is shown as (other).

--json prints an array with an object for each name, the one with the most runs first:
  queue: its first level; name: empty for all others
  done, failed, released (runs that ended with an error or a release, and whose jobs run again): numbers of runs
  runs_per_minute; run_seconds and wait_seconds: objects with p50, p95 and p99
  trend: an object with done, failed and released, each an array of the numbers of runs in at most 61 equal parts of the time, the
    oldest first; the last part goes to now`

func namesCommand(e *env) *cobra.Command {
	var asJSON bool
	last, limit := time.Hour, 100
	cmd := &cobra.Command{
		Use:   "names",
		Short: "Show how long jobs of each name run and wait, and how many fail",
		Long:  namesLong,
		Example: `  sqlqueue names
  sqlqueue names --last 7d --queue mail
  sqlqueue names --json | jq '.[] | {name, p95: .run_seconds.p95}'`,
		Args: between(0, 0),
	}
	queue := settings.OneQueueFlag(cmd, "only this queue, with those below it")
	cmd.Flags().Var(settings.Duration(&last, namesPeriod), "last", "how far back to look, from 1m to 30d")
	cmd.Flags().Var(settings.Counter(&limit, 1), "limit", "how many names at most")
	settings.JSONFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			counts, err := o.Names(cmd.Context(), last)
			if err != nil {
				return err
			}
			names := counts.Names
			if q := queue(); q != "" {
				names = slices.DeleteFunc(names, func(n operator.NameStats) bool { return n.Queue != q })
			}
			more := len(names) - limit
			names = names[:min(len(names), limit)]
			if asJSON {
				err = term.WriteArray(cmd.OutOrStdout(), names)
			} else {
				err = namesTable(names).Print(cmd.OutOrStdout())
			}
			if more > 0 && err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d more with fewer runs: use --limit\n", more)
			}
			return err
		})
	}
	return cmd
}

func namesPeriod(d time.Duration) error {
	if d < time.Minute || d > operator.NamesKept {
		return fmt.Errorf("%s is not between 1m and %s", term.Duration(d), term.Duration(operator.NamesKept))
	}
	return nil
}

func namesTable(names []operator.NameStats) *term.Grid {
	t := term.NewGrid(term.Text("NAME", 60), term.Text("QUEUE", 40), term.Number("RUNS"), term.Number("PER MINUTE"), term.Number("FAILED"),
		term.Spare(term.Number("RELEASED")), term.Number("RUN P50"), term.Number("P95"), term.Number("P99"),
		term.Number("WAIT P50"), term.Spare(term.Number("P95")), term.Spare(term.Number("P99")))
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, n := range names {
		name := n.Name
		if name == "" {
			name = "(other)"
		}
		t.Add(name, n.Queue, number(n.Runs()), term.PerMinute(n.PerMinute), number(n.Failed), number(n.Released),
			seconds(n.Run.P50), seconds(n.Run.P95), seconds(n.Run.P99), seconds(n.Wait.P50), seconds(n.Wait.P95), seconds(n.Wait.P99))
		if n.Failed > 0 {
			t.Paint("FAILED", term.Red)
		}
	}
	return t
}

// seconds writes a duration to three digits: 1.23ms, 45.6s or 2h3m.
func seconds(s float64) string {
	d := time.Duration(math.Round(s * float64(time.Second)))
	if d >= time.Minute {
		return term.Duration(d.Round(time.Second))
	}
	digit := time.Duration(math.Pow10(max(int(math.Log10(float64(max(d, 1))))-2, 0)))
	return d.Round(digit).String()
}
