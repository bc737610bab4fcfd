package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
)

// group makes a command that only holds others.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(children...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				names = append(names, child.Name())
			}
		}
		return exit.Usagef("%s needs a command: %s (see %[1]s --help)", cmd.CommandPath(), strings.Join(names, ", "))
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			names = append(append(names, child.Name()), child.Aliases...)
		}
	}
	hint := commandHint(cmd, name)
	if hint == "" {
		hint = settings.DidYouMean(name, "", names)
	}
	return exit.Usagef("unknown command %q for %s%s", name, cmd.CommandPath(), hint)
}

// flagError explains what cobra found wrong with the flags.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return exit.Usagef("--%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return exit.With(exit.Usage, err)
	}
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		if short[0] >= '0' && short[0] <= '9' {
			return exit.Usagef("%w: put -- before an argument that starts with a minus", err)
		}
		return exit.Usagef("%w: see %s --help", err, cmd.CommandPath())
	}
	if hint := flagHint(cmd, unknown.GetSpecifiedName()); hint != "" {
		return exit.Usagef("%w%s", err, hint)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return exit.Usagef("%w%s", err, settings.DidYouMean(unknown.GetSpecifiedName(), "--", names))
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
			if hint := argumentHint(cmd, args[most]); most == 0 && hint != "" {
				return exit.Usagef("%s does not take %q%s", cmd.CommandPath(), args[most], hint)
			}
			return exit.Usagef("%s does not take %q: %s", cmd.CommandPath(), args[most], cmd.UseLine())
		}
		return nil
	}
}
