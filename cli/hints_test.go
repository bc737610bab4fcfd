package cli

import (
	"strings"
	"testing"
)

// Who types what another program or the word suggests hears what to type here.
func TestHints(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for typed, want := range map[string]string{
		"jobs list --state failed":  "failed jobs are listed by sqlqueue failed",
		"jobs list --state running": `unknown state "running": jobs that run are reserved`,
		"failed retry 5":            `unknown command "retry" for sqlqueue failed: use sqlqueue retry`,
		"failed 5":                  `unknown command "5" for sqlqueue failed: use sqlqueue failed show 5`,
		"jobs 5":                    `unknown command "5" for sqlqueue jobs: use sqlqueue jobs show 5`,
		"jobs retry 5":              `unknown command "retry" for sqlqueue jobs: use sqlqueue retry`,
		"jobs delete 5":             `unknown command "delete" for sqlqueue jobs: use sqlqueue jobs cancel`,
		"pause mail":                `sqlqueue pause does not take "mail": did you mean --queue mail?`,
		"clear mail":                `sqlqueue clear does not take "mail": did you mean --queue mail?`,
		"work mail --exec true":     `sqlqueue work does not take "mail": did you mean --queue mail?`,
		"queue:work":                `unknown command "queue:work" for sqlqueue: use sqlqueue work`,
		"status":                    `unknown command "status" for sqlqueue: use sqlqueue queues`,
		"enqueue a":                 `unknown command "enqueue" for sqlqueue: use sqlqueue push`,
		"migrate rollback":          `unknown command "rollback" for sqlqueue migrate: use sqlqueue migrate down`,
		"queues --database-url x":   "unknown flag: --database-url: use --dsn",
		"push a --payload {}":       "unknown flag: --payload: use the data as an argument, as in push NAME DATA",
		"clear --force":             "unknown flag: --force: use --yes",
	} {
		s.fails(2, []string{want + "\n"}, strings.Fields(typed)...)
	}
}

// --version says what version does.
func TestVersionFlag(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if flag, command := s.ok("--version"), s.ok("version"); flag != command || !strings.HasPrefix(flag, "sqlqueue ") {
		t.Errorf("--version prints %q, version %q", flag, command)
	}
}
