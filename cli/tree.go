package cli

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// newTree returns a tree and the settings that its commands share.
func newTree(options Options) (*cobra.Command, *settings.Settings) {
	scratch := func() *settings.Settings {
		_, settings := newTree(options)
		return settings
	}
	e := &env{options: options, settings: settings.New(options.Config.Queue, len(options.Worker.Queues) > 0, scratch)}
	root := group(&cobra.Command{
		Use:   cmp.Or(options.Name, "sqlqueue"),
		Short: "Jobs in the database that you already have",
		Long: "Jobs in the database that you already have: PostgreSQL, MySQL, MariaDB or SQLite.\n\n" +
			"Durations are seconds (90) or have a unit (1.5s, 10m, 2h, 1d, 1w). Data goes to standard output, everything else to\n" +
			"standard error.\n" +
			"Exit codes: 0 done, 1 error, 2 a mistake in what was typed, or an alert, 12 memory limit.\n" +
			"Settings can also come from the environment and from a file: config --help tells how.",
		Example: `  sqlqueue migrate up
  sqlqueue push send_invoice '{"order_id":42}'
  sqlqueue work --exec 'jq .order_id'
  sqlqueue queues
  sqlqueue failed`,
	})
	for _, g := range e.groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID(settingUp)
	e.settings.Flags(root, options.DSN, options.Config.Prefix, options.Config.Schema)
	root.SetFlagErrorFunc(flagError)
	term.FitHelp(root)
	e.completeArguments(root)
	e.finish(root, root.Name(), e.settings.Configure)
	plain := []*cobra.Command{completionCommand(), versionCommand()} // they need no settings
	for _, cmd := range plain {
		cmd.GroupID = settingUp
	}
	root.Version = versionText()
	root.SetVersionTemplate("{{.Version}}")
	root.Flags().Bool("version", false, "print the versions of sqlqueue, of its tables and of Go")
	if options.Commands != nil {
		for _, cmd := range options.Commands() {
			refuseUsage(cmd)
			plain = append(plain, cmd)
		}
	}
	for _, cmd := range plain {
		e.finish(cmd, root.Name(), nil)
		root.AddCommand(cmd)
	}
	return root, e.settings
}

// settingUp is the group of commands that come before and beside the work with jobs.
const settingUp = "Set up"

// commandGroup is commands that help shows together.
type commandGroup struct {
	title    string
	commands []*cobra.Command
}

func (e *env) groups() []commandGroup {
	return []commandGroup{
		{
			"Push and run jobs",
			[]*cobra.Command{pushCommand(e), laterCommand(e), workCommand(e), listenCommand(e), batchesCommand(e), scheduleCommand(e)},
		},
		{"Watch", []*cobra.Command{
			queuesCommand(e), statsCommand(e), namesCommand(e), workersCommand(e), monitorCommand(e), dashboardCommand(e),
			operationsCommand(e),
		}},
		{"Look after jobs", []*cobra.Command{
			jobsCommand(e), clearCommand(e), failedCommand(e), retryCommand(e), forgetCommand(e), flushCommand(e), pruneFailedCommand(e),
		}},
		{"Control workers", []*cobra.Command{
			pauseCommand(e), resumeCommand(e), limitCommand(e), keepCommand(e), restartCommand(e), downCommand(e), upCommand(e),
		}},
		{"Post jobs to URLs", []*cobra.Command{subscribeCommand(e), subscriptionsCommand(e), unsubscribeCommand(e)}},
		{settingUp, []*cobra.Command{migrateCommand(e), importCommand(e), reencryptCommand(e), benchCommand(e), configCommand(e)}},
	}
}

// finish puts the program's name into the examples of a tree, has its commands call before first, if it is not nil, and keeps cobra from
// printing errors, also below another's root.
func (e *env) finish(cmd *cobra.Command, name string, before func(*cobra.Command) error) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "sqlqueue ", name+" ")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	e.completeFlags(cmd)
	if run := cmd.RunE; before != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := before(cmd); err != nil {
				return err
			}
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		e.finish(child, name, before)
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
