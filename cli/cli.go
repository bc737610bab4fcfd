// Package cli is the sqlqueue command: a tree of commands that pushes, works and looks after jobs.
//
// An application embeds it to get the same tree with its own handlers:
//
//	func main() {
//		mux := worker.NewMux()
//		worker.Handle(mux, sendInvoice)
//		os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "shop", Mux: mux}))
//	}
//
// Then `shop work --queue high,default` runs the handlers, and `shop push`, `shop queues`, `shop failed` and the rest work as in the
// stock binary. An application with commands of its own adds [Command] to them.
//
// Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 error, 2 a mistake in what was typed, or an
// alert, 12 memory limit.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/run"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Options is what an application gives to its command tree. The zero value makes the stock binary.
type Options struct {
	// Name is what help and errors call the program. Default "sqlqueue".
	Name string

	// Mux has the application's handlers, which work runs. Default nil: work then needs --exec, --handlers or
	// subscriptions.
	Mux *worker.Mux

	// DSN is the address of the database where neither --dsn nor SQLQUEUE_DSN gives one. Default "sqlite:sqlqueue.db".
	DSN string

	// Config is the queue's. Its Prefix holds where neither --prefix nor SQLQUEUE_PREFIX gives one, its Queue where neither --queue
	// nor SQLQUEUE_QUEUE does.
	Config sqlqueue.Config

	// Worker has the worker's settings where flags give none.
	Worker worker.Config

	// Commands returns commands that stand beside these in the tree. They take no settings. It makes new ones whenever it is called.
	Commands func() []*cobra.Command
}

// Begin is for a main that does something before [Main] or [Command], which call it too: listen on a port, read standard input, or look at
// the arguments. Call it first. On Unix, work and listen run commands and children under a supervisor, which is another process of the same
// program: in that, Begin does not return.
func Begin() {
	supervise.Become()
	child.Serves()
}

// Main runs the command that args name, without the program's own name, and returns the exit code: what main gives to os.Exit. It
// uses standard input, output and error. The command ends when ctx does; work, which also ends at TERM, INT, QUIT and HUP,
// then finishes what it runs; from then on the process outlives PIPE.
func Main(ctx context.Context, args []string, options Options) int {
	return execute(ctx, Command(options), args) //nolint:contextcheck // commands get theirs from cobra
}

func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(append([]string{}, commandFirst(root, args)...)) // cobra takes nil for those of the process
	err := root.ExecuteContext(ctx)
	if err != nil {
		const patience = 2 * time.Second // with a standard error that takes nothing
		run.Within(patience, func() { fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), oneLine(err)) })
	}
	return ExitCode(err)
}

// ExitCode returns the exit code that goes with what a command of [Command] returned: 0 for nil, 2 for a mistake in what was typed,
// 12 for a memory limit that was reached, 1 for any other error.
func ExitCode(err error) int { return exit.Code(err) }

// oneLine makes an error fit for one line of a terminal.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "sqlqueue: ") // the library's own; the program's name stands before it anyway
	var lines []string
	for line := range strings.Lines(text) {
		if line = term.Printable(strings.TrimSpace(line)); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":;", ":")
}

// Command returns the command tree, for an application that has commands of its own. Errors are returned, not printed: [ExitCode] has
// the exit code of each. The Options' Name is the name of the command.
func Command(options Options) *cobra.Command {
	Begin()
	root, _ := newTree(options)
	return root
}

// newTree returns a tree and the settings that its commands share.
func newTree(options Options) (*cobra.Command, *settings.Settings) {
	scratch := func() *settings.Settings {
		_, settings := newTree(options)
		return settings
	}
	e := &env{options, settings.New(options.Config.Queue, len(options.Worker.Queues) > 0, scratch)}
	root := group(&cobra.Command{
		Use:   cmp.Or(options.Name, "sqlqueue"),
		Short: "Jobs in the database that you already have",
		Long: "Jobs in the database that you already have: PostgreSQL, MySQL, MariaDB or SQLite.\n\n" +
			"Durations are seconds (90) or have a unit (1.5s, 10m, 2h, 1d, 1w). Data goes to standard output, everything else to standard error.\n" +
			"Exit codes: 0 done, 1 error, 2 a mistake in what was typed, or an alert, 12 memory limit.\n" +
			"Settings can also come from the environment and from a file: config --help tells how.",
		Example: `  sqlqueue migrate up
  sqlqueue push send_invoice '{"order_id":42}'
  sqlqueue work --exec 'jq .order_id'
  sqlqueue queues
  sqlqueue failed`,
	},
		migrateCommand(e),
		pushCommand(e),
		laterCommand(e),
		workCommand(e),
		listenCommand(e),
		jobsCommand(e),
		queuesCommand(e),
		statsCommand(e),
		workersCommand(e),
		monitorCommand(e),
		failedCommand(e),
		retryCommand(e),
		forgetCommand(e),
		flushCommand(e),
		pruneFailedCommand(e),
		clearCommand(e),
		pauseCommand(e),
		resumeCommand(e),
		restartCommand(e),
		downCommand(e),
		upCommand(e),
		subscribeCommand(e),
		subscriptionsCommand(e),
		unsubscribeCommand(e),
		benchCommand(e),
		configCommand(e),
	)
	e.settings.Flags(root, options.DSN, options.Config.Prefix)
	root.SetFlagErrorFunc(flagError)
	term.FitHelp(root)
	finish(root, root.Name(), e.settings.Configure)
	plain := []*cobra.Command{completionCommand(), versionCommand()} // they need no settings
	if options.Commands != nil {
		for _, cmd := range options.Commands() {
			refuseUsage(cmd)
			plain = append(plain, cmd)
		}
	}
	for _, cmd := range plain {
		finish(cmd, root.Name(), nil)
		root.AddCommand(cmd)
	}
	return root, e.settings
}

// finish puts the program's name into the examples of a tree, has its commands call before first, if it is not nil, and keeps cobra from
// printing errors, also below another's root.
func finish(cmd *cobra.Command, name string, before func(*cobra.Command) error) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "sqlqueue ", name+" ")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	completeFlags(cmd)
	if run := cmd.RunE; before != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := before(cmd); err != nil {
				return err
			}
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		finish(child, name, before)
	}
}

// refuseUsage makes what a tree's commands say about their arguments errors of usage.
func refuseUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return exit.With(exit.Usage, err)
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		refuseUsage(child)
	}
}

// commandFirst moves the words that name the command before the flags, so that each command's flags may stand anywhere.
func commandFirst(root *cobra.Command, args []string) []string {
	takesValue := map[string]bool{"--help": false, "-h": false}
	noteFlags(root, takesValue)
	var path, rest []string
	for cmd := root; len(args) > 0; {
		n := 1 // of args to move
		switch name, _, hasValue := strings.Cut(args[0], "="); {
		case !strings.HasPrefix(name, "-"):
			if cmd = childOf(cmd, name); cmd == nil {
				return slices.Concat(path, rest, args)
			}
			path, args = append(path, name), args[1:]
			continue
		case takesValue[name] && !hasValue && len(args) > 1:
			n = 2
		default:
			if _, known := takesValue[name]; !known {
				return slices.Concat(path, rest, args)
			}
		}
		rest, args = append(rest, args[:n]...), args[n:]
	}
	return slices.Concat(path, rest)
}

// noteFlags tells of each flag of a tree whether a value follows it.
func noteFlags(cmd *cobra.Command, takesValue map[string]bool) {
	note := func(f *pflag.Flag) { takesValue["--"+f.Name] = f.NoOptDefVal == "" }
	cmd.PersistentFlags().VisitAll(note)
	cmd.LocalNonPersistentFlags().VisitAll(note)
	for _, child := range cmd.Commands() {
		noteFlags(child, takesValue)
	}
}

func childOf(cmd *cobra.Command, name string) *cobra.Command {
	for _, child := range cmd.Commands() {
		if child.Name() == name || child.HasAlias(name) {
			return child
		}
	}
	return nil
}

// between checks how many arguments there are, for cobra.Command's Args. The names of the needed ones are for the error. A negative
// most is no limit.
func between(least, most int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return exit.Usagef("%s needs %s: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
		case most >= 0 && len(args) > most:
			return exit.Usagef("%s does not take %q: %s", cmd.CommandPath(), args[most], cmd.UseLine())
		}
		return nil
	}
}
