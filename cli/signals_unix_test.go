//go:build unix

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// command returns a command of the stock program in a process of its own.
func (s *shell) command(args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"="+stock, "SQLQUEUE_DSN="+s.dsn)
	return cmd
}

// HUP lets workers finish, however often it comes: a terminal that closes sends several.
func TestHangupDrains(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"work":      {"work"},
		"listen":    {"listen"},
		"processes": {"work", "--processes", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			dir := t.TempDir()
			s.ok("push", "a")
			p := s.start(append(args, "--tries", "1", "--exec",
				"echo begun; until [ -e "+dir+"/go ]; do sleep 0.02; done; echo >"+dir+"/done")...)
			p.says(": begun")
			p.signal(syscall.SIGHUP)
			p.says("signal=hangup")
			p.signal(syscall.SIGHUP)
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.stderr)
			}
			if _, err := os.Stat(dir + "/done"); err != nil || len(s.jobs()) != 0 || len(s.failed()) != 0 {
				t.Errorf("%v, left are %+v, failed are %+v\n%s", err, s.jobs(), s.failed(), p.stderr)
			}
		})
	}
}

// After HUP the first TERM still lets it finish, and the second ends it at once.
func TestHangupIsNotTheFirstOfTwoSignals(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	p := s.start("work", "--exec", `trap "echo told" TERM; echo begun; while :; do sleep 0.02; done`, "--grace", "1000",
		"--kill-after", "1000")
	p.says(": begun")
	p.signal(syscall.SIGHUP)
	p.says("signal=hangup")
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 1 || !strings.Contains(p.stderr.String(), "stopped at once by a second signal") {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}

// Under nohup, HUP does nothing.
func TestHangupIsIgnoredUnderNohup(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"work": {"work"}, "processes": {"work", "--processes", "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			program := s.command(append(args, "--sleep", "0.05", "--exec", "cat >/dev/null")...)
			p := &process{
				t:      t,
				cmd:    exec.CommandContext(t.Context(), "sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh"}, program.Args...)...),
				stderr: &watched{}, ended: make(chan struct{}),
			}
			p.cmd.Env, p.cmd.Stderr = program.Env, p.stderr
			if err := p.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				_ = p.cmd.Wait()
				close(p.ended)
			}()
			t.Cleanup(func() {
				_ = p.cmd.Process.Kill()
				<-p.ended
			})
			s.workerPIDs(1)
			p.signal(syscall.SIGHUP)
			s.ok("push", "a")
			p.says("msg=processed")
			p.signal(syscall.SIGTERM)
			if code := p.wait(); code != 0 || strings.Contains(p.stderr.String(), "hangup") {
				t.Errorf("exit code %d\n%s", code, p.stderr)
			}
		})
	}
}

// A worker goes on when whoever reads its log is gone.
func TestALogThatNobodyReadsEndsNoWorker(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"work":      {"work", "--concurrency", "1"},
		"json":      {"work", "--log-format", "json"},
		"listen":    {"listen"},
		"processes": {"work", "--processes", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			ran := filepath.Join(t.TempDir(), "ran")
			s.ok("push", "a", "--count", "4")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := s.command(append(args, "--stop-when-empty", "--exec", "cat >/dev/null; echo output; echo error >&2; echo x >>"+ran)...)
			cmd.Stdout, cmd.Stderr = writer, writer
			if err := errors.Join(reader.Close(), cmd.Run(), writer.Close()); err != nil {
				t.Error(err)
			}
			if text, err := os.ReadFile(ran); string(text) != strings.Repeat("x\n", 4) || len(s.jobs()) != 0 {
				t.Errorf("%v: ran are %q, left are %+v", err, text, s.jobs())
			}
		})
	}
}

// A worker goes on when whoever reads its log has stopped to read, and it ends at a signal.
func TestALogThatIsNotReadStopsNoWorker(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "5")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd := s.command("work", "--concurrency", "1", "--exec", "cat >/dev/null; yes 0123456789012345678901234567890123456789 | head -n 30000")
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() error {
		if jobs := s.jobs(); len(jobs) > 0 {
			return fmt.Errorf("left are %+v", jobs)
		}
		return nil
	})
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
