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
		batchesCommand(e),
		scheduleCommand(e),
		queuesCommand(e),
		statsCommand(e),
		workersCommand(e),
		operationsCommand(e),
		dashboardCommand(e),
		monitorCommand(e),
		failedCommand(e),
		retryCommand(e),
		forgetCommand(e),
		flushCommand(e),
		pruneFailedCommand(e),
		clearCommand(e),
		pauseCommand(e),
		resumeCommand(e),
		limitCommand(e),
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
