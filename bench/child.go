package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// child is a process of a system.
type child struct {
	name     string
	cmd      *exec.Cmd
	in       io.WriteCloser
	requests *json.Encoder
	replies  *json.Decoder
}

// serveVariable makes this program serve the system that it names.
const serveVariable = "SQLQUEUE_BENCH_SERVE"

// patience is how long a process may take for an answer.
const patience = 10 * time.Minute

func startChild(ctx context.Context, s system, logs io.Writer, variables ...string) (*child, error) {
	command := s.command
	if command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		command = []string{self}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(append(os.Environ(), serveVariable+"="+s.name), variables...)
	cmd.Stderr = logs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return &child{s.name, cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// ask sends a request and waits for the answer.
func (c *child) ask(q request) (reply, error) {
	var a reply
	// A process that hangs is killed: its pipe then ends.
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer hung.Stop()
	err := c.requests.Encode(q)
	if err == nil {
		err = c.replies.Decode(&a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %s: %w", c.name, q.Op, err)
	}
	return a, nil
}

// close ends the process.
func (c *child) close() error {
	_ = c.in.Close()
	hung := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer hung.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}
