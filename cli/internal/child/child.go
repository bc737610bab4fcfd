// Package child runs jobs in child processes: a command for each job, a command whose processes serve several, or this program itself,
// whose processes do too.
//
// A command for each job gets the job's data on standard input, and the job in the environment: SQLQUEUE_JOB_ID, SQLQUEUE_JOB_NAME,
// SQLQUEUE_JOB_QUEUE, SQLQUEUE_JOB_ATTEMPTS and, up to 64 KiB, SQLQUEUE_JOB_PAYLOAD; and TRACEPARENT, if it was pushed in a trace.
//
// The exit code says how it went: 0 done, 75 release,
// 65 fail for good, anything else is an error. What it prints is passed on, line by line; the end of its standard error is the error's
// text.
//
// A process that a child leaves in the background lives on until the supervisor is closed, unless it keeps the child's output open: then
// all that descends from the child is killed a second after the child has ended.
package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// Exit codes of a command that say more than done and error. Both are sysexits.h's: EX_TEMPFAIL and EX_DATAERR.
const (
	exitRelease = 75
	exitFail    = 65

	exitNotExecutable = 126 // of a shell
	exitNotFound      = 127
)

const mostPayload = 64 << 10 // in the environment; a single value of 128 KiB is more than Linux takes

// ErrRelease says that the command wants the job to be put back, to wait as after an error. From Command.Run and Reused.Run.
var ErrRelease = errors.New("the command released the job (exit code 75)")

// ErrDiscard says that the command wants the job to be deleted without its work being done. From Reused.Run.
var ErrDiscard = errors.New("the command discarded the job")

// ErrNotStarted says that no child has got the job, for a reason that is the machine's and not the job's. From Command.Run, Reused.Run and
// Pool.Call.
var ErrNotStarted = errors.New("no child process could be started for the job")

// FailError says that the command wants the job to fail for good. From Command.Run and Reused.Run.
type FailError struct{ Text string }

func (e *FailError) Error() string { return e.Text }

// ReleaseError says that the command wants the job to be put back for a while. From Reused.Run.
type ReleaseError struct {
	Delay  time.Duration
	Snooze bool // the attempt does not count
}

func (e *ReleaseError) Error() string {
	return fmt.Sprintf("the command released the job for %v", e.Delay)
}

// What a line begins with that a command prints for its worker: how far it is, and its result.
const (
	ProgressLine = "sqlqueue:progress "
	ResultLine   = "sqlqueue:result "
)

// Job is what a command is told.
type Job struct {
	ID       int64
	Name     string
	Queue    string
	Attempts int
	Payload  []byte
	Data     []byte
	Trace    string // TRACEPARENT, or empty

	// Told gets each line that the command prints, on standard output or, if its processes serve several jobs, on standard error, and
	// reports whether it was for the worker: then it is not passed on. It gets the result of an answer as a ResultLine. It is called from
	// other goroutines. Nil: every line is passed on.
	Told func(line string) bool
}

// Settings are what holds for every child.
type Settings struct {
	// Supervisor starts the processes. It must not be nil, and not be closed before the last job has ended.
	Supervisor *supervise.Supervisor

	// KillAfter is how long a child has, when the context of its job ends, until it is killed with all that descends from it. A command
	// gets TERM before. 0: it is killed at once.
	KillAfter time.Duration

	// Kill, when it is closed, kills every child at once. It may be nil.
	Kill <-chan struct{}

	// Memory is how many bytes a child, with all that descends from it, may have resident. 0: no limit. See
	// supervise.CanLimitMemory.
	Memory int64

	// Output gets each line that a child prints, on standard output and standard error, without its end. It is called from several
	// goroutines. Nil: what is printed is dropped.
	Output func(job Job, line string)
}

// Command runs each job as a command. It is safe for concurrent use.
type Command struct {
	Settings

	// Args is the program and its arguments.
	Args []string
}

// Shell returns the Args that run a line of sh.
func Shell(line string) []string { return []string{"sh", "-c", line} }

// notStarted is the error of a job whose process could not be started: ErrNotStarted, unless the command itself is wrong.
func notStarted(err error) error {
	if errors.Is(err, supervise.ErrCommand) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotStarted, err)
}

// Run runs the command for a job and waits until it has ended. The error is nil, ErrRelease, a *FailError, the context's cause with what
// the command last said, or an error with what the command last said.
func (c Command) Run(ctx context.Context, job Job) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p, err := c.startCommand(job)
	if err != nil {
		return notStarted(err)
	}
	defer p.Free()
	if _, how := c.await(ctx, p, nil); how == undying {
		p.finish(false)
		return p.cannotBeKilled(ctx)
	}
	p.finish(ctx.Err() != nil)
	if p.couldNotStart() {
		return fmt.Errorf("%w: the working directory is gone: %s", ErrNotStarted, cmp.Or(p.said(), p.Exit().String()))
	}
	return c.result(ctx, p.Exit(), p.said())
}

var errKilled = errors.New("stopped at once")

// cannotBeKilled is the error of a job whose command goes on.
func (p *process) cannotBeKilled(ctx context.Context) error {
	return withWords(fmt.Errorf("%w, and the command cannot be killed: it runs as another user, and goes on as process %d",
		cmp.Or(context.Cause(ctx), errKilled), p.Pid), p.said())
}

// couldNotStart says whether a shell has not found what the command starts, in a directory that is not the command's.
func (p *process) couldNotStart() bool {
	code := p.Exit().Code
	return p.Moved && (code == exitNotFound || code == exitNotExecutable)
}

// startCommand starts the command, and writes the data to it.
func (c Command) startCommand(job Job) (*process, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	emit := func(line string) { c.emit(job, line) }
	output := func(line string) {
		if job.Told == nil || !job.Told(line) {
			emit(line)
		}
	}
	p, err := c.start(c.Args, environment(job), theirs, nil, output, emit)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	p.input = ours
	go func() { // as long as it takes, or until the process is finished
		_, _ = ours.Write(job.Data) // a command that does not read it is fine
		_ = ours.Close()
	}()
	return p, nil
}

// waited is why await has returned.
type waited int

const (
	ended    waited = iota // the process has ended, or was killed because of the context
	answered               // it has answered
	undying                // it cannot be killed
)

// await waits until a process has ended or answered. When the context ends, the process gets TERM, and is killed in the end.
func (s *Settings) await(ctx context.Context, p *process, answers <-chan string) (answer string, how waited) {
	end, kill := ctx.Done(), s.Kill
	var over <-chan time.Time
	for {
		select {
		case answer := <-answers:
			return answer, answered
		case <-p.Done():
			return "", ended
		case <-p.Denied():
			select {
			case <-p.Done():
				return "", ended
			default:
				return "", undying
			}
		case <-end:
			end = nil
			if s.KillAfter > 0 {
				p.Terminate()
			}
			over = time.After(s.KillAfter)
		case <-over:
			p.Kill()
		case <-kill:
			kill = nil
			p.Kill()
		}
	}
}

func (s *Settings) emit(job Job, line string) {
	if s.Output != nil {
		s.Output(job, line)
	}
}

// result makes of a command's end what Run returns.
func (c Command) result(ctx context.Context, exit supervise.Exit, said string) error {
	switch forced := c.forced(ctx, exit); {
	case exit.Err == nil && exit.Code == 0:
		return nil
	case exit.Err == nil && exit.Code == exitRelease:
		return ErrRelease
	case exit.Err == nil && exit.Code == exitFail:
		return &FailError{cmp.Or(said, exit.String())}
	case forced != nil:
		return withWords(forced, said)
	default:
		return errors.New(cmp.Or(said, exit.String()))
	}
}

// forced says why a child had to end: an error, or nil if it has exited of its own accord.
func (s *Settings) forced(ctx context.Context, exit supervise.Exit) error {
	switch {
	case exit.Memory > 0:
		return fmt.Errorf("killed for its memory: %s, and the limit is %s", megabytes(exit.Memory), megabytes(s.Memory))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case exit.Err != nil:
		return exit.Err
	case exit.Code < 0:
		return errors.New(exit.String())
	}
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// withWords adds to an error what the child last said.
func withWords(err error, said string) error {
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}

func environment(job Job) []string {
	env := []string{
		"SQLQUEUE_JOB_ID=" + strconv.FormatInt(job.ID, 10),
		"SQLQUEUE_JOB_NAME=" + job.Name,
		"SQLQUEUE_JOB_QUEUE=" + job.Queue,
		"SQLQUEUE_JOB_ATTEMPTS=" + strconv.Itoa(job.Attempts),
	}
	if job.Trace != "" {
		env = append(env, "TRACEPARENT="+job.Trace)
	}
	if len(job.Payload) <= mostPayload {
		env = append(env, "SQLQUEUE_JOB_PAYLOAD="+string(job.Payload))
	}
	return env
}
