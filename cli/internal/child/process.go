package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// drainTime is how long output may come after a process has ended.
const drainTime = time.Second

// process is a child with what it prints.
type process struct {
	*supervise.Process
	input               *os.File // or nil
	output, errorOutput *pump
}

// start starts a child with additions to this process's environment. What it prints on standard output and standard error goes to emit and
// emitError, line by line. It does not close the files: standard input, and one more, or nil.
func (s *Settings) start(args, environment []string, input, more *os.File, emit, emitError func(line string)) (*process, error) {
	cmd := exec.Command(args[0]) //nolint:noctx // it finds the program, and runs nothing
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	for _, entry := range environment {
		if strings.ContainsRune(entry, 0) {
			return nil, fmt.Errorf("%w: a variable in the environment has a NUL byte: %.40q", supervise.ErrCommand, entry)
		}
	}
	cmd.Env = append(os.Environ(), environment...)

	output, theirOutput, err := newPump(emit)
	if err != nil {
		return nil, err
	}
	defer theirOutput.Close()
	errorOutput, theirErrorOutput, err := newPump(emitError)
	if err != nil {
		return nil, errors.Join(err, output.file.Close())
	}
	defer theirErrorOutput.Close()
	files := []*os.File{input, theirOutput, theirErrorOutput}
	if more != nil {
		files = append(files, more)
	}
	started, err := s.Supervisor.Start(supervise.Command{
		Path: cmd.Path, Args: args, Env: cmd.Environ(), Files: files, Memory: s.Memory,
	})
	if err != nil {
		return nil, errors.Join(err, output.file.Close(), errorOutput.file.Close())
	}
	go output.run()
	go errorOutput.run()
	return &process{Process: started, output: output, errorOutput: errorOutput}, nil
}

// finish reads what a process that has ended has printed, and closes its files. Whatever it has left behind is killed if it keeps the
// output open, or if kill says so.
func (p *process) finish(kill bool) {
	over := time.After(drainTime)
	for _, pump := range []*pump{p.output, p.errorOutput} {
		select {
		case <-pump.done:
		case <-over:
			kill = true
			over = time.After(0) // also for the other
		}
	}
	if kill {
		p.Kill()
	}
	if p.input != nil {
		_ = p.input.Close()
	}
	p.output.close()
	p.errorOutput.close()
}

// said is what it last printed on standard error, fit for an error.
func (p *process) said() string { return lastWords(p.errorOutput.said()) }
