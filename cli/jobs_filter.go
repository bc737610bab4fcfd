package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const jobFilterLong = `--field KEY=VALUE matches a field in the jobs' data. Dots in KEY separate the keys of nested objects. ` +
	`VALUE is text, such as 42,
true or anna. If you give several, all must match. Conditions without an index, such as --name and --field, read every job of the queue.`

// jobFilter is the flags that select jobs.
type jobFilter struct {
	cmd       *cobra.Command
	filter    operator.JobFilter
	state     string
	newerThan time.Duration
	queue     func() string
	done      bool // the state done is one of those that can be asked for
}

var jobFilterNames = []string{"queue", "state", "name", "field", "older-than", "newer-than", "since", "until"}

func addJobFilter(cmd *cobra.Command) *jobFilter {
	f := &jobFilter{cmd: cmd, queue: settings.OneQueueFlag(cmd, "only jobs of this queue")}
	flags := cmd.Flags()
	flags.StringVar(&f.state, "state", "", "only jobs that are ready, delayed or reserved")
	flags.StringVar(&f.filter.Name, "name", "", "only jobs for this handler")
	flags.Var(fieldList{&f.filter.Fields}, "field", "only jobs with this value in their data, such as customer.id=42")
	flags.Var(settings.Duration(&f.filter.OlderThan, settings.Positive), "older-than",
		"only jobs pushed at least this long ago, such as 1d")
	flags.Var(settings.Duration(&f.newerThan, settings.Positive), "newer-than", "only jobs pushed within this time")
	flags.Var(settings.Moment(&f.filter.CreatedAfter), "since", "only jobs pushed at or after this time")
	flags.Var(settings.Moment(&f.filter.CreatedBefore), "until", "only jobs pushed before this time")
	flags.Lookup("older-than").DefValue, flags.Lookup("newer-than").DefValue = "", ""
	return f
}

// given reports whether there is any of the flags.
func (f *jobFilter) given() bool { return slices.ContainsFunc(jobFilterNames, f.cmd.Flags().Changed) }

// check looks for mistakes in what was typed.
func (f *jobFilter) check() error {
	switch state := operator.State(f.state); state {
	case "", operator.Ready, operator.Delayed, operator.Reserved:
	case stateDone:
		if !f.done {
			return exit.Usagef("finished jobs can only be listed")
		}
	case "failed":
		return exit.Usagef("failed jobs are listed by %s failed", f.cmd.Root().Name())
	case "running":
		return exit.Usagef("unknown state %q: jobs that run are reserved", f.state)
	case "finished", "completed", "succeeded":
		return exit.Usagef("unknown state %q: jobs that have finished, and are kept, are done", f.state)
	case "waiting", "pending", "available":
		return exit.Usagef("unknown state %q: jobs that wait are ready, or delayed until later", f.state)
	default:
		return exit.Usagef("unknown state %q: use ready, delayed or reserved", f.state)
	}
	if err := settings.NotEmpty(f.cmd, "name", "state"); err != nil {
		return err
	}
	if f.newerThan != 0 && !f.filter.CreatedAfter.IsZero() {
		return exit.Usagef("give --newer-than or --since, not both")
	}
	return nil
}

// of returns the filter for a database, whose clock decides.
func (f *jobFilter) of(ctx context.Context, o *operator.Operator) (operator.JobFilter, error) {
	filter := f.filter
	filter.State, filter.Queue = operator.State(f.state), f.queue()
	if f.newerThan != 0 {
		now, err := o.Now(ctx)
		if err != nil {
			return filter, err
		}
		filter.CreatedAfter = now.Add(-f.newerThan)
	}
	return filter, nil
}

// fieldList is a flag that takes conditions on the data of jobs.
type fieldList struct{ value *[]operator.Field }

func (l fieldList) String() string {
	if l.value == nil {
		return ""
	}
	var texts []string
	for _, f := range *l.value {
		texts = append(texts, strings.Join(f.Path, ".")+"="+f.Value)
	}
	return strings.Join(texts, ",")
}

func (l fieldList) Type() string { return "key=value" }

func (l fieldList) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	path := strings.Split(key, ".")
	if !found || slices.Contains(path, "") {
		return errors.New("use KEY=VALUE, with dots between the keys of objects in objects: customer.id=42")
	}
	*l.value = append(*l.value, operator.Field{Path: path, Value: value})
	return nil
}
