package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// asProgram makes the test binary the program.
const asProgram = "SQLQUEUE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	t.Setenv("SQLQUEUE_DSN", "postgres://nobody@127.0.0.1:1/nothing") // is not looked at
	t.Setenv("SQLQUEUE_PREFIX", "x_")
	t.Setenv("SQLQUEUE_QUEUE", "elsewhere")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProgram, "1") // the demo starts itself as its workers
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		var out, errors strings.Builder
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Stdout, cmd.Stderr = &out, &errors
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), errors.String(), cmd.ProcessState.ExitCode()
	}
	if _, stderr, code := run("demo", "fast"); code != 2 || !strings.Contains(stderr, "fast") {
		t.Errorf("with an argument: exit code %d, %s", code, stderr)
	}
	if stdout, _, _ := run("--help"); !strings.Contains(stdout, "\n  demo          See it work") {
		t.Errorf("it is not in the help:\n%s", stdout)
	}
	stdout, stderr, code := run("demo")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	for _, line := range []string{
		fmt.Sprintf("Migrations: %d steps applied", driver.SchemaVersion), "kill -9 ", "has run again", "Pushed ", "Checked: every job ran",
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("it does not say %q:\n%s", line, stdout)
		}
	}
	var left []string
	for _, in := range []string{dir, temporary} {
		entries, err := os.ReadDir(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			left = append(left, entry.Name())
		}
	}
	if !slices.Equal(left, []string{"tmp"}) {
		t.Errorf("it has left %q", left)
	}
}
