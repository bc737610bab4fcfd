package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is the program itself when it is called by the name that the guide gives it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "shop" {
		main()
	}
	os.Exit(m.Run())
}

const page = "../../../docs/guide/01-first-job.md"

// TestProgramIsShort: the first job takes 25 lines at most, imports and error handling included, and the guide shows all of them.
func TestProgramIsShort(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(program, []byte("\n")); lines > 25 {
		t.Errorf("the first job takes %d lines, want 25 at most", lines)
	}
	if text := read(t); !strings.Contains(text, "```go\n"+string(program)+"```\n") {
		t.Errorf("%s does not show main.go as it is", page)
	}
}

// TestTranscript: the page's commands print on standard output what the page says.
func TestTranscript(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "shop")); err != nil {
		t.Skip(err) // Windows
	}
	ran := 0
	for _, block := range strings.Split(read(t), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```\n")
		for _, step := range strings.Split("\n"+block, "\n$ ")[1:] {
			line, want, _ := strings.Cut(step, "\n")
			command := exec.CommandContext(t.Context(), "sh", "-c", line)
			command.Dir = dir
			command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "SQLQUEUE_DSN=sqlite:shop.db", "SQLQUEUE_PREFIX=")
			output, err := command.Output()
			if err != nil || strings.TrimSpace(string(output)) != strings.TrimSpace(want) {
				t.Errorf("%s printed %q, %v; the page says %q", line, output, err, want)
			}
			ran++
		}
	}
	if ran < 3 {
		t.Errorf("%d commands were found, want 3 at least", ran)
	}
}

func read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
