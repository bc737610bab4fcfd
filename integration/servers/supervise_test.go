package servers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stub is the environment of supervise.sh for a server that writes its process id to DIR/process.
func stub(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"DIR=" + dir,
		"PREPARE=true",
		`SERVE=sh -c 'echo $$ >"$DIR/writing" && mv "$DIR/writing" "$DIR/process" && exec sleep 1000'`,
		"STOP=TERM",
	}
}

func TestStopEndsTheServerAndRemovesItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "server")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := superviseServer(t.Context(), nil, stub(dir))
	if err != nil {
		t.Fatal(err)
	}
	var process int
	await(t, "the server has started", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "process"))
		if err == nil {
			process, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	if err := server.ended(); err != nil {
		t.Errorf("the server runs, but ended says %v", err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(process, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server is still there (signal 0: %v)", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory is still there (%v)", err)
	}
}

func TestServerThatEndsByItselfTellsItsLastWords(t *testing.T) {
	for name, variable := range map[string]string{
		"while it is prepared": "PREPARE=echo no space left; exit 7",
		"while it runs":        "SERVE=sh -c 'echo no space left >&2; exit 7'",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "server")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			server, err := superviseServer(t.Context(), nil, append(stub(dir), variable))
			if err != nil {
				t.Fatal(err)
			}
			await(t, "the server has ended", func() bool { return server.ended() != nil })
			if got := server.ended().Error(); !strings.Contains(got, "status 7") || !strings.Contains(got, "no space left") {
				t.Errorf("%q does not tell exit status and last words", got)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("its directory is still there (%v)", err)
			}
		})
	}
}

// await waits until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
