package servers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const superviseStopTimeout = 10 * time.Second

//go:embed supervise.sh
var superviseScript string

// A supervised server is the child of a shell that runs supervise.sh, so that it ends when this process does, even by kill -9.
type supervised struct {
	group int           // the shell's process group
	pipe  io.Closer     // the shell stops the server when it is closed
	gone  chan struct{} // closed when server and directory are gone
	err   error         // why the server ended; set before gone is closed
}

// superviseServer starts supervise.sh with variables, which it documents. account nil is the account of this process.
// The server outlives ctx: it ends with stop.
func superviseServer(ctx context.Context, account *syscall.Credential, variables []string) (*supervised, error) {
	shell := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", superviseScript)
	shell.Dir = "/"
	shell.Env = append(variables, "LC_ALL=C")
	// a session of its own: a Control-C at the terminal must not reach the server before the tests have ended
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: account}
	var log tail
	shell.Stdout, shell.Stderr = &log, &log
	shell.WaitDelay = time.Second // what the server has started may live on, and hold them
	pipe, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	s := &supervised{group: shell.Process.Pid, pipe: pipe, gone: make(chan struct{})}
	go func() {
		err := shell.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		s.err = fmt.Errorf("%w: %s", err, log.String())
		close(s.gone)
	}()
	return s, nil
}

// ended is nil while the server runs.
func (s *supervised) ended() error {
	select {
	case <-s.gone:
		return s.err
	default:
		return nil
	}
}

// stop ends the server and waits until it is gone.
func (s *supervised) stop() error {
	_ = s.pipe.Close()
	select {
	case <-s.gone:
		return nil
	case <-time.After(superviseStopTimeout):
		return errors.Join(errors.New("it did not stop: killed"), syscall.Kill(-s.group, syscall.SIGKILL))
	}
}

// tail keeps the last lines that were written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text string
}

const tailLength = 2000 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += string(p)
	if cut := len(t.text) - tailLength; cut > 0 {
		t.text = t.text[cut:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text)
}
