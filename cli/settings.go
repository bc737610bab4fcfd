package cli

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// settingsLong tells where settings come from.
const settingsLong = `Settings come from flags, then from the environment, then from a file, then from defaults. Settings are --dsn and --prefix, every flag of
work and listen but --processes, --queue of push and later, and the thresholds of monitor. What selects jobs, says what to push, or
answers a question is taken from nowhere but the command line.

In the environment a setting is SQLQUEUE_ and its flag's name in capitals, with _ for -: SQLQUEUE_DSN, SQLQUEUE_MAX_JOBS. An empty
variable is none. The file is --config, SQLQUEUE_CONFIG, or sqlqueue.yaml in the working directory if there is one: that is refused when it,
its folder or what it links to belongs to another user than this one and root, or can be written by others. It is YAML: flags'
names with their values, for every command that has the setting, or under a command's name for that command alone. SQLQUEUE_QUEUE, and
queue at the top, are the one queue where jobs go that are pushed to none, and that a worker of none serves:

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

// plainCommands need no settings.
var plainCommands = []string{"demo", "version", "completion"}

// rivals are flags of which a command takes one: that which comes first in the order of sources.
var rivals = [][]string{{"delay", "backoff"}, {"exec", "handlers", "subscriptions"}}

// globalSettings returns the flags of all commands that are settings.
func (p *program) globalSettings() []*pflag.Flag {
	flags := p.root.PersistentFlags()
	return []*pflag.Flag{flags.Lookup("dsn"), flags.Lookup("prefix")}
}

// localSettings returns the flags of a command that are settings and that not all commands have.
func (p *program) localSettings(cmd *cobra.Command) (flags []*pflag.Flag) {
	names, ok := settingCommands[cmd.Name()]
	if !ok || cmd.Parent() != p.root {
		return nil
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if (names == nil || slices.Contains(names, f.Name)) && !slices.Contains(noSettings, f.Name) {
			flags = append(flags, f)
		}
	})
	return flags
}

// configure gives a command the settings that were not typed.
func (p *program) configure(cmd *cobra.Command) error {
	for c := cmd; c != nil; c = c.Parent() {
		if c.Parent() == p.root && slices.Contains(plainCommands, c.Name()) {
			return nil
		}
	}
	if child.Serves() { // its parent has the settings
		return nil
	}
	file, err := p.findConfig()
	if err != nil {
		return err
	}
	if err := p.checkConfig(file); err != nil {
		return err
	}
	p.file = file
	if queue, ok := file.top["queue"]; ok && os.Getenv("SQLQUEUE_QUEUE") == "" {
		p.options.Config.Queue = queue.text
	}
	if err := p.set(p.globalSettings(), nil, false); err != nil {
		return err
	}
	if a, err := open.ParseAddress(file.top["dsn"].text); err == nil && len(a.Secrets) > 0 && file.open {
		warnOfReaders(cmd, file.name)
	}
	return p.setLocal(cmd)
}

// setLocal gives a command's own settings their values.
func (p *program) setLocal(cmd *cobra.Command) error {
	ownQueues := len(p.options.Worker.Queues) > 0 && slices.Contains([]string{"work", "listen"}, cmd.Name())
	return p.set(p.localSettings(cmd), p.file.sections[cmd.Name()], ownQueues)
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
func (p *program) set(flags []*pflag.Flag, section configValues, ownQueues bool) error {
	for _, f := range flags {
		if f.Changed && p.from[f] == "" {
			p.from[f] = "flag"
		}
	}
	for _, s := range []source{environment, fileSource(section, false), fileSource(p.file.top, true)} {
		var wanted []*pflag.Flag
		for _, f := range flags {
			replaces := s.queue && f.Name == "queue" && ownQueues
			if s.value(f) != "" && p.from[f] == "" && !p.hasRival(f, flags) && !replaces {
				wanted = append(wanted, f)
			}
		}
		for _, f := range wanted {
			if err := f.Value.Set(s.value(f)); err != nil {
				return exit.Usagef("%s: %w", s.place(f), err)
			}
			f.Changed = !s.queue || f.Name != "queue"
			p.from[f] = s.from(f)
		}
	}
	return nil
}

// hasRival reports whether another flag that stands in f's place has a value.
func (p *program) hasRival(f *pflag.Flag, flags []*pflag.Flag) bool {
	return slices.ContainsFunc(flags, func(other *pflag.Flag) bool {
		return other != f && p.from[other] != "" && slices.ContainsFunc(rivals, func(names []string) bool {
			return slices.Contains(names, f.Name) && slices.Contains(names, other.Name)
		})
	})
}

// checkConfig looks for mistakes in the whole file, by giving its values to a tree that is not used.
func (p *program) checkConfig(file *configFile) error {
	if file.name == "" {
		return nil
	}
	scratch := newTree(p.options)
	all := scratch.globalSettings()
	for _, name := range slices.Sorted(maps.Keys(settingCommands)) {
		flags := scratch.localSettings(childOf(scratch.root, name))
		if err := checkValues(file.sections[name], " of "+name, flags); err != nil {
			return err
		}
		all = append(all, flags...)
	}
	for name, place := range file.places {
		if _, ok := settingCommands[name]; !ok {
			return exit.Usagef("%s: %s is no command with settings of its own: use %s", place, shownKey(name), strings.Join(slices.Sorted(maps.Keys(settingCommands)), ", "))
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

// fromOf tells where a setting's value came from.
func (p *program) fromOf(f *pflag.Flag) string { return cmp.Or(p.from[f], "default") }
