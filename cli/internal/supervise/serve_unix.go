//go:build unix

package supervise

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Become makes this process a supervisor if it was started as one: then it does not return. A program that starts processes calls it before
// it does anything else.
func Become() {
	socket, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	// Signals that a process asks to get when the thread that started it ends must come when the supervisor ends, and no sooner.
	runtime.LockOSThread()
	if err := supervise(socket); err != nil {
		fmt.Fprintln(os.Stderr, "sqlqueue: supervisor of child processes:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func supervise(socket string) error {
	fd, err := strconv.ParseUint(socket, 10, 16)
	if err != nil {
		return fmt.Errorf("%s is internal: %w", variable, err)
	}
	conn, err := Socket(os.NewFile(uintptr(fd), "socket"))
	if err != nil {
		return err
	}
	// They are caught and not ignored, because what is ignored stays so in the processes that are started.
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	adoptOrphans()
	s := &server{wire: newWire(conn), commands: map[uint64]*command{}}
	s.serve()
	s.killAll()
	return nil
}

// server is what the supervisor does. All of it is one goroutine's, so that no process ends unseen between its start and its entry here.
type server struct {
	wire     *wire
	commands map[uint64]*command
}

// command is a process that was started and is not forgotten.
type command struct {
	id     uint64
	pid    int
	ended  bool
	limit  int64 // of memory
	memory int64 // that it was killed for
}

// told is a request with its files.
type told struct {
	request
	files []int
}

// serve returns when the other end of the socket has closed.
func (s *server) serve() {
	requests := make(chan told)
	go func() {
		defer close(requests)
		for {
			var t told
			if err := s.wire.receive(&t.request); err != nil {
				return
			}
			if t.Start != nil {
				t.files = s.wire.take(t.Start.Files)
			}
			requests <- t
		}
	}()
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	var look <-chan time.Time // nil while there is nothing to look at
	for {
		select {
		case t, ok := <-requests:
			if !ok {
				return
			}
			s.handle(t)
			if t.Start != nil && t.Start.Memory > 0 && look == nil {
				look = time.After(lookEvery)
			}
		case <-children:
			s.reap()
		case <-look:
			look = nil
			if pause := s.checkMemory(); pause > 0 {
				look = time.After(pause)
			}
		}
	}
}

func (s *server) handle(t told) {
	c := s.commands[t.ID]
	switch {
	case t.Start != nil:
		s.start(t)
	case c == nil:
	case t.Free:
		delete(s.commands, t.ID)
	case t.Kill:
		s.kill(c)
		if !c.ended && syscall.Kill(c.pid, syscall.SIGKILL) == syscall.EPERM {
			s.answer(answer{ID: c.id, Denied: true})
		}
	case t.Term && !c.ended:
		_ = syscall.Kill(-c.pid, syscall.SIGTERM)
	}
}

func (c *command) mark() string { return fmt.Sprintf("%s=%d-%d", mark, os.Getpid(), c.id) }

func (s *server) start(t told) {
	c := &command{id: t.ID, limit: t.Start.Memory}
	attributes := &syscall.ProcAttr{
		Dir:   t.Start.Dir,
		Env:   append(without(t.Start.Env, mark), c.mark()),
		Files: make([]uintptr, len(t.files)),
		Sys:   attributes(),
	}
	for i, fd := range t.files {
		attributes.Files[i] = uintptr(fd)
	}
	pid, err := 0, error(syscall.EMFILE) // the kernel leaves out files for which there is no room here
	if len(t.files) == t.Start.Files {
		pid, err = syscall.ForkExec(t.Start.Path, t.Start.Args, attributes)
	}
	for _, fd := range t.files {
		_ = syscall.Close(fd)
	}
	a := answer{ID: t.ID, Pid: pid}
	if err != nil {
		a.Errno = syscall.EINVAL
		if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // ForkExec returns it as it is
			a.Errno = errno
		}
	} else {
		c.pid = pid
		s.commands[t.ID] = c
	}
	s.answer(a)
}

func without(environment []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

// answer tells the other end. If it is gone, so are the requests, which is noticed there.
func (s *server) answer(a answer) { _ = s.wire.send(a) }

// reap takes note of the processes that have ended, commands and orphans.
func (s *server) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if c := s.running(pid); c != nil {
			c.ended = true
			s.answer(answer{ID: c.id, Ended: true, Status: uint32(status), Memory: c.memory})
		}
	}
}

// running returns the command whose process has the number, or nil.
func (s *server) running(pid int) *command {
	for _, c := range s.commands {
		if c.pid == pid && !c.ended {
			return c
		}
	}
	return nil
}
