package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

// completionCommand stands in place of cobra's own, which has no examples.
func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes commands and flags in a shell: " + strings.Join(shells, ", "),
		Long: "Print a script for bash, zsh, fish or powershell that completes commands, flags, and names and ids from the database.\n" +
			"In bash it needs the package bash-completion. It takes effect in new shells.",
		Example: `  sqlqueue completion bash >/etc/bash_completion.d/sqlqueue
  sqlqueue completion zsh >"${fpath[1]}/_sqlqueue"
  sqlqueue completion fish >~/.config/fish/completions/sqlqueue.fish
  source <(sqlqueue completion bash)`,
		Args:              between(1, 1, "SHELL"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return exit.Usagef("unknown shell %q: use %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// flagValues are the values of flags that take one of a few.
var flagValues = map[string][]string{
	"state":      {"ready", "delayed", "reserved", stateDone},
	"log-format": {"text", "json"},
	"expire":     {"off"},
	"dialect":    {"postgres", "mysql", "sqlite"},
}

// completeFlags has a shell complete the values of a command's flags.
func (e *env) completeFlags(cmd *cobra.Command) {
	for name, values := range flagValues {
		if cmd.Flags().Lookup(name) != nil {
			// fails only if done before
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for name, find := range map[string]finder{"queue": queueNames, "name": jobNames} {
		filters := cmd.Flags().Lookup("error") != nil || cmd.Flags().Lookup("field") != nil // --name is that of a job
		if cmd.Flags().Lookup(name) != nil && (name != "name" || filters) {
			_ = cmd.RegisterFlagCompletionFunc(name, e.complete(find, 0, anyNumber)) // fails only if done before
		}
	}
}

// anyNumber of arguments is completed.
const anyNumber = -1

// completeArguments has a shell complete the arguments of commands from the database.
func (e *env) completeArguments(root *cobra.Command) {
	for _, of := range []struct {
		commands string
		find     finder
		from, to int // arguments
	}{
		{"jobs show|jobs edit", jobIDs, 0, 1},
		{"jobs cancel|jobs release", jobIDs, 0, anyNumber},
		{"failed show", failedIDs, 0, 1},
		{"retry|forget", failedIDs, 0, anyNumber},
		{"push", jobNames, 0, 1},
		{"later", jobNames, 1, 2},
		{"monitor", queueNames, 0, anyNumber},
		{"limit|keep", queueNames, 0, 1},
		{"workers set", workerIDs, 0, 1},
		{"schedule pause|schedule resume|schedule run|schedule remove", scheduleNames, 0, 1},
		{"unsubscribe", subscriptionNames, 0, anyNumber},
		{"batches show|batches push|batches seal|batches cancel", batchIDs, 0, 1},
	} {
		for path := range strings.SplitSeq(of.commands, "|") {
			if cmd, _, err := root.Find(strings.Fields(path)); err == nil && cmd.CommandPath() == root.Name()+" "+path {
				cmd.ValidArgsFunction = e.complete(of.find, of.from, of.to)
			}
		}
	}
}

// finder finds words in the database, the likeliest first.
type finder func(ctx context.Context, o *operator.Operator) ([]string, error)

// complete completes arguments from the first index to before the last. What cannot be found out within a moment is not completed.
func (e *env) complete(find finder, from, to int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const patience = 3 * time.Second
		if len(args) < from || to >= 0 && len(args) >= to || e.settings.Configure(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var found []string
		err := e.withOperator(ctx, func(o *operator.Operator) (err error) {
			found, err = find(ctx, o)
			return err
		})
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// mostWords is how many words of the database are offered.
const mostWords = 100

func queueNames(ctx context.Context, o *operator.Operator) (names []string, err error) {
	queues, err := o.ServedQueues(ctx, 1)
	for _, q := range queues {
		if q.Queue != "" {
			names = append(names, q.Queue)
		}
	}
	return names, err
}

func jobIDs(ctx context.Context, o *operator.Operator) (ids []string, err error) {
	jobs, _, err := o.SearchJobs(ctx, operator.JobFilter{PayloadMax: operator.StartOfPayload}, mostWords)
	for _, j := range jobs {
		name, _ := operator.NameAndData(j.Payload)
		ids = append(ids, described(strconv.FormatInt(j.ID, 10), name+" in "+j.Queue))
	}
	return ids, err
}

func failedIDs(ctx context.Context, o *operator.Operator) (ids []string, err error) {
	jobs, _, err := o.SearchFailed(ctx, operator.FailedFilter{TextMax: operator.StartOfPayload}, mostWords)
	for _, j := range jobs {
		name, _ := operator.NameAndData(j.Payload)
		ids = append(ids, described(strconv.FormatInt(j.ID, 10), name+": "+j.Error))
	}
	return ids, err
}

// jobNames are the handlers of jobs that wait or have failed.
func jobNames(ctx context.Context, o *operator.Operator) (names []string, err error) {
	add := func(payload []byte) {
		name, _ := operator.NameAndData(payload)
		if name != "" && !slices.Contains(names, name) && !strings.ContainsFunc(name, unicode.IsControl) {
			names = append(names, name)
		}
	}
	jobs, _, err := o.SearchJobs(ctx, operator.JobFilter{PayloadMax: operator.StartOfPayload}, mostWords)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		add(j.Payload)
	}
	failed, _, err := o.SearchFailed(ctx, operator.FailedFilter{TextMax: operator.StartOfPayload}, mostWords)
	for _, j := range failed {
		add(j.Payload)
	}
	return names, err
}

func workerIDs(ctx context.Context, o *operator.Operator) (ids []string, err error) {
	workers, err := o.Workers(ctx)
	for _, w := range workers {
		if !w.Dead {
			ids = append(ids, described(w.ID, w.Name))
		}
	}
	return ids, err
}

func scheduleNames(ctx context.Context, o *operator.Operator) (names []string, err error) {
	schedules, err := o.Schedules(ctx)
	for _, s := range schedules {
		names = append(names, s.Name)
	}
	return names, err
}

func subscriptionNames(ctx context.Context, o *operator.Operator) (names []string, err error) {
	subscriptions, err := o.Subscriptions(ctx)
	for _, s := range subscriptions {
		names = append(names, s.Name)
	}
	return names, err
}

func batchIDs(ctx context.Context, o *operator.Operator) (ids []string, err error) {
	batches, err := o.Batches(ctx, 0, mostWords)
	for _, b := range batches {
		ids = append(ids, described(strconv.FormatInt(b.ID, 10), b.Name))
	}
	return ids, err
}

// described is a word with what a shell shows beside it.
func described(word, about string) string {
	const most = 60
	about = term.Printable(strings.Join(strings.Fields(about), " "))
	if runes := []rune(about); len(runes) > most {
		about = string(runes[:most])
	}
	return word + "\t" + about
}
