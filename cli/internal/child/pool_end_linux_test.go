package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// An end that comes when its job is over does not end the next one.
func TestAnEndThatComesLate(t *testing.T) {
	s, cause := &serving{encoder: json.NewEncoder(io.Discard)}, make(chan error)
	s.begin(t.Context(), message{Job: 2}, func(ctx context.Context, _ []byte) []byte {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil
	})
	own := errors.New("of its own")
	s.endJob(1, errors.New("of the job before"))
	s.endJob(2, own)
	if err := <-cause; !errors.Is(err, own) {
		t.Errorf("the context has ended for the reason %v", err)
	}
}

// What a child that has died leaves behind is killed, also when it has closed its output.
func TestWhatADeadChildLeavesBehind(t *testing.T) {
	p, output := pool(t, 5)
	_, err := p.Call(t.Context(), Job{ID: 1}, []byte(`sh cd '`+t.TempDir()+
		`'; (setsid sh -c 'echo $$ >&2; echo >begun; exec sleep 1000 >/dev/null 2>&1' &); `+
		`until test -e begun; do sleep 0.01; done; kill -KILL $PPID`))
	if err == nil {
		t.Error("no error")
	}
	pids := pidsOf(output)
	if len(pids) != 1 {
		t.Fatalf("printed were %q", output.all())
	}
	waitUntilGone(t, pids[0])
}

func TestAChildDies(t *testing.T) {
	p, _ := pool(t, 5)
	for request, want := range map[string]string{
		"exit 0":                         "the child process died: exit status 0: last words",
		"exit 3":                         "the child process died: exit status 3: last words",
		"panic":                          "the child process died: exit status 2: panic: in the background\n\ngoroutine ",
		"sh kill -SEGV $PPID; sleep 100": "the child process died: ", // the Go runtime tells more
		"sh kill -KILL $PPID; sleep 100": "the child process died: killed by signal 9 (killed)",
	} {
		before := p.get1(t, 1, "print something else")
		_, err := p.Call(t.Context(), Job{}, []byte(request))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "something else") ||
			errors.Is(err, ErrNotStarted) {
			t.Errorf("%q: %v, want %s", request, err, want)
		}
		if after := p.get1(t, 2, "pid"); after == before {
			t.Errorf("%q: the same child serves the next job", request)
		}
	}
}

// A child that dies between two jobs is replaced, and no job suffers from it.
func TestAnIdleChildDies(t *testing.T) {
	p, _ := pool(t, 100)
	for range 3 {
		pid, err := strconv.Atoi(p.get1(t, 1, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if next := p.get1(t, 2, "pid"); next == strconv.Itoa(pid) {
			t.Error("a dead child answers")
		}
	}
}

// A handler that heeds the end of its context answers, and its child goes on.
func TestTheEndOfTheContext(t *testing.T) {
	p, output := pool(t, 5)
	pid := p.get1(t, 1, "pid")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		output.waitForLine(t, "2 waiting")
		cancel(errors.New("timed out after 5s"))
	}()
	answer, err := p.Call(ctx, Job{ID: 2}, []byte("wait"))
	if err != nil || string(answer) != "timed out after 5s" {
		t.Errorf("%q, %v", answer, err)
	}
	if after := p.get1(t, 3, "pid"); after != pid {
		t.Error("the child was replaced")
	}
}

// A dead loop is killed, with all that the child has started.
func TestAChildThatDoesNotEnd(t *testing.T) {
	tree := `for i in 1 2 3 4 5; do (setsid sh -c 'echo $$; exec sleep 1000' >&2 &); sh -c 'echo $$; exec sleep 1000' >&2 & done; wait`
	for request, first := range map[string]string{"loop": "1 looping", "sh " + tree: ""} {
		p, output := pool(t, 5)
		p.KillAfter = 50 * time.Millisecond
		cause := errors.New("timed out")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			defer cancel(cause)
			if first != "" {
				output.waitForLine(t, first)
				return
			}
			waitForPids(t, output, 10)
		}()
		if _, err := p.Call(ctx, Job{ID: 1}, []byte(request)); !errors.Is(err, cause) {
			t.Errorf("%q: %v", request, err)
		}
		for _, pid := range pidsOf(output) {
			waitUntilGone(t, pid)
		}
		p.get1(t, 2, "pid")
	}
}

func pidsOf(output *printed) (pids []int) {
	for _, line := range output.all() {
		if pid, err := strconv.Atoi(strings.TrimPrefix(line, "1 ")); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func waitForPids(t *testing.T, output *printed, n int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(clitest.Patience(t))
	for len(pidsOf(output)) < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("of %d processes there are %d", n, len(pidsOf(output)))
			return
		}
	}
}

func TestKillOfAPool(t *testing.T) {
	p, output := pool(t, 5)
	kill := make(chan struct{})
	p.Kill, p.KillAfter = kill, time.Hour
	go func() {
		output.waitForLine(t, "1 looping")
		close(kill)
	}()
	if _, err := p.Call(t.Context(), Job{ID: 1}, []byte("loop")); err == nil || !strings.Contains(err.Error(), "killed by signal 9") {
		t.Errorf("the error is %v", err)
	}
}

// A supervisor that dies fails the jobs that run, and no other.
func TestTheSupervisorDies(t *testing.T) {
	p, output := pool(t, 5)
	idle, err := strconv.Atoi(p.get1(t, 1, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		output.waitForLine(t, "2 looping")
		if err := syscall.Kill(parentOf(t, idle), syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}()
	if _, err := p.Call(t.Context(), Job{ID: 2}, []byte("loop")); !errors.Is(err, supervise.ErrSupervisor) {
		t.Errorf("the error is %v", err)
	}
	waitUntilGone(t, idle)
	p.get1(t, 3, "pid")
}

func parentOf(t *testing.T, pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	parent, _ := strconv.Atoi(strings.Fields(after)[1])
	return parent
}
