//go:build unix

package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Supervisor starts processes. Its zero value is ready: the process that does the work is started with the first command, and again when
// it has died. It is safe for concurrent use.
type Supervisor struct {
	// Moved is called, once, when the working directory is gone and processes start in another one. It may be nil.
	Moved func(instead string)

	moved sync.Once

	mu     sync.Mutex
	link   *link // or nil
	closed bool
}

// Start starts a process.
func (s *Supervisor) Start(c Command) (*Process, error) {
	l, err := s.connect()
	if err != nil {
		return nil, err
	}
	dir, moved := directory()
	if moved {
		s.moved.Do(func() {
			if s.Moved != nil {
				s.Moved(dir)
			}
		})
	}
	p, err := l.start(c, dir)
	if p != nil {
		p.Moved = moved
	}
	return p, err
}

// began is the directory in which this process began.
var began, _ = os.Getwd()

// directory is where processes start: the working directory or, when that is gone, what has its path now, or else the root.
func directory() (dir string, moved bool) {
	dir, err := os.Getwd()
	if err == nil {
		if _, err = os.Stat(dir); err == nil {
			return dir, false
		}
	}
	if info, err := os.Stat(began); err == nil && info.IsDir() {
		return began, true
	}
	return "/", true
}

// Close kills all processes that were started, and whatever they have left behind, and waits until they are gone.
func (s *Supervisor) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.link != nil {
		s.link.close()
	}
}

func (s *Supervisor) connect() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.link != nil && !s.link.isDead() {
		return s.link, nil
	}
	l, err := newLink()
	if err != nil {
		return nil, fmt.Errorf("cannot start the supervisor of child processes: %w", err)
	}
	s.link = l
	return l, nil
}

// variable has the number of the supervisor's end of the socket.
const variable = "SQLQUEUE_SUPERVISOR"

// link is the connection to a supervisor.
type link struct {
	supervisor *exec.Cmd
	wire       *wire
	gone       chan struct{} // closed when the supervisor has ended
	sending    sync.Mutex

	mu        sync.Mutex
	last      uint64
	processes map[uint64]*Process // nil when no more can be started
	closing   bool
}

func newLink() (*link, error) {
	self, err := ownBinary()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	//nolint:noctx // it ends when the socket closes
	cmd := exec.Command(self)
	cmd.Args = []string{cmp.Or(os.Args[0], self), "supervisor"} // for who looks at the list of processes
	cmd.Env = append(os.Environ(), variable+"=3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what a terminal sends is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	l := &link{supervisor: cmd, wire: newWire(ours), gone: make(chan struct{}), processes: map[uint64]*Process{}}
	go l.listen()
	return l, nil
}

// listen hears the supervisor until its end.
func (l *link) listen() {
	defer close(l.gone)
	for {
		var a answer
		if err := l.wire.receive(&a); err != nil {
			break
		}
		l.mu.Lock()
		p := l.processes[a.ID]
		l.mu.Unlock()
		switch {
		case p == nil:
		case a.Ended:
			p.end(exitOf(a))
		case a.Denied:
			p.deny()
		default:
			p.Pid = a.Pid
			p.started <- a.Errno
		}
	}
	l.mu.Lock()
	left := l.processes
	l.processes = nil
	exit := Exit{Err: ErrSupervisor}
	if l.closing {
		exit.Err = ErrClosed
	}
	l.mu.Unlock()

	_ = l.wire.conn.Close() // there may be an end of the connection that is not the supervisor's
	_ = l.supervisor.Wait() // how it ended does not matter
	for _, p := range left {
		p.orphaned(exit)
	}
}

func exitOf(a answer) Exit {
	status := syscall.WaitStatus(a.Status)
	exit := Exit{Code: status.ExitStatus(), Memory: a.Memory}
	if status.Signaled() {
		exit.Signal = status.Signal()
	}
	return exit
}

func (l *link) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.processes == nil
}

// close lets the supervisor end, and waits for it.
func (l *link) close() {
	const patience = 10 * time.Second // it has hung, or is stopped
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	_ = l.wire.conn.CloseWrite() // it closes its own end when it has killed everything
	select {
	case <-l.gone:
	case <-time.After(patience):
		_ = l.supervisor.Process.Kill()
		<-l.gone
	}
}

func (l *link) send(r request, files ...int) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	return l.wire.send(r, files...)
}

// orDead says what it means that nothing could be sent.
func (l *link) orDead() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return ErrClosed
	}
	return ErrSupervisor
}

func (l *link) start(c Command, dir string) (*Process, error) {
	for _, text := range append(c.Env[:len(c.Env):len(c.Env)], c.Args...) {
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("%w: an argument or a variable of the command has a NUL byte: %.40q", ErrCommand, text)
		}
	}
	files := make([]int, len(c.Files))
	for i, file := range c.Files {
		files[i] = int(file.Fd())
	}
	p := &Process{link: l, started: make(chan syscall.Errno, 1), done: make(chan struct{}), denied: make(chan struct{})}
	l.mu.Lock()
	if l.processes == nil {
		l.mu.Unlock()
		return nil, l.orDead()
	}
	l.last++
	p.id = l.last
	l.processes[p.id] = p
	l.mu.Unlock()

	err := l.send(request{ID: p.id, Start: &start{c.Path, c.Args, c.Env, dir, len(files), c.Memory}}, files...)
	if err != nil {
		p.forget()
		return nil, l.orDead()
	}
	select {
	case errno := <-p.started:
		if errno != 0 {
			p.forget()
			if errno == syscall.E2BIG {
				return nil, fmt.Errorf("%w: %w", ErrCommand, &os.PathError{Op: "start", Path: c.Path, Err: errno})
			}
			return nil, &os.PathError{Op: "start", Path: c.Path, Err: errno}
		}
		return p, nil
	case <-p.done:
		if p.exit.Err != nil {
			return nil, p.exit.Err
		}
		return p, nil // it has ended already
	}
}

// Process is a process that was started. It is safe for concurrent use.
type Process struct {
	Pid   int
	Moved bool // it was not started in the working directory, which is gone

	denied chan struct{}

	link    *link
	id      uint64
	started chan syscall.Errno
	done    chan struct{}
	exit    Exit
}

// Done is closed when the process has ended. What it has started may still be there.
func (p *Process) Done() <-chan struct{} { return p.done }

// Denied is closed when it could not be killed, because it runs as another user now.
func (p *Process) Denied() <-chan struct{} { return p.denied }

// Exit is how it ended, when it has.
func (p *Process) Exit() Exit { return p.exit }

// Terminate sends TERM to its group, unless it has ended.
func (p *Process) Terminate() { _ = p.link.send(request{ID: p.id, Term: true}) }

// Kill kills it, and all that descends from it, also when it has ended itself.
func (p *Process) Kill() { _ = p.link.send(request{ID: p.id, Kill: true}) }

// Free must be called in the end, when the process has ended. What descends from it goes on until Close.
func (p *Process) Free() {
	p.forget()
	_ = p.link.send(request{ID: p.id, Free: true})
}

func (p *Process) forget() {
	p.link.mu.Lock()
	defer p.link.mu.Unlock()
	delete(p.link.processes, p.id)
}

// deny is called by one goroutine.
func (p *Process) deny() {
	select {
	case <-p.denied:
	default:
		close(p.denied)
	}
}

func (p *Process) end(exit Exit) {
	p.exit = exit
	close(p.done)
}

// orphaned ends what the supervisor has not told the end of.
func (p *Process) orphaned(exit Exit) {
	select {
	case <-p.done:
		return
	default:
	}
	if p.Pid > 0 {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
	p.end(exit)
}
