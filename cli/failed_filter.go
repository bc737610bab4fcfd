package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// failedFilter is the flags that select failed jobs.
type failedFilter struct {
	cmd    *cobra.Command
	filter operator.FailedFilter
	queue  func() string
}

var failedFilterNames = []string{"queue", "name", "error", "older-than"}

// addFailedFilter adds the flags. Their explanations begin with the condition.
func addFailedFilter(cmd *cobra.Command, condition string) *failedFilter {
	f := &failedFilter{cmd: cmd, queue: settings.OneQueueFlag(cmd, condition+"only failed jobs of this queue")}
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Name, "name", "", condition+"only failed jobs for this handler")
	flags.StringVar(&f.filter.Error, "error", "", condition+"only failed jobs with this text in their error; a * stands for any text")
	flags.Var(settings.Duration(&f.filter.OlderThan, settings.Positive), "older-than",
		condition+"only jobs that failed at least this long ago, such as 1d")
	flags.Lookup("older-than").DefValue = ""
	return f
}

func (f *failedFilter) of() (operator.FailedFilter, error) {
	filter := f.filter
	filter.Queue = f.queue()
	return filter, settings.NotEmpty(f.cmd, "name", "error")
}

// idsOrAll returns the filter of a command that takes ids, or --all with conditions.
func (f *failedFilter) idsOrAll(all bool, args []string) (filter operator.FailedFilter, err error) {
	switch {
	case all && len(args) > 0:
		return filter, exit.Usagef("give ids or --all, not both")
	case all:
		return f.of()
	case slices.ContainsFunc(failedFilterNames, f.cmd.Flags().Changed):
		return filter, exit.Usagef("--queue, --name, --error and --older-than go with --all: %s", f.cmd.UseLine())
	case len(args) == 0:
		return filter, exit.Usagef("%s needs ids of failed jobs, or --all: %s", f.cmd.CommandPath(), f.cmd.UseLine())
	}
	filter.IDs, err = settings.ParseIDs(args)
	return filter, err
}

// forget deletes the failed jobs that pass a filter, with consent: which they are, in large groups, is told to the person who is asked.
func forget(cmd *cobra.Command, consent *consent, o *operator.Operator, filter operator.FailedFilter) error {
	goOn, err := consent.given(cmd, "forget", func() (extent, error) {
		groups, err := o.FailedGroups(cmd.Context(), filter, term.CountedTo)
		return extentOf(groups, term.WidthOf(cmd.ErrOrStderr())), err
	})
	if !goOn {
		return err
	}
	n, err := inBatches(cmd, "forgot", "failed job", "", func(ctx context.Context, progress func(int)) (int, error) {
		return o.Forget(ctx, filter, progress)
	})
	return reportCount(cmd, "forgot", n, "failed job", err)
}

// extentOf tells how many failed jobs there are, and the largest groups of them.
func extentOf(groups []operator.FailedGroup, line int) extent {
	const most = 5
	var found extent
	for _, g := range groups {
		found.n += int(g.Count)
	}
	found.text = term.CountTo(found.n, "failed job")
	t := term.NewGrid(term.Number(""), term.Text("", 30), term.Text("", 30), term.Text("", 80))
	for i, g := range groups {
		if i == most {
			break
		}
		t.Add(fmt.Sprint(g.Count), g.Queue, g.Name, g.Error)
	}
	var b strings.Builder
	_ = t.WriteLines(&b, line, false)
	if more := len(groups) - most; more > 0 {
		fmt.Fprintf(&b, "and %s\n", term.Count(more, "other group"))
	}
	found.details = b.String()
	return found
}

// groupTable shows groups of failed jobs.
func groupTable(groups []operator.FailedGroup, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("COUNT"), term.Text("QUEUE", 30), term.Text("NAME", 30), term.Spare(term.Word("FIRST")),
		term.Word("LAST"), term.Number("NEWEST"), term.Text("ERROR", 120))
	for _, g := range groups {
		t.Add(fmt.Sprint(g.Count), g.Queue, g.Name, term.Ago(g.First, now), term.Ago(g.Last, now), fmt.Sprint(g.ID), g.Error)
	}
	return t
}
