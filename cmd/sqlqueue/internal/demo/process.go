package demo

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"syscall"
)

// process is a process that works.
type process struct {
	cmd   *exec.Cmd
	lines chan string
	said  bytes.Buffer // on standard error; to be read when lines is closed
	ended chan error
}

func (d *demo) startWorker(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &process{lines: make(chan string), ended: make(chan error, 1)}
	w.cmd = exec.CommandContext(ctx, self, d.worker...)
	w.cmd.Stderr = &w.said
	if _, err := w.cmd.StdinPipe(); err != nil { // it closes when this process ends
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			select {
			case w.lines <- lines.Text():
			case <-ctx.Done():
			}
		}
		w.ended <- w.cmd.Wait()
		close(w.lines)
	}()
	return w, nil
}

func (w *process) pid() int { return w.cmd.Process.Pid }

func (w *process) kill() { _ = w.cmd.Process.Kill() }

// stop ends the worker as a supervisor would.
func (w *process) stop(ctx context.Context) error {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for {
		select {
		case <-w.lines:
		case err := <-w.ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
