// Package child runs a job as a command, in a process group of its own.
//
// The job's data stands on standard input, and the job in the environment: SQLQUEUE_JOB_ID, SQLQUEUE_JOB_NAME, SQLQUEUE_JOB_QUEUE,
// SQLQUEUE_JOB_ATTEMPTS and, up to 64 KiB, SQLQUEUE_JOB_PAYLOAD. The exit code says how it went: 0 done, 75 release, 65 fail for good,
// anything else is an error. What the command prints is passed on, line by line; the end of its standard error is the error's text.
//
// A process that the command leaves in the background lives on, unless it keeps the command's output open: then the whole group is
// killed a second after the command has ended.
package child

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Exit codes of a command that say more than done and error. Both are sysexits.h's: EX_TEMPFAIL and EX_DATAERR.
const (
	exitRelease = 75
	exitFail    = 65
)

const (
	mostPayload = 64 << 10    // in the environment; a single value of 128 KiB is more than Linux takes
	drainTime   = time.Second // for output that comes after the command has ended
)

// ErrRelease says that the command wants the job to be put back. From Command.Run.
var ErrRelease = errors.New("the command released the job (exit code 75)")

// FailError says that the command wants the job to fail for good. From Command.Run.
type FailError struct{ Text string }

func (e *FailError) Error() string { return e.Text }

// Job is what a command is told.
type Job struct {
	ID       int64
	Name     string
	Queue    string
	Attempts int
	Payload  []byte
	Data     []byte
}

// Command runs jobs. It is safe for concurrent use.
type Command struct {
	// Args is the program and its arguments.
	Args []string

	// KillAfter is how long the process group has between TERM, when the context ends, and KILL. 0: it gets KILL only.
	KillAfter time.Duration

	// Kill, when it is closed, gives every process group KILL at once. It may be nil.
	Kill <-chan struct{}

	// Output gets each line that a command prints, on standard output and standard error, without its end. It is called from several
	// goroutines. Nil: what is printed is dropped.
	Output func(job Job, line string)
}

// Shell returns the Args that run a line of sh.
func Shell(line string) []string { return []string{"sh", "-c", line} }

// Run runs the command for a job and waits until it has ended. The error is nil, ErrRelease, a *FailError, the context's cause with what
// the command last said, or an error with what the command last said.
func (c Command) Run(ctx context.Context, job Job) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var said tail
	emit := func(line string) {
		if c.Output != nil {
			c.Output(job, line)
		}
	}
	output, errorOutput := &lines{emit: emit}, &lines{emit: emit, also: &said}

	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), environment(job)...)
	cmd.Stdin = bytes.NewReader(job.Data) // a command that does not read it is fine: os/exec passes over EPIPE
	cmd.Stdout, cmd.Stderr = output, errorOutput
	cmd.WaitDelay = c.KillAfter + drainTime
	inOwnGroup(cmd)
	var kill *time.Timer
	cmd.Cancel = func() error {
		kill = time.AfterFunc(c.KillAfter, func() { _ = signalGroup(cmd.Process, syscall.SIGKILL) })
		if c.KillAfter <= 0 {
			return signalGroup(cmd.Process, syscall.SIGKILL)
		}
		return signalGroup(cmd.Process, syscall.SIGTERM)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-c.Kill:
			_ = signalGroup(cmd.Process, syscall.SIGKILL)
		case <-ended:
		}
	}()
	err := cmd.Wait()
	close(ended)
	if kill != nil && kill.Stop() || output.cut || errorOutput.cut {
		_ = signalGroup(cmd.Process, syscall.SIGKILL) // whoever is left
	}
	output.flush()
	errorOutput.flush()
	return result(ctx, cmd.ProcessState, err, said.String())
}

// result makes of a command's end what Run returns.
func result(ctx context.Context, state *os.ProcessState, err error, said string) error {
	if state == nil {
		return err
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case state.Success():
		return nil
	case state.ExitCode() == exitRelease:
		return ErrRelease
	case state.ExitCode() == exitFail:
		return &FailError{cmp.Or(said, state.String())}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case status.Signaled():
		err = fmt.Errorf("killed by signal %d (%s)", status.Signal(), status.Signal())
	case said != "":
		return errors.New(said)
	default:
		return errors.New(state.String())
	}
	if said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

func environment(job Job) []string {
	env := []string{
		"SQLQUEUE_JOB_ID=" + strconv.FormatInt(job.ID, 10),
		"SQLQUEUE_JOB_NAME=" + job.Name,
		"SQLQUEUE_JOB_QUEUE=" + job.Queue,
		"SQLQUEUE_JOB_ATTEMPTS=" + strconv.Itoa(job.Attempts),
	}
	if len(job.Payload) <= mostPayload {
		env = append(env, "SQLQUEUE_JOB_PAYLOAD="+string(job.Payload))
	}
	return env
}
