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
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
}

const defaultDSN = "sqlite:sqlqueue.db"

// program is what the commands of one tree share.
type program struct {
	options Options
	root    *cobra.Command
	dsn     string
	prefix  string
	config  string // the name of the file

	file *configFile
	from map[*pflag.Flag]string // where the values of settings came from
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
		within(patience, func() { fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), oneLine(err)) })
	}
	return ExitCode(err)
}

// Command returns the command tree, for an application that has commands of its own. Errors are returned, not printed: [ExitCode] has
// the exit code of each. The Options' Name is the name of the command.
func Command(options Options) *cobra.Command { return newTree(options).root }

func newTree(options Options) *program {
	p := &program{options: options, file: &configFile{}, from: map[*pflag.Flag]string{}}
	p.options.Config.Queue = cmp.Or(os.Getenv("SQLQUEUE_QUEUE"), options.Config.Queue, "default")
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
		p.migrateCommand(),
		p.pushCommand(),
		p.laterCommand(),
		p.workCommand(),
		p.listenCommand(),
		p.jobsCommand(),
		p.queuesCommand(),
		p.statsCommand(),
		p.workersCommand(),
		p.dashboardCommand(),
		p.monitorCommand(),
		p.failedCommand(),
		p.retryCommand(),
		p.forgetCommand(),
		p.flushCommand(),
		p.pruneFailedCommand(),
		p.clearCommand(),
		p.pauseCommand(),
		p.resumeCommand(),
		p.restartCommand(),
		p.downCommand(),
		p.upCommand(),
		p.subscribeCommand(),
		p.subscriptionsCommand(),
		p.unsubscribeCommand(),
		p.benchCommand(),
		p.demoCommand(),
		p.configCommand(),
		p.completionCommand(),
		p.versionCommand(),
	)
	p.root = root
	flags := root.PersistentFlags()
	flags.StringVar(&p.config, "config", "", "file with settings (environment: SQLQUEUE_CONFIG) (default sqlqueue.yaml, if it is there)")
	flags.StringVar(&p.dsn, "dsn", cmp.Or(options.DSN, defaultDSN),
		"address of the database: postgres://…, mysql://… or sqlite:PATH (environment: SQLQUEUE_DSN)")
	flags.StringVar(&p.prefix, "prefix", options.Config.Prefix, "before the names of the tables (environment: SQLQUEUE_PREFIX)")
	flags.Lookup("dsn").DefValue = "" // help shows no password
	if options.DSN == "" {
		flags.Lookup("dsn").DefValue = defaultDSN
	}
	root.SetFlagErrorFunc(flagError)
	fitHelp(root)
	p.finish(root, root.Name())
	return p
}

// finish puts the program's name into the examples of a tree, has its commands take settings, and keeps cobra from printing errors, also
// below another's root.
func (p *program) finish(cmd *cobra.Command, name string) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "sqlqueue ", name+" ")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	completeFlags(cmd)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.configure(cmd); err != nil {
			return err
		}
		return run(cmd, args)
	}
	for _, child := range cmd.Commands() {
		p.finish(child, name)
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
			return usagef("%s needs %s: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usagef("%s does not take %q: %s", cmd.CommandPath(), args[most], cmd.UseLine())
		}
		return nil
	}
}
