package cli

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "sqlqueue needs a command: batches, bench, clear, completion, config, dashboard, down, failed,"},
		{[]string{"worrk", "--exec", "true"}, `unknown command "worrk" for sqlqueue: did you mean work?`},
		{[]string{"frobnicate"}, `unknown command "frobnicate" for sqlqueue` + "\n"},
		{[]string{"jobs"}, "sqlqueue jobs needs a command: cancel, edit, list, release, restore, show"},
		{[]string{"jobs", "lst", "--state", "ready"}, `unknown command "lst" for sqlqueue jobs: did you mean list?`},
		{[]string{"migrate", "sideways"}, `unknown command "sideways" for sqlqueue migrate`},
		{[]string{"--jsn", "queues"}, "unknown flag: --jsn"},
		{[]string{"queues", "--jsn"}, "unknown flag: --jsn: did you mean --json?"},
		{[]string{"queues", "-j"}, "unknown shorthand flag: 'j' in -j: see sqlqueue queues --help"},
		{[]string{"queues", "--dsn"}, "flag needs an argument: --dsn"},
		{[]string{"queues", "--json=perhaps"}, "--json: "},
	} {
		s.fails(2, []string{test.says}, test.args...)
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "{}", "--queue", "mail")
	want := s.ok("jobs", "list", "--queue", "mail", "--json")
	for _, args := range []string{
		"--json --queue mail jobs list", "jobs --json list --queue=mail", "--queue=mail jobs --json list",
		"--dsn " + s.dsn + " jobs list --queue mail --json",
	} {
		if got := s.run(strings.Fields(args)...); got != (result{stdout: want}) {
			t.Errorf("%s: %+v, want %s", args, got, want)
		}
	}
	if got := s.ok("--priority", "-5", "push", "--tries", "3", "b", "--queue", "mail", "--", "-1"); got != "2\n" {
		t.Errorf("printed %q", got)
	}
	if got := s.jobs()[1]; got.Priority != -5 || string(got.Payload) != `{"job":"b","data":-1,"tries":3}` {
		t.Errorf("the job is %+v", got)
	}
}

// A context that has ended stops every command before it does anything.
func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"push", "a"}, {"queues"}, {"clear", "--yes"}, {"bench"}, {"migrate", "down", "--all", "--yes"}} {
		got := runWith(ctx, Options{DSN: s.dsn}, "", args...)
		checkFailure(t, got, 1, []string{"context canceled"}, args)
	}
	if jobs := s.jobs(); len(jobs) != 0 {
		t.Errorf("the jobs are %+v", jobs)
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{0: nil, 1: errors.New("broken"), 2: exit.Usagef("what?")} {
		if got := ExitCode(err); got != want {
			t.Errorf("%v gives %d, want %d", err, got, want)
		}
	}
}

// Errors are returned, and nothing is printed, when an application adds the tree to its own.
func TestTreeInAnothersTree(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	var stdout, stderr strings.Builder
	run := func(args ...string) error {
		root := &cobra.Command{Use: "app", SilenceErrors: true}
		root.AddCommand(Command(Options{Name: "queue", DSN: s.dsn}))
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		root.SetArgs(args)
		return root.ExecuteContext(t.Context())
	}
	if err := run("queue", "push", "a"); err != nil {
		t.Error(err)
	}
	for want, args := range map[int][]string{1: {"queue", "jobs", "show", "9"}, 2: {"queue", "push", "a", "{"}} {
		if err := run(args...); ExitCode(err) != want {
			t.Errorf("%q: %v is exit code %d, want %d", args, err, ExitCode(err), want)
		}
	}
	if ExitCode(run("queue", "push", "a", "--qeue", "x")) != 2 || ExitCode(run("queue", "psh")) != 2 {
		t.Error("a mistake in what was typed is not exit code 2")
	}
	if stdout.String() != "1\n" || stderr.String() != "" {
		t.Errorf("printed %q and %q", &stdout, &stderr)
	}
}

// Every command says what it does, with examples, and what each of its flags means; the password of the environment is in no help.
func TestHelp(t *testing.T) {
	t.Setenv("SQLQUEUE_DSN", "postgres://app:"+secret+"@db/shop")
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || strings.Contains(cmd.Short, "\n") {
			t.Errorf("%s: its summary is %q", path, cmd.Short)
		}
		if !cmd.Hidden && !strings.Contains(cmd.Example+"\n", "  "+path) {
			t.Errorf("%s has no example of itself: %q", path, cmd.Example)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", path, f.Name)
			}
		})
		got := runWith(t.Context(), Options{}, "", append(strings.Fields(path)[1:], "--help")...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Usage:\n") {
			t.Errorf("%s --help: %+v", path, got)
		}
		checkSecret(t, path, got)
		for line := range strings.Lines(cmd.Long) {
			if n := len([]rune(line)); n > 142 {
				t.Errorf("%s: a line of help has %d characters: %s", path, n, line)
			}
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(Command(Options{}))
}

// The defaults that help shows are the contract's.
func TestDefaults(t *testing.T) {
	t.Parallel()
	help := runWith(t.Context(), Options{}, "", "work", "--help").stdout
	for flag, value := range map[string]string{
		"concurrency": "10", "timeout": "1m", "tries": "25", "expire": "1m",
		"sleep": "3s", "grace": "30s", "kill-after": "2s", "queue": "default",
		"log-format": `"text"`,
	} {
		if !regexp.MustCompile(`--` + flag + ` .*\(default ` + value + `\)`).MatchString(help) {
			t.Errorf("the default of --%s is not %s:\n%s", flag, value, help)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := runWith(t.Context(), Options{}, "", "version")
	if got.code != 0 || !regexp.MustCompile(`^sqlqueue \S+\ntables \d+\ngo1\.\S+`).MatchString(got.stdout) {
		t.Errorf("the result is %+v", got)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain ü 漢": "plain ü 漢", "a\nb\tc": `a\nb\tc`, "\x1b[0m": `\x1b[0m`,
		"\u202eevil": `\u202eevil`, "a\xffb": `a\xffb`, "\x00\x7f": `\x00\x7f`,
	} {
		if got := term.Printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := term.Brief("äöüß", 3); got != "äö…" {
		t.Errorf("cut to %q", got)
	}
}
