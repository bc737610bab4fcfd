package clock

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	const off = -7 * time.Hour
	overlay, err := Overlay(t.Context(), dir, off)
	if err != nil {
		t.Fatal(err)
	}
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	text := "package main\n\nimport \"time\"\n\nfunc main() { println(time.Now().Unix()) }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, source)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for variable, want := range map[string]time.Duration{"": off, Variable + "=86400": 24 * time.Hour} {
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(os.Environ(), variable)
		before := time.Now()
		output, err := command.CombinedOutput()
		after := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		got, err := strconv.ParseInt(strings.TrimSpace(string(output)), 10, 64)
		if err != nil || got < before.Add(want).Unix() || got > after.Add(want).Unix() {
			t.Errorf("with %q the program's time is %s, want that of %v from now", variable, output, want)
		}
	}
}
