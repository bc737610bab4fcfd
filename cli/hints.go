package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// commandHints say what to type instead of a command that is not there. The keys are what was typed after the program's name.
var commandHints = map[string]string{
	"add": "push", "enqueue": "push", "dispatch": "push", "publish": "push", "schedule add": "schedule set",
	"schedule create": "schedule set", "schedule delete": "schedule remove",
	"run": "work", "start": "work", "worker": "work", "consume": "work", "process": "work",
	"stop": "restart", "quit": "restart", "terminate": "restart",
	"list": "jobs list", "ls": "jobs list", "show": "jobs show", "cancel": "jobs cancel",
	"delete": "jobs cancel", "release": "jobs release", "job": "jobs", "queue": "queues",
	"status": "queues", "info": "queues", "size": "queues", "ui": "dashboard", "web": "dashboard",
	"purge": "clear", "init": "migrate up", "setup": "migrate up", "install": "migrate up",
	"unpause": "resume", "continue": "resume", "maintenance": "down",
	"jobs retry": "retry", "jobs failed": "failed", "jobs delete": "jobs cancel", "jobs remove": "jobs cancel",
	"jobs rm": "jobs cancel", "jobs clear": "clear", "jobs push": "push",
	"failed retry": "retry", "failed forget": "forget", "failed delete": "forget", "failed clear": "flush",
	"failed flush": "flush", "failed prune": "prune-failed", "failed groups": "failed --group",
	"queues list": "queues", "queues pause": "pause --queue", "queues resume": "resume --queue",
	"queues clear": "clear --queue", "workers list": "workers", "workers restart": "restart",
	"migrate rollback": "migrate down", "migrate reset": "migrate down --all", "migrate latest": "migrate up",
	"queue:work": "work", "queue:listen": "listen", "queue:failed": "failed", "queue:retry": "retry",
	"queue:forget": "forget", "queue:flush": "flush", "queue:restart": "restart",
	"queue:clear": "clear", "queue:monitor": "monitor", "queue:prune-failed": "prune-failed",
	"queue:table": "migrate up", "queue:failed-table": "migrate up", "queue:subscribe": "subscribe",
}

const dataIsArgument = "the data as an argument, as in push NAME DATA"

// flagHints are flags of other programs.
var flagHints = map[string]string{
	"url": "--dsn", "database-url": "--dsn", "database": "--dsn", "db": "--dsn", "connection": "--dsn",
	"queues": "--queue", "workers": "--concurrency", "threads": "--concurrency", "max-tries": "--tries",
	"retries": "--tries", "attempts": "--tries", "in": "--delay", "force": "--yes",
	"payload": dataIsArgument,
	"data":    dataIsArgument,
	"args":    dataIsArgument,
	"status":  "--state",
}

// commandHint says what to type instead of a command that is not there, or nothing.
func commandHint(cmd *cobra.Command, name string) string {
	root := cmd.Root().Name()
	path := strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), root) + " " + name)
	if instead, ok := commandHints[path]; ok {
		return ": use " + root + " " + instead
	}
	if show := childOf(cmd, "show"); show != nil && name != "" && strings.Trim(name, "0123456789") == "" {
		return ": use " + show.CommandPath() + " " + name
	}
	return ""
}

// flagHint says what to type instead of a flag that is not there, or nothing.
func flagHint(cmd *cobra.Command, name string) string {
	instead, ok := flagHints[name]
	flag, isFlag := strings.CutPrefix(instead, "--")
	switch {
	case !ok, isFlag && cmd.Flags().Lookup(flag) == nil, instead == dataIsArgument && cmd.Name() != "push":
		return ""
	}
	return ": use " + instead
}

// argumentHint says that queues go with --queue, where an argument looks like one.
func argumentHint(cmd *cobra.Command, argument string) string {
	if cmd.Flags().Lookup("queue") == nil || cmd.HasSubCommands() {
		return ""
	}
	return ": did you mean --queue " + argument + "?"
}
