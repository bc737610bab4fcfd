// Package built gives the tests of a package the programs that they run, each built once.
package built

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var (
	mu     sync.Mutex
	parent string // of the programs' directories; empty: there is none
	builds = map[string]func() (string, error){}
)

// Program returns the path of a program called name, which go build makes of the arguments in a directory. It is safe for concurrent use.
func Program(tb testing.TB, name, dir string, args ...string) string {
	tb.Helper()
	key := strings.Join(append([]string{name, dir}, args...), "\x00")
	mu.Lock()
	build, found := builds[key]
	if !found {
		build = sync.OnceValues(func() (string, error) { return run(name, dir, args) })
		builds[key] = build
	}
	mu.Unlock()
	program, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

func run(name, dir string, args []string) (string, error) {
	own, err := makeDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(own, name)
	build := exec.Command("go", append([]string{"build", "-o", program}, args...)...) //nolint:noctx // other tests wait for it too
	build.Dir = dir
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", build, err, output)
	}
	return program, nil
}

func makeDir() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	if parent == "" {
		var err error
		if parent, err = os.MkdirTemp("", "sqlqueue-built-"); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(parent, "")
}

// Remove removes the programs. It is for servers.Main.
func Remove() error {
	mu.Lock()
	defer mu.Unlock()
	if parent == "" {
		return nil
	}
	return os.RemoveAll(parent)
}
