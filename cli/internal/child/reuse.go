package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// reuseVariable is in the environment of a command that gets its jobs as lines.
const reuseVariable = "SQLQUEUE_REUSE"

// Reused runs jobs in processes of a command that each serve several, one after the other: a job is a line on standard input, and its
// answer a line on standard output; see answerLine. A process that ends, writes anything else, or is killed for its job, is replaced by
// another. It is safe for concurrent use.
type Reused struct {
	Settings

	// Args is the program and its arguments.
	Args []string

	// Jobs is how many jobs a process serves. 0: no limit.
	Jobs int

	idle idle[*reused]
}

// Run gives a process the job and waits for its answer. The error is nil, ErrRelease, a *ReleaseError, a *FailError, ErrDiscard, the
// context's cause, or an error that says what the answer says or why there is no answer, with what the process last said.
func (r *Reused) Run(ctx context.Context, job Job) error {
	line, err := encodeJob(job)
	if err != nil {
		return err
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		c, err := r.get(job)
		if err != nil {
			return notStarted(err)
		}
		if err := r.ask(ctx, c, job, line); !errors.Is(err, errUnread) {
			return err
		}
	}
}

// Close ends the processes that are idle, and waits for those that end. A process that runs a job ends after it.
func (r *Reused) Close() { r.idle.close(&r.Settings) }

func (r *Reused) get(job Job) (*reused, error) {
	if c, ok := r.idle.take(); ok {
		return c, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &reused{job: job, answers: make(chan string, 1), emit: r.emit}
	c.process, err = r.start(r.Args, []string{reuseVariable + "=1"}, theirs, nil, c.hear, c.print)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	c.input = ours
	return c, nil
}

// errUnread says that a process had ended before it read the job.
var errUnread = errors.New("the process has ended since its last job")

// ask gives a process a job. Unless it has answered, it is gone then, with all that descends from it.
func (r *Reused) ask(ctx context.Context, c *reused, job Job, line []byte) error {
	answers := c.begin(job)
	written := make(chan int, 1)
	go func() { // as long as it takes, or until the process is finished
		n, _ := c.input.Write(line)
		written <- n
	}()
	text, how := r.await(ctx, c.process, answers)
	switch how {
	case undying:
		c.finish(false)
		return c.cannotBeKilled(ctx)
	case ended:
		c.finish(true)
		if text = c.endJob(); text == "" {
			if c.jobs > 1 && <-written == 0 {
				return errUnread
			}
			return r.died(ctx, c)
		}
	case answered:
	}
	a, err := parseAnswer(text, job.ID)
	if err != nil {
		c.finish(true)
		return withWords(fmt.Errorf("the command wrote a line that is not an answer to the job: %w: %.200q", err, text), c.said())
	}
	if how == answered {
		c.errorOutput.drain()
		if more := c.endJob(); more != "" {
			c.showStray(job, more)
		}
		r.idle.put(c, !a.Last && ctx.Err() == nil && (r.Jobs == 0 || c.jobs < r.Jobs), &r.Settings)
	}
	if a.Result != nil && job.Told != nil && !job.Told(ResultLine+string(a.Result)) {
		return errors.New("the result of the command's answer cannot be kept: it may have 64 KiB")
	}
	if cause := context.Cause(ctx); cause != nil && a.Outcome == outcomeError {
		return withWords(cause, a.Error)
	}
	return a.result()
}

// died says why a process that has ended has given no answer.
func (r *Reused) died(ctx context.Context, c *reused) error {
	exit, said := c.Exit(), c.said()
	switch forced := r.forced(ctx, exit); {
	case c.couldNotStart():
		return fmt.Errorf("%w: the working directory is gone: %s", ErrNotStarted, cmp.Or(said, exit.String()))
	case exit.Err == nil && exit.Code == exitRelease:
		return ErrRelease
	case exit.Err == nil && exit.Code == exitFail:
		return &FailError{cmp.Or(said, exit.String())}
	case forced != nil:
		return withWords(forced, said)
	default:
		return withWords(fmt.Errorf("the command ended without an answer (%s)", exit), said)
	}
}

// reused is a process that serves jobs.
type reused struct {
	*process
	emit func(job Job, line string)
	jobs int // that it was given

	mu      sync.Mutex
	job     Job         // that it was given last, or is started for
	answers chan string // of the job that it has; nil when it has none
	stray   bool        // it has written what no job has asked for
}

// begin notes the next job, and returns where its answer comes.
func (c *reused) begin(job Job) <-chan string {
	if c.jobs++; c.jobs > 1 { // what a new one has printed by now may be why it ends
		c.errorOutput.forget()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.job = job
	if c.answers == nil {
		c.answers = make(chan string, 1)
	}
	return c.answers
}

// endJob notes that the process has no job now. It returns what it has written for it and nobody has read, or nothing.
func (c *reused) endJob() (unread string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case unread = <-c.answers:
		c.stray = true
	default:
	}
	c.answers = nil
	return unread
}

// hear takes a line of standard output.
func (c *reused) hear(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.answers <- line:
	default:
		c.stray = true
		c.showStray(c.job, line)
	}
}

func (c *reused) showStray(job Job, line string) {
	c.emit(job, fmt.Sprintf("the command wrote to standard output without having a job, and is replaced: %.200q", line))
}

// print takes a line of standard error.
func (c *reused) print(line string) {
	c.mu.Lock()
	job := c.job
	c.mu.Unlock()
	if job.Told == nil || !job.Told(line) {
		c.emit(job, line)
	}
}

func (c *reused) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.Done():
		return false
	default:
		return !c.stray
	}
}

func (c *reused) hangUp() { _ = c.input.Close() }

// finish cleans up after a process; with kill, it and what it has left behind is killed. Otherwise it must have ended, or be one that
// cannot be killed.
func (c *reused) finish(kill bool) {
	if kill {
		c.Kill()
	}
	select {
	case <-c.Done():
	case <-c.Denied():
	}
	c.process.finish(false)
	c.Free()
}
