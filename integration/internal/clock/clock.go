// Package clock builds programs with another clock: by an overlay of the standard library's time.Now. Sleeping and waiting, which go by
// the monotonic clock, stay as they are.
package clock

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Variable of the environment says, in seconds, how far the clock of a program is off that was built with an overlay: of the program, and
// of all that it starts.
const Variable = "TEST_CLOCK_OFF"

// Overlay writes files for go build -overlay into a directory, and returns the path of the one that it takes. In what is built with it
// the clock is off by a time, in whole seconds, which may be negative, or by what Variable says.
func Overlay(ctx context.Context, dir string, off time.Duration) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original := filepath.Join(library, "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const call = "sec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(source), call) {
		return "", fmt.Errorf("%s does not have %q", original, call)
	}
	files := map[string]string{
		"time.go": strings.ReplaceAll(string(source), call, call+"\tsec += clockOff\n"),
		"clock_off.go": fmt.Sprintf(`package time

import "syscall"

var clockOff = func() int64 {
	if text, ok := syscall.Getenv(%q); ok {
		if n, err := atoi(text); err == nil {
			return int64(n)
		}
	}
	return %d
}()
`, Variable, int64(off/time.Second)),
	}
	replace := map[string]string{}
	for name, text := range files {
		replace[filepath.Join(library, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
