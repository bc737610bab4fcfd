//go:build !unix

package supervise

import (
	"os"
	"sync"
)

// CanLimitMemory says whether Command.Memory has an effect.
const CanLimitMemory = false

// Supervisor starts processes. Its zero value is ready. It is safe for concurrent use.
type Supervisor struct {
	// Moved is not called.
	Moved func(instead string)

	mu        sync.Mutex
	processes map[*Process]bool // nil after Close, and before the first Start
	closed    bool
}

// Start starts a process.
func (s *Supervisor) Start(c Command) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	started, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{Env: c.Env, Files: c.Files})
	if err != nil {
		return nil, err
	}
	p := &Process{Pid: started.Pid, process: started, supervisor: s, done: make(chan struct{})}
	if s.processes == nil {
		s.processes = map[*Process]bool{}
	}
	s.processes[p] = true
	go p.wait()
	return p, nil
}

// Close kills all processes that were started.
func (s *Supervisor) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := range s.processes {
		p.Kill()
		<-p.done
	}
}

// Process is a process that was started. It is safe for concurrent use.
type Process struct {
	Pid   int
	Moved bool // false

	process    *os.Process
	supervisor *Supervisor
	done       chan struct{}
	exit       Exit
}

func (p *Process) wait() {
	state, err := p.process.Wait()
	p.exit = Exit{Code: -1, Err: err}
	if err == nil {
		p.exit.Code = state.ExitCode()
	}
	close(p.done)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Denied is never closed.
func (p *Process) Denied() <-chan struct{} { return nil }

// Exit is how it ended, when it has.
func (p *Process) Exit() Exit { return p.exit }

// Terminate kills it: there is no TERM.
func (p *Process) Terminate() { p.Kill() }

// Kill kills it.
func (p *Process) Kill() { _ = p.process.Kill() }

// Free must be called in the end, when the process has ended.
func (p *Process) Free() {
	p.supervisor.mu.Lock()
	defer p.supervisor.mu.Unlock()
	delete(p.supervisor.processes, p)
}

// Become does nothing: there is no supervisor.
func Become() {}
