package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDays(t *testing.T) {
	now := time.Date(2026, time.November, 28, 20, 0, 0, 0, time.UTC)
	for got, want := range map[time.Time]string{
		leapDay(now):       "2028-02-29 12:00",
		change(now, true):  "2027-03-14 07:00",
		change(now, false): "2027-11-07 06:00",
	} {
		if text := got.UTC().Format("2006-01-02 15:04"); text != want {
			t.Errorf("got %s, want %s", text, want)
		}
	}
}

// A package's tests begin at the time that at is given, whatever time it took to build them.
func TestAt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module when\n\ngo 1.26\n",
		"when_test.go": `package when

import (
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	begin := time.Date(2031, time.December, 31, 23, 59, 30, 0, time.UTC)
	if since := time.Since(begin); since < 0 || since > time.Minute {
		t.Errorf("it began %v late", since)
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &run{Context: t.Context(), dir: dir}
	t.Cleanup(func() {
		for _, end := range r.ends {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := at(func(time.Time) time.Time { return time.Date(2031, time.December, 31, 23, 59, 30, 0, time.UTC) })(r); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-count=1"}, r.flags...), ".")...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

func TestCopyCheckoutCopiesWhatGitWouldAdd(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "a copy")
	for name, text := range map[string]string{".gitignore": "*.db\n", "a.go": "package a\n", "x.db": "data", "in/b.go": "package b\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := exec.CommandContext(t.Context(), "git", "-C", from, "init", "-q").CombinedOutput(); err != nil {
		t.Skipf("not run: git init: %v: %s", err, output)
	}
	if err := copyCheckout(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if !entry.IsDir() {
			name, _ := filepath.Rel(to, path)
			names = append(names, name)
		}
		return err
	})
	if got := strings.Join(names, " "); err != nil || got != ".gitignore a.go in/b.go" {
		t.Errorf("copied %s, %v", got, err)
	}
}
