package cli

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// uniqueFlags are those of push and later about a unique key, besides the key itself.
type uniqueFlags struct {
	by       []string
	until    string
	replace  bool
	debounce time.Duration
	most     time.Duration
	once     time.Duration
}

func (u *uniqueFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&u.by, "unique-by", nil,
		"make the unique key of the job's name and these members of the data, such as order_id,shop")
	flags.StringVar(&u.until, "until", "done", "how long the job has its unique key: done or started")
	flags.BoolVar(&u.replace, "replace", false, "give the waiting job with the unique key this data, priority and time")
	flags.Var(settings.Duration(&u.debounce, settings.NotNegative), "debounce",
		"as --replace, and the job waits until there was no push of the key for this long")
	flags.Var(settings.Duration(&u.most, settings.NotNegative), "max",
		"with --debounce, how long after the first push the job is available at the latest, 0 for no bound")
	flags.Var(settings.Duration(&u.once, settings.NotNegative), "once",
		"hold the unique key for this long, even if the job is done earlier")
	for _, name := range []string{"debounce", "max", "once"} {
		flags.Lookup(name).DefValue = ""
	}
}

// options are those of the flags that were given.
func (u *uniqueFlags) options(flags *pflag.FlagSet) (options []sqlqueue.PushOption, err error) {
	changed := flags.Changed
	keyed := changed("unique") || changed("unique-by")
	for _, name := range []string{"until", "replace", "debounce", "max", "once"} {
		if changed(name) && !keyed {
			return nil, exit.Usagef("--%s needs a key: give --unique KEY, or --unique-by with members of the data", name)
		}
	}
	switch {
	case changed("unique") && changed("unique-by"):
		return nil, exit.Usagef("give --unique or --unique-by, not both")
	case u.until != "done" && u.until != "started":
		return nil, exit.Usagef("--until is %q: use done or started", u.until)
	case changed("max") && !changed("debounce"):
		return nil, exit.Usagef("--max bounds the wait of --debounce: give that too")
	case changed("debounce") && (changed("delay") || changed("at")):
		return nil, exit.Usagef("--debounce says when the job is available: leave out --delay and --at")
	case changed("once") && (u.replace || changed("debounce")):
		return nil, exit.Usagef("give --once, or --replace or --debounce, not both")
	}
	if changed("unique-by") {
		options = append(options, sqlqueue.UniqueByData(u.by...))
	}
	if u.until == "started" {
		options = append(options, sqlqueue.UniqueUntilStarted())
	}
	if u.replace {
		options = append(options, sqlqueue.Replace())
	}
	if changed("debounce") {
		options = append(options, sqlqueue.Debounce(u.debounce, u.most))
	}
	if changed("once") {
		options = append(options, sqlqueue.UniqueFor(u.once))
	}
	return options, nil
}
