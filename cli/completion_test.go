package cli

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// The scripts are ones that their shells can read.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, text := range map[string]string{
		"bash": "__start_sqlqueue", "zsh": "#compdef sqlqueue", "fish": "complete -c sqlqueue", "powershell": "Register-ArgumentCompleter",
	} {
		got := runWith(t.Context(), Options{}, "", "completion", shell)
		if got.code != 0 || !strings.Contains(got.stdout, text) {
			t.Errorf("%s: exit code %d, %s", shell, got.code, got.stderr)
		}
		if shell == "bash" {
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(got.stdout)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
	s := newShell(t)
	s.fails(2, []string{`unknown shell "csh": use bash, zsh, fish, powershell`}, "completion", "csh")
	s.fails(2, []string{"sqlqueue completion needs SHELL"}, "completion")
	for typed, want := range map[string]string{
		"jobs list --state ":   "ready delayed reserved done :4",
		"work --log-format ":   "text json :4",
		"work --expire ":       "off :4",
		"completion ":          "bash zsh fish powershell :4",
		"jobs c":               "cancel :4",
		"jobs cancel --field ": ":0",
	} {
		args := strings.Split(typed, " ")
		got := runWith(t.Context(), Options{}, "", append([]string{"__completeNoDesc"}, args...)...)
		if words := strings.Join(strings.Fields(got.stdout), " "); words != want {
			t.Errorf("%q is completed by %q, want %q", typed, words, want)
		}
	}
}

// Names and ids come from the database; where none answers, nothing is offered and nothing is said.
func TestCompletionFromTheDatabase(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "resize", "--queue", "images")
	s.ok("push", "send", "--queue", "mail")
	s.fail(1, "sms", "text", "no such number", 1)
	s.exec("INSERT INTO job_workers (id, name, host, pid, queues, concurrency, started_at, seen_at) "+
		"VALUES ('w1', 'w1', 'h', 1, 'reports', 1, 1, ?)",
		time.Now().Add(time.Hour).UnixMicro())
	complete := func(dsn, typed string) string {
		got := runWith(t.Context(), Options{DSN: dsn}, "", append([]string{"__completeNoDesc"}, strings.Split(typed, " ")...)...)
		return strings.Join(strings.Fields(got.stdout), " ")
	}
	for typed, want := range map[string]string{
		"pause --queue ":       "images mail reports sms :4",
		"monitor ":             "images mail reports sms :4",
		"jobs show ":           "1 2 :4",
		"jobs show 1 ":         ":4",
		"jobs cancel 1 ":       "1 2 :4",
		"jobs cancel --name ":  "resize send text :4",
		"failed show ":         "1 :4",
		"retry ":               "1 :4",
		"push ":                "resize send text :4",
		"later 1h ":            "resize send text :4",
		"workers set ":         "w1 :4",
		"schedule pause ":      ":4",
		"unsubscribe ":         ":4",
		"batches show ":        ":4",
		"limit ":               "list images mail reports sms :4",
		"failed list --queue ": "images mail reports sms :4",
	} {
		clitest.WaitFor(t, func() error { // a machine that is too busy offers nothing
			if got := complete(s.dsn, typed); got != want {
				return fmt.Errorf("%q is completed by %q, want %q", typed, got, want)
			}
			return nil
		})
		if got := strings.TrimPrefix(complete("sqlite:/no/such/file.db", typed), "list "); got != ":4" { // limit has a command list
			t.Errorf("without a database %q is completed by %q", typed, got)
		}
	}
}
