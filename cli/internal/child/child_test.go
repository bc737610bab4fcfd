//go:build unix

package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// settings returns Settings with a supervisor. Tests that run at once share one, as jobs do: with the race detector a process takes long to
// start.
func settings(t *testing.T) Settings {
	t.Helper()
	supervisor.Lock()
	defer supervisor.Unlock()
	if supervisor.users == 0 {
		supervisor.Supervisor = &supervise.Supervisor{}
	}
	supervisor.users++
	t.Cleanup(func() {
		supervisor.Lock()
		defer supervisor.Unlock()
		supervisor.users--
		if supervisor.users == 0 {
			supervisor.Close()
		}
	})
	return Settings{Supervisor: supervisor.Supervisor}
}

var supervisor struct {
	sync.Mutex
	*supervise.Supervisor

	users int // tests
}

func TestResult(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, command string
		want          string // of the error; empty: nil
		release, fail bool
	}{
		{name: "done", command: "exit 0"},
		{name: "done, standard error is no error", command: "echo oops >&2"},
		{name: "release", command: "echo later >&2; exit 75", want: ErrRelease.Error(), release: true},
		{name: "fail", command: "echo bad data >&2; exit 65", want: "bad data", fail: true},
		{name: "fail in silence", command: "exit 65", want: "exit status 65", fail: true},
		{name: "error", command: "echo first >&2; echo not this; echo last >&2; exit 3", want: "first\nlast"},
		{name: "error in silence", command: "exit 3", want: "exit status 3"},
		{name: "no such command", command: "no-such-command-anywhere 2>/dev/null", want: "exit status 127"},
		{name: "signal", command: "kill -SEGV $$", want: "killed by signal 11 (segmentation fault)"},
		{name: "signal, with last words", command: "echo help >&2; kill -KILL $$", want: "killed by signal 9 (killed): help"},
		{name: "not UTF-8", command: `printf 'a\377b' >&2; exit 1`, want: "a\uFFFDb"},
		{name: "output in the background", command: "sleep 1000 & exit 3", want: "exit status 3"},
		{name: "done, output in the background", command: "sleep 1000 & exit 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := Command{Args: Shell(test.command), Settings: settings(t)}.Run(t.Context(), Job{ID: 1})
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != test.want {
				t.Errorf("the error is %q, want %q", text, test.want)
			}
			if got := errors.Is(err, ErrRelease); got != test.release {
				t.Errorf("released: %t, want %t", got, test.release)
			}
			if got := errors.As(err, new(*FailError)); got != test.fail {
				t.Errorf("failed for good: %t, want %t", got, test.fail)
			}
		})
	}
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	missing := Command{Args: []string{"/no/such/program"}, Settings: settings(t)}
	if err := missing.Run(t.Context(), Job{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there gives %v", err)
	}
}

func TestErrorTextIsTheEnd(t *testing.T) {
	t.Parallel()
	err := Command{
		Args: Shell(`i=0; while [ $i -lt 2000 ]; do echo "line $i é" >&2; i=$((i+1)); done; exit 1`), Settings: settings(t),
	}.Run(t.Context(), Job{})
	if err == nil || !strings.HasSuffix(err.Error(), "line 1999 é") || len(err.Error()) > mostErrorText ||
		len(err.Error()) < mostErrorText-20 {
		t.Errorf("the error has %d bytes and ends with %.30q", len(err.Error()), err.Error()[max(0, len(err.Error())-30):])
	}
}

func TestJobInEnvironmentAndOnStandardInput(t *testing.T) {
	t.Parallel()
	var printed printed
	job := Job{
		ID: 42, Name: "send invoice", Queue: "mail", Attempts: 3,
		Payload: []byte(`{"job":"send invoice","data":{"a":"b c"}}`), Data: []byte(`{"a":"b c"}`),
	}
	command := Command{Args: Shell(`cat; echo; env | grep ^SQLQUEUE_JOB_ | sort`), Settings: settings(t)}
	command.Output = printed.add
	if err := command.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"a":"b c"}`,
		`SQLQUEUE_JOB_ATTEMPTS=3`,
		`SQLQUEUE_JOB_ID=42`,
		`SQLQUEUE_JOB_NAME=send invoice`,
		`SQLQUEUE_JOB_PAYLOAD={"job":"send invoice","data":{"a":"b c"}}`,
		`SQLQUEUE_JOB_QUEUE=mail`,
	}
	if !slices.Equal(printed.lines, want) {
		t.Errorf("the command saw\n%s\nwant\n%s", strings.Join(printed.lines, "\n"), strings.Join(want, "\n"))
	}
}

// A value of 128 KiB in the environment keeps a command from starting at all.
func TestLargePayloadIsNotInTheEnvironment(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]string{mostPayload: "there", mostPayload + 1: "", 1 << 20: ""} {
		var printed printed
		data := []byte(strings.Repeat("x", size))
		command := Command{Args: Shell(`wc -c; echo ${SQLQUEUE_JOB_PAYLOAD:+there}`), Settings: settings(t)}
		command.Output = printed.add
		if err := command.Run(t.Context(), Job{Payload: data, Data: data}); err != nil {
			t.Fatal(err)
		}
		if got := []string{strings.TrimSpace(printed.lines[0]), printed.lines[1]}; !slices.Equal(got, []string{strconv.Itoa(size), want}) {
			t.Errorf("of %d bytes, the command saw %q", size, got)
		}
	}
}

// What was printed is passed on also when the pump, on a busy machine, has not come to it until it is closed.
func TestLastWordsThatAreReadLate(t *testing.T) {
	t.Parallel()
	var lines printed
	p, theirs, err := newPump(func(line string) { lines.add(Job{}, line) })
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close() // somebody can print on
	if _, err := theirs.WriteString("first\n" + strings.Repeat("x", 40<<10) + "\nlast words"); err != nil {
		t.Fatal(err)
	}
	close(p.done) // run has never run
	p.close()
	if got := lines.lines; len(got) != 3 || got[2] != "last words" || !strings.HasSuffix(p.said(), "\nlast words") {
		t.Errorf("%d lines were printed", len(got))
	}
}

func TestInputThatIsNotRead(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Repeat("x", 1<<20)) // more than a pipe holds
	if err := (Command{Args: Shell("exec 0<&-; exit 0"), Settings: settings(t)}).Run(t.Context(), Job{Data: data}); err != nil {
		t.Error(err)
	}
}

func TestOutputIsPassedOnByLines(t *testing.T) {
	t.Parallel()
	var printed printed
	long := strings.Repeat("y", mostLine)
	command := Command{Args: Shell(`printf 'one\r\ntwo\n\n'; cat; printf 'no end'`), Settings: settings(t)}
	command.Output = printed.add
	if err := command.Run(t.Context(), Job{Data: []byte(long + "yy\n")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "two", "", long, "yy", "no end"}; !slices.Equal(printed.lines, want) {
		t.Errorf("%d lines, want %d: %.80q", len(printed.lines), len(want), printed.lines)
	}
}

// The whole process group goes: also a grandchild, and also what ignores TERM.
func TestContextKillsTheGroup(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, command string
		killAfter     time.Duration
		want          string
	}{
		{"at once", `sh -c 'echo $$; exec sleep 1000'; true`, 0, "timed out"},
		{"TERM is enough", `sh -c 'echo $$; exec sleep 1000'; true`, time.Hour, "timed out"},
		{
			"TERM is ignored", `trap "" TERM; sh -c 'trap "" TERM; echo $$; while :; do sleep 1000; done'; true`, 100 * time.Millisecond,
			"timed out",
		},
		{
			"TERM ends the parent only", `sh -c 'trap "" TERM; echo $$; exec >/dev/null 2>&1; while :; do sleep 1000; done' & wait`,
			100 * time.Millisecond, "timed out",
		},
		{"last words", `trap 'echo bye >&2; exit 1' TERM; sh -c 'echo $$; exec sleep 1000' & wait`, time.Hour, "timed out: bye"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cause := errors.New("timed out")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			grandchild := make(chan int, 1)
			command := Command{Args: Shell(test.command), Settings: settings(t)}
			command.KillAfter = test.killAfter
			command.Output = func(_ Job, line string) {
				pid, err := strconv.Atoi(line)
				if err != nil {
					return
				}
				grandchild <- pid
				cancel(cause)
			}
			err := command.Run(ctx, Job{})
			if !errors.Is(err, cause) || err.Error() != test.want {
				t.Errorf("the error is %q, want %q", err, test.want)
			}
			waitUntilGone(t, <-grandchild)
		})
	}
}

// What stays in the background goes on, unless it keeps the command's output open.
func TestBackground(t *testing.T) {
	t.Parallel()
	background := make(chan int, 1)
	command := Command{Settings: settings(t)}
	command.Output = func(_ Job, line string) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Errorf("printed %q", line)
		}
		background <- pid
	}
	for exit, says := range map[string]string{"0": "<nil>", "3": "exit status 3", "75": ErrRelease.Error()} {
		command.Args = Shell("sleep 1000 & echo $!; exit " + exit)
		if err := command.Run(t.Context(), Job{}); fmt.Sprint(err) != says {
			t.Errorf("the error is %v, want %s", err, says)
		}
		waitUntilGone(t, <-background)
	}

	command.Args = Shell("sleep 1000 >/dev/null 2>&1 & echo $!")
	if err := command.Run(t.Context(), Job{}); err != nil {
		t.Error(err)
	}
	pid := <-background
	if err := syscall.Kill(pid, 0); err != nil || clitest.IsZombie(pid) {
		t.Errorf("what stays in the background was killed: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// Kill does not wait for KillAfter.
func TestKill(t *testing.T) {
	t.Parallel()
	kill, pid := make(chan struct{}), make(chan int, 1)
	command := Command{Args: Shell(`trap "" TERM; sh -c 'echo $$; exec sleep 1000'; true`), Settings: settings(t)}
	command.KillAfter, command.Kill = time.Hour, kill
	command.Output = func(_ Job, line string) {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Error(err)
		}
		pid <- n
		close(kill)
	}
	if err := command.Run(t.Context(), Job{}); err == nil || err.Error() != "killed by signal 9 (killed)" {
		t.Errorf("the error is %v", err)
	}
	waitUntilGone(t, <-pid)
}

// A command that ends well on TERM is done, whatever the reason was.
func TestDoneInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := Command{Args: Shell(`trap 'exit 0' TERM; sh -c 'echo ready; exec sleep 1000' & wait`), Settings: settings(t)}
	command.KillAfter = time.Hour
	command.Output = func(Job, string) { cancel() }
	if err := command.Run(ctx, Job{}); err != nil {
		t.Error(err)
	}
}

func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "ran")
	if err := (Command{Args: Shell("touch " + file), Settings: settings(t)}).Run(ctx, Job{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command ran")
	}
}

// printed collects lines.
type printed struct {
	mu    sync.Mutex
	lines []string
}

func (p *printed) add(_ Job, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
}

func (p *printed) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// waitForLine waits until a child has printed a line.
func (p *printed) waitForLine(t *testing.T, line string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(clitest.Patience(t))
	for !slices.Contains(p.all(), line) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%q was not printed: %q", line, p.all())
		}
	}
}

// waitUntilGone waits until a process runs no more. What is dead but not yet waited for by its new parent counts as gone.
func waitUntilGone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(clitest.Patience(t))
	for {
		if syscall.Kill(pid, 0) != nil || clitest.IsZombie(pid) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d is still there", pid)
		}
	}
}
