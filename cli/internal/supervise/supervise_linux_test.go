package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// asParent makes the test binary a program that starts a command, says so, and waits to be killed.
const asParent = "SUPERVISE_TEST_PARENT"

func TestMain(m *testing.M) {
	Become()
	if line := os.Getenv(asParent); line != "" {
		parent(line)
	}
	// With the race detector, a process that ends sleeps for a second: supervisors too.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func parent(line string) {
	s := &Supervisor{}
	output, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	p, err := s.Start(Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: os.Environ(), Files: []*os.File{output, output, output},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.link.supervisor.Process.Pid)
	if os.Getenv(asParent+"_WAITS") != "" {
		<-p.Done()
		fmt.Println("ended")
	}
	select {}
}

// supervisor returns one that is closed at the end of the test.
func supervisor(t *testing.T) *Supervisor {
	t.Helper()
	s := &Supervisor{}
	t.Cleanup(s.Close)
	return s
}

// sh starts a line of sh, whose output goes to a file, or to nowhere.
func (s *Supervisor) sh(t *testing.T, line string, memory int64) *Process {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := s.Start(Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: os.Environ(), Files: []*os.File{null, null, null}, Memory: memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ended(t *testing.T, p *Process) Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(clitest.Patience(t)):
		t.Fatal("the process does not end")
	}
	return p.Exit()
}

func TestExit(t *testing.T) {
	s := supervisor(t)
	for line, want := range map[string]string{
		"exit 0":        "exit status 0",
		"exit 200":      "exit status 200",
		"kill -TERM $$": "killed by signal 15 (terminated)",
		"sleep 1000 &":  "exit status 0",
	} {
		p := s.sh(t, line, 0)
		if got := ended(t, p).String(); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
		p.Free()
	}
}

func TestStartFails(t *testing.T) {
	s := supervisor(t)
	for path, want := range map[string]error{"/no/such": os.ErrNotExist, "/etc/passwd": os.ErrPermission} {
		if _, err := s.Start(Command{Path: path, Args: []string{"x"}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := s.Start(Command{Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=a\x00b"}}); err == nil ||
		!strings.Contains(err.Error(), "NUL") {
		t.Errorf("a NUL byte: %v", err)
	}
	if _, err := s.Start(Command{Path: "/bin/true", Args: []string{"true", strings.Repeat("x", 200<<10)}}); !errors.Is(err, syscall.E2BIG) {
		t.Errorf("an argument of 200 KiB: %v", err)
	}
	if exit := ended(t, s.sh(t, "exit 7", 0)); exit.Code != 7 {
		t.Errorf("after that: %+v", exit)
	}
}

// Arguments, environment, directory and files arrive as they are.
func TestWhatACommandGets(t *testing.T) {
	s := supervisor(t)
	dir := t.TempDir()
	t.Chdir(dir)
	var files []*os.File
	for i := range 4 {
		file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(i)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	t.Setenv(mark, "of another supervisor")
	p, err := s.Start(Command{
		Path: "/bin/sh",
		Args: []string{
			"sh", "-c",
			`pwd -P; printf %s "$1" >&2; printf %s "$X" >&3; ls -l /proc/self/fd/ | grep -c socket; ` +
				`tr "\\0" "\\n" </proc/$$/environ | grep -c ^` + mark + `=`,
			"sh", "a\xff b",
		},
		Env: append(os.Environ(), "X=\xfe"), Files: files,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, p)
	at, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", at + "\n0\n1\n", "a\xff b", "\xfe"} {
		if got, err := os.ReadFile(files[i].Name()); err != nil || string(got) != want {
			t.Errorf("file %d has %q, %v; want %q", i, got, err, want)
		}
	}
}

// Signals are neither ignored nor blocked in what is started, though the supervisor heeds none of them.
func TestSignals(t *testing.T) {
	signals := []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}
	for _, sig := range signals { // so that they are not ignored from the start, as in a shell's background
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, sig)
		defer signal.Stop(caught)
	}
	s := supervisor(t)
	for _, sig := range signals {
		p := s.sh(t, "kill -"+strconv.Itoa(int(sig))+" $PPID; kill -"+strconv.Itoa(int(sig))+" $$; sleep 1000", 0)
		if exit := ended(t, p); exit.Signal != sig {
			t.Errorf("%v: %+v", sig, exit)
		}
	}
	p := s.sh(t, "sleep 1000; exit 3", 0)
	p.Terminate()
	if exit := ended(t, p); exit.Signal != syscall.SIGTERM {
		t.Errorf("%+v", exit)
	}
	if pid := s.link.supervisor.Process.Pid; groupOf(t, pid) != pid {
		t.Error("the supervisor is in our process group: what a terminal sends would reach it")
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(clitest.Patience(t))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestCloseWhileCommandsRun(t *testing.T) {
	s := supervisor(t)
	dir := t.TempDir()
	p := s.sh(t, tree(dir), 0)
	pids := grown(t, dir)
	s.Close()
	if left := alive(append(pids, p.Pid)); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	if exit := ended(t, p); !errors.Is(exit.Err, ErrClosed) {
		t.Errorf("the process's end is %v", exit)
	}
}

// A parent that is killed with -9 leaves nothing: while a command runs, after one, and with what is left behind of one.
func TestParentKilled(t *testing.T) {
	for name, c := range map[string]struct {
		line func(dir string) string
		env  string
		says string
	}{
		"during a command": {line: tree},
		"after a command":  {line: func(dir string) string { return "cd " + dir + "; touch ready" }, env: "_WAITS", says: "ended"},
		"with what is left behind of one": {
			line: func(dir string) string { return strings.TrimSuffix(tree(dir), "wait") }, env: "_WAITS", says: "ended",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), clitest.Patience(t))
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), asParent+"="+c.line(dir), asParent+c.env+"=1", asParent+"="+c.line(dir))
			var output clitest.Buffer
			cmd.Stdout, cmd.Stderr = &output, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pids []int
			if c.says == "" || strings.Contains(c.line(dir), "setsid") {
				pids = grown(t, dir)
			}
			waitFor(t, "the parent", func() bool { return strings.Contains(output.String(), c.says) && output.String() != "" })
			supervisor, err := strconv.Atoi(strings.Fields(output.String())[0])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(append(pids, descendants(supervisor)...), supervisor)
			if len(alive(pids)) == 0 {
				t.Fatal("nothing runs before the parent is killed")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			waitFor(t, "the end of all", func() bool { return len(alive(pids)) == 0 })
		})
	}
}

// When the supervisor is killed, its commands end with a clear error, and the next one has a new supervisor.
func TestSupervisorKilled(t *testing.T) {
	s := supervisor(t)
	p := s.sh(t, "sleep 1000; exit 1", 0)
	before := s.link.supervisor.Process
	var below []int
	waitFor(t, "the command's child", func() bool { below = descendants(before.Pid); return len(below) == 2 })
	if err := before.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := ended(t, p); !errors.Is(exit.Err, ErrSupervisor) {
		t.Errorf("the end is %+v", exit)
	}
	waitFor(t, "the end of the command and its child", func() bool { return len(alive(below)) == 0 })
	p.Kill()
	p.Free()
	if exit := ended(t, s.sh(t, "exit 4", 0)); exit.Code != 4 || s.link.supervisor.Process == before {
		t.Errorf("the next one: %+v", exit)
	}
}

// Parent and supervisor killed at once: the command itself still ends.
func TestBothKilled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), clitest.Patience(t))
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), asParent+"=cd "+dir+"; echo $$ >pid; while :; do sleep 0.1; done")
	var output clitest.Buffer
	cmd.Stdout = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command", func() bool { return output.String() != "" && exists(filepath.Join(dir, "pid")) })
	supervisor, err := strconv.Atoi(strings.TrimSpace(output.String()))
	if err != nil {
		t.Fatal(err)
	}
	below := descendants(supervisor)
	if err := errors.Join(syscall.Kill(supervisor, syscall.SIGSTOP), cmd.Process.Kill(),
		syscall.Kill(supervisor, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitFor(t, "the end of the command", func() bool { return len(below) > 0 && len(alive(below)) == 0 })
}

// allocate is a line of sh that lets a child take 200 MB, and stay.
const allocate = `awk 'BEGIN { s = sprintf("%1048576s", "x"); for (i = 0; i < 200; i++) a[i] = s i; while (1) system("sleep 1") }'`

func TestMemory(t *testing.T) {
	const limit = 100 << 20
	for name, line := range map[string]string{
		"the process":             "exec " + allocate,
		"a child":                 allocate + "; exit 5",
		"a child elsewhere":       "setsid " + allocate + " & wait",
		"a child without parents": "(setsid " + allocate + " &); sleep 1000; exit 5",
	} {
		t.Run(name, func(t *testing.T) {
			s := supervisor(t)
			neighbour := s.sh(t, "read x; sleep 1000", limit)
			other := s.sh(t, "sleep 1000", 0)
			p := s.sh(t, line, limit)
			exit := ended(t, p)
			if exit.Memory <= limit || exit.Memory > 4*limit || exit.Signal != syscall.SIGKILL {
				t.Errorf("the end is %+v", exit)
			}
			waitFor(t, "the end of all", func() bool {
				for _, pid := range descendants(s.link.supervisor.Process.Pid) {
					if strings.Contains(commandLine(pid), "awk") {
						return false
					}
				}
				return true
			})
			if left := alive([]int{other.Pid}); len(left) == 0 {
				t.Error("another command is gone")
			}
			_ = neighbour
		})
	}
}

// A command below its limit is left alone, looked at often.
func TestMemoryBelowTheLimit(t *testing.T) {
	p := supervisor(t).sh(t, "sleep 0.5", 100<<20)
	if exit := ended(t, p); exit.Code != 0 || exit.Memory != 0 {
		t.Errorf("the end is %+v", exit)
	}
}

// A hundred commands, at once and one after the other, leave no file open and nothing in the supervisor's memory.
func TestNothingLeaks(t *testing.T) {
	s := supervisor(t)
	run := func() {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				p := s.sh(t, "exit 3", 1<<40)
				if exit := ended(t, p); exit.Code != 3 {
					t.Errorf("the end is %+v", exit)
				}
				p.Free()
			})
		}
		all.Wait()
	}
	run()
	ours, theirs := openFiles(t, os.Getpid()), openFiles(t, s.link.supervisor.Process.Pid)
	for range 10 {
		run()
	}
	if n := openFiles(t, os.Getpid()); n > ours {
		t.Errorf("%d files are open, before it were %d", n, ours)
	}
	waitFor(t, "the files of the supervisor to be closed", func() bool { return openFiles(t, s.link.supervisor.Process.Pid) <= theirs })
	if n := len(s.link.processes); n != 0 {
		t.Errorf("%d processes are not forgotten", n)
	}
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
