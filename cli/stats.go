package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const statsLong = `Show the jobs of each queue, and the rates a minute: jobs that were pushed, were done, ` +
	`failed for good, or were released to
run again (after an error, or by their handler). Rates are over the last whole minute, the last five, and all of --since, at most 48h.
TREND is a chart of --since, with the present on the right and one scale for all rows of a queue.

Workers write their counts every few seconds. A + marks a lower bound: jobs are counted up to 10000, and the rate of pushes includes
only the newest 5,000 waiting jobs.

--json prints an array with an object for each queue:
  queue, ready, delayed, reserved, failed, oldest, counted_to, control: as in queues
  rates: an array of objects with minutes (how many the rate covers), pushed, done, failed and released (jobs per minute), and
    pushed_at_least if pushed is a lower bound
  minutes: an array of the minutes with jobs, oldest first, as objects with minute (its start), pushed, done, failed and released (jobs)

--watch repeats it every 2 s, or at the interval that you give, until Ctrl-C. The exit code is then 0.`

func statsCommand(e *env) *cobra.Command {
	s := &stats{env: e, since: time.Hour}
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show the queues' jobs, and their rates over time",
		Long:  statsLong,
		Example: `  sqlqueue stats
  sqlqueue stats --queue mail --since 1d
  sqlqueue stats --watch 5
  sqlqueue stats --json | jq '.[] | {queue, done: .rates[1].done}'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("watch") && len(args) == 1 { // --watch 5
				if err := cmd.Flags().Set("watch", args[0]); err != nil {
					return flagError(cmd, err)
				}
				return nil
			}
			return between(0, 0)(cmd, args)
		},
	}
	s.queue = settings.OneQueueFlag(cmd, "only this queue")
	cmd.Flags().Var(settings.Duration(&s.since, period), "since", "how far back to look, from 1m to 48h")
	cmd.Flags().Var(settings.Duration(&watch, settings.Positive), "watch", "repeat every 2 s, or at this interval")
	cmd.Flags().Lookup("watch").DefValue, cmd.Flags().Lookup("watch").NoOptDefVal = "", "2s"
	settings.JSONFlag(cmd, &s.asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			if watch > 0 {
				return s.watch(cmd, o, watch)
			}
			return s.show(cmd.Context(), o, cmd.OutOrStdout(), term.WidthOf(cmd.OutOrStdout()), term.IsColoured(cmd.OutOrStdout()))
		})
	}
	return cmd
}

func period(d time.Duration) error {
	if d < time.Minute || d > operator.CountsKept {
		return fmt.Errorf("%s is not between 1m and %s", term.Duration(d), term.Duration(operator.CountsKept))
	}
	return nil
}

// stats is one run of stats.
type stats struct {
	*env
	queue  func() string
	since  time.Duration
	asJSON bool
}

// show prints all of it once, for lines of so many characters; 0: of any number.
func (s *stats) show(ctx context.Context, o *operator.Operator, w io.Writer, line int, coloured bool) error {
	got, err := o.Stats(ctx, operator.StatsFilter{Queue: s.queue(), Since: s.since, Most: term.CountedTo})
	switch {
	case err != nil:
		return err
	case s.asJSON:
		return term.WriteArray(w, got.Queues)
	}
	sizes, trends := term.NewGrid(queueColumns()...), s.trendTable(got)
	for _, i := range got.Queues {
		sizes.Add(queueCells(i.QueueInfo, nil, got.Now)...)
		paintQueue(sizes, i.QueueInfo)
	}
	if err := sizes.WriteLines(w, line, coloured); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return trends.WriteLines(w, line, coloured)
}

// trendTable has rows for each queue in which something happened.
func (s *stats) trendTable(of operator.Stats) *term.Grid {
	periods := of.Periods
	step := trendStep(periods[len(periods)-1])
	columns := []term.Column{term.Text("QUEUE", 60), term.Word("PER MINUTE")}
	for _, period := range periods {
		columns = append(columns, term.Number(strings.ToUpper(term.Duration(period))))
	}
	t := term.NewGrid(append(columns, term.Spare(term.Word("TREND, EACH "+strings.ToUpper(term.Duration(step)))))...)
	for _, i := range of.Queues {
		if len(i.Minutes) == 0 {
			continue
		}
		pushed := i.Trend(of.Now, s.since, step, func(m operator.Minute) int64 { return m.Pushed })
		done := i.Trend(of.Now, s.since, step, func(m operator.Minute) int64 { return m.Done })
		failed := i.Trend(of.Now, s.since, step, func(m operator.Minute) int64 { return m.Failed })
		released := i.Trend(of.Now, s.since, step, func(m operator.Minute) int64 { return m.Released })
		most := slices.Max(slices.Concat(pushed, done, failed, released))
		row := func(queue, event string, trend []int64, rate func(operator.Rates) float64) {
			cells := []string{queue, event}
			for _, r := range i.Rates {
				text := term.PerMinute(rate(r))
				if event == "pushed" && r.AtLeast {
					text += "+"
				}
				cells = append(cells, text)
			}
			t.Add(append(cells, term.Sparkline(trend, most))...)
		}
		row(i.Queue, "pushed", pushed, func(r operator.Rates) float64 { return r.Pushed })
		row("", "done", done, func(r operator.Rates) float64 { return r.Done })
		row("", "failed", failed, func(r operator.Rates) float64 { return r.Failed })
		if slices.Max(failed) > 0 {
			t.Paint("PER MINUTE", term.Red)
		}
		row("", "released", released, func(r operator.Rates) float64 { return r.Released })
	}
	return t
}

// mostSteps is how many blocks a trend has at most.
const mostSteps = 30

// trendStep returns how long each block of a trend stands for.
func trendStep(period time.Duration) time.Duration {
	for _, minutes := range []int{1, 2, 5, 10, 15, 30, 60} {
		if step := time.Duration(minutes) * time.Minute; period <= mostSteps*step {
			return step
		}
	}
	return 2 * time.Hour
}

// watch shows it every so often, on a terminal in place, until a signal.
func (s *stats) watch(cmd *cobra.Command, o *operator.Operator, every time.Duration) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	w := cmd.OutOrStdout()
	inPlace := term.CanRedraw(w) && !s.asJSON
	if inPlace {
		if _, err := io.WriteString(w, "\x1b[2J"); err != nil {
			return err
		}
	}
	ended := func() error {
		if inPlace {
			fmt.Fprintln(w) // after the terminal's ^C
		}
		return cmd.Context().Err()
	}
	for {
		var frame bytes.Buffer
		err := s.show(ctx, o, &frame, term.WidthOf(w), term.IsColoured(w))
		switch {
		case ctx.Err() != nil:
			return ended()
		case err != nil:
			return err
		case inPlace:
			_, err = io.WriteString(w,
				term.InPlaceOf(frame.String(), fmt.Sprintf("%s, every %s", time.Now().Format(time.TimeOnly), term.Duration(every)),
					term.HeightOf(w)))
		default:
			_, err = frame.WriteTo(w)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ended()
		case <-tick.C:
		}
	}
}
