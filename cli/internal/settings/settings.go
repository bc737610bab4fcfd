// Package settings is what is typed, and what stands in the environment and in the configuration file in its place: the flags that commands
// take, and where their values come from.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Help tells where settings come from.
const Help = `Settings come from flags, then from the environment, then from a file, then from defaults. ` +
	`Settings are --dsn, --prefix and --schema, every
flag of work and listen except --processes, --queue of push and later, and the thresholds of monitor. Flags that select jobs, say what to
push, or answer a question are read only from the command line.

In the environment a setting is SQLQUEUE_ and its flag's name in capitals, with _ for -: SQLQUEUE_DSN, SQLQUEUE_MAX_JOBS. Empty
variables are ignored. DATABASE_URL has the address if no flag, SQLQUEUE_DSN, file or program does.

The file is --config, SQLQUEUE_CONFIG, or sqlqueue.yaml in the working directory if there is one: that is refused when it, its folder or
what it links to belongs to another user than this one and root, or can be written by others. It is YAML: flags' names with their values,
for every command that has the setting, or under a command's name for that command alone. SQLQUEUE_QUEUE (or queue at the top) is the
default queue for pushes and workers that name none:

  dsn: postgres://app@db.example.com/shop
  queue: default
  work:
    queue: [high, default]
    concurrency: 20
    backoff: [1, 5, 10]`

// settingCommands are the commands with settings of their own; nil stands for all their flags.
var settingCommands = map[string][]string{
	"work":    nil,
	"listen":  nil,
	"push":    {"queue"},
	"later":   {"queue"},
	"monitor": {"max", "min-workers"},
}

// noSettings are flags that are none even so: the processes that work starts would start processes too.
var noSettings = []string{"help", "processes"}

// rivals are flags of which a command takes one: that which comes first in the order of sources.
var rivals = [][]string{{"delay", "backoff"}, {"exec", "handlers", "subscriptions"}}

// Settings are those of a command tree, with where their values came from.
type Settings struct {
	DSN    string
	Prefix string
	Schema string
	Queue  string // the default one: where jobs go that are pushed to none

	root      *cobra.Command
	ownDSN    bool             // the application has an address of its own
	ownQueues bool             // the application says which queues its workers serve
	scratch   func() *Settings // those of another tree like this one, which is not used
	config    string           // the name of the file
	file      *configFile
	from      map[*pflag.Flag]string // where the values came from
}

// New returns the settings of a tree before its commands and flags are made. queue is the default one where the environment gives
// none. scratch makes another tree like it, and returns that one's settings.
func New(queue string, ownQueues bool, scratch func() *Settings) *Settings {
	return &Settings{
		Queue:     cmp.Or(os.Getenv("SQLQUEUE_QUEUE"), queue, "default"),
		ownQueues: ownQueues, scratch: scratch, file: &configFile{}, from: map[*pflag.Flag]string{},
	}
}

const defaultDSN = "sqlite:sqlqueue.db"

// Flags adds the flags that all commands of the tree have.
func (s *Settings) Flags(root *cobra.Command, dsn, prefix, schema string) {
	s.root, s.ownDSN = root, dsn != ""
	flags := root.PersistentFlags()
	flags.StringVar(&s.config, "config", "", "file with settings (environment: SQLQUEUE_CONFIG) (default sqlqueue.yaml, if it is there)")
	flags.StringVar(&s.DSN, "dsn", cmp.Or(dsn, defaultDSN),
		"address of the database: postgres://…, mysql://… or sqlite:PATH (environment: SQLQUEUE_DSN, DATABASE_URL)")
	flags.StringVar(&s.Prefix, "prefix", prefix, "before the names of the tables (environment: SQLQUEUE_PREFIX)")
	flags.StringVar(&s.Schema, "schema", schema,
		"PostgreSQL schema of the tables (environment: SQLQUEUE_SCHEMA) (default that of the search_path)")
	flags.Lookup("dsn").DefValue = "" // help shows no password
	if dsn == "" {
		flags.Lookup("dsn").DefValue = defaultDSN
	}
}

// DSNFrom tells where the address is from, as config show does; empty: it is the default.
func (s *Settings) DSNFrom() string { return s.from[s.root.PersistentFlags().Lookup("dsn")] }

// DefaultNotice says that the default file is used, or will be made, where nobody has named a database. Otherwise it is empty.
func (s *Settings) DefaultNotice() string {
	if s.DSNFrom() != "" || s.ownDSN || child.Serves() {
		return ""
	}
	verb := "using"
	path, err := filepath.Abs(strings.TrimPrefix(defaultDSN, "sqlite:"))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		verb = "making"
	}
	return fmt.Sprintf("%s the default database, SQLite file %s: name another with --dsn, SQLQUEUE_DSN or %s", verb, path, open.URLVariable)
}

// Say writes a line to standard error, if there is one to write.
func (s *Settings) Say(line string) {
	if line != "" {
		fmt.Fprintln(s.root.ErrOrStderr(), line)
	}
}

// globalSettings returns the flags of all commands that are settings.
func (s *Settings) globalSettings() []*pflag.Flag {
	flags := s.root.PersistentFlags()
	return []*pflag.Flag{flags.Lookup("dsn"), flags.Lookup("prefix"), flags.Lookup("schema")}
}

// localSettings returns the flags of a command that are settings and that not all commands have.
func (s *Settings) localSettings(cmd *cobra.Command) (flags []*pflag.Flag) {
	names, ok := settingCommands[cmd.Name()]
	if !ok || cmd.Parent() != s.root {
		return nil
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if (names == nil || slices.Contains(names, f.Name)) && !slices.Contains(noSettings, f.Name) {
			flags = append(flags, f)
		}
	})
	return flags
}

// Configure gives a command the settings that were not typed.
func (s *Settings) Configure(cmd *cobra.Command) error {
	if child.Serves() { // its parent has the settings
		return nil
	}
	file, err := findConfig(s.config)
	if err != nil {
		return err
	}
	if err := s.checkConfig(file); err != nil {
		return err
	}
	s.file = file
	if queue, ok := file.top["queue"]; ok && os.Getenv("SQLQUEUE_QUEUE") == "" {
		s.Queue = queue.text
	}
	if err := s.set(s.globalSettings(), nil, false); err != nil {
		return err
	}
	if url := os.Getenv(open.URLVariable); url != "" && s.DSNFrom() == "" && !s.ownDSN {
		s.DSN, s.from[s.root.PersistentFlags().Lookup("dsn")] = url, "environment "+open.URLVariable
	}
	if a, err := open.ParseAddress(file.top["dsn"].text); err == nil && len(a.Secrets) > 0 && file.open {
		WarnOfReaders(cmd, file.name)
	}
	return s.setLocal(cmd)
}

// command returns the command of a name.
func (s *Settings) command(name string) *cobra.Command {
	for _, cmd := range s.root.Commands() {
		if cmd.Name() == name {
			return cmd
		}
	}
	return nil
}

// setLocal gives a command's own settings their values.
func (s *Settings) setLocal(cmd *cobra.Command) error {
	ownQueues := s.ownQueues && slices.Contains([]string{"work", "listen"}, cmd.Name())
	return s.set(s.localSettings(cmd), s.file.sections[cmd.Name()], ownQueues)
}

// source is where settings may come from.
type source struct {
	value func(f *pflag.Flag) string // empty: none
	from  func(f *pflag.Flag) string // for config show
	place func(f *pflag.Flag) string // for errors
	queue bool                       // its queue is only the default one
}

func fileSource(values configValues, top bool) source {
	return source{
		value: func(f *pflag.Flag) string { return values[f.Name].text },
		from:  func(f *pflag.Flag) string { return "file " + values[f.Name].place },
		place: func(f *pflag.Flag) string { return values[f.Name].place + ": " + f.Name },
		queue: top,
	}
}

var environment = source{
	value: func(f *pflag.Flag) string { return os.Getenv(variableOf(f)) },
	from:  func(f *pflag.Flag) string { return "environment " + variableOf(f) },
	place: variableOf,
	queue: true,
}

func variableOf(f *pflag.Flag) string {
	return "SQLQUEUE_" + strings.ReplaceAll(strings.ToUpper(f.Name), "-", "_")
}

// set gives settings that were not typed their values, from one source after the other. The default queue does not replace queues of the
// Options' Worker.
func (s *Settings) set(flags []*pflag.Flag, section configValues, ownQueues bool) error {
	for _, f := range flags {
		if f.Changed && s.from[f] == "" {
			s.from[f] = "flag"
		}
	}
	for _, of := range []source{environment, fileSource(section, false), fileSource(s.file.top, true)} {
		var wanted []*pflag.Flag
		for _, f := range flags {
			replaces := of.queue && f.Name == "queue" && ownQueues
			if of.value(f) != "" && s.from[f] == "" && !s.hasRival(f, flags) && !replaces {
				wanted = append(wanted, f)
			}
		}
		for _, f := range wanted {
			if err := f.Value.Set(of.value(f)); err != nil {
				return exit.Usagef("%s: %w", of.place(f), err)
			}
			f.Changed = !of.queue || f.Name != "queue"
			s.from[f] = of.from(f)
		}
	}
	return nil
}

// hasRival reports whether another flag that stands in f's place has a value.
func (s *Settings) hasRival(f *pflag.Flag, flags []*pflag.Flag) bool {
	return slices.ContainsFunc(flags, func(other *pflag.Flag) bool {
		return other != f && s.from[other] != "" && slices.ContainsFunc(rivals, func(names []string) bool {
			return slices.Contains(names, f.Name) && slices.Contains(names, other.Name)
		})
	})
}

// checkConfig looks for mistakes in the whole file, by giving its values to a tree that is not used.
func (s *Settings) checkConfig(file *configFile) error {
	if file.name == "" {
		return nil
	}
	scratch := s.scratch()
	all := scratch.globalSettings()
	for _, name := range slices.Sorted(maps.Keys(settingCommands)) {
		flags := scratch.localSettings(scratch.command(name))
		if err := checkValues(file.sections[name], " of "+name, flags); err != nil {
			return err
		}
		all = append(all, flags...)
	}
	for name, place := range file.places {
		if _, ok := settingCommands[name]; !ok {
			return exit.Usagef("%s: %s is not a command with its own settings: use %s",
				place, shownKey(name), strings.Join(slices.Sorted(maps.Keys(settingCommands)), ", "))
		}
	}
	if queue, ok := file.top["queue"]; ok && queue.node.ShortTag() != "!!seq" {
		if err := sqlqueue.CheckQueueName(queue.text); err != nil {
			return exit.Usagef("%s: queue: %w", queue.place, err)
		}
	} else if ok {
		return exit.Usagef("%s: queue: at the top it is one queue, not a list", queue.place)
	}
	return checkValues(file.top, "", all)
}

// checkValues gives values to all flags that have their names, and looks for values that no flag has the name of.
func checkValues(values configValues, of string, flags []*pflag.Flag) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, known := values[name], false
		for _, f := range flags {
			if f.Name != name {
				continue
			}
			known = true
			err := value.fits(f)
			if err == nil {
				err = f.Value.Set(value.text)
			}
			if err != nil {
				return exit.Usagef("%s: %s: %w", value.place, name, err)
			}
		}
		if !known {
			return exit.Usagef("%s: there is no setting %s%s", value.place, shownKey(name), of)
		}
	}
	return nil
}
