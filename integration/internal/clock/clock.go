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

// Overlay writes files for go build -overlay into a directory, and returns the path of the one that it takes. In what is built with it
// the clock is off by a time, in whole seconds, which may be negative.
func Overlay(ctx context.Context, dir string, off time.Duration) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const call = "sec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(source), call) {
		return "", fmt.Errorf("%s does not have %q", original, call)
	}
	changed := strings.ReplaceAll(string(source), call, call+fmt.Sprintf("\tsec += %d\n", int64(off/time.Second)))
	replaced, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replaced}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(replaced, []byte(changed), 0o600); err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}
