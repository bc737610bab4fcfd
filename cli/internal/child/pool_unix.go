//go:build unix

package child

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// CanServe says whether Pool works on this system.
const CanServe = true

// Pool runs jobs in processes of a program that calls Serve: this one. It is safe for concurrent use.
type Pool struct {
	Settings

	// Path is the program's file, which may have become another one for the next child.
	Path string

	// Args are its arguments.
	Args []string

	// Jobs is how many jobs a child serves, one after the other. Idle children are kept for the next job.
	Jobs int

	idle idle[*server]
}

// Call lets a child answer a request about a job. The error says why there is no answer: the context's cause when the child had to be
// killed for it, or that the child has died, with what it last said.
func (p *Pool) Call(ctx context.Context, job Job, request []byte) ([]byte, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		s, err := p.get(job)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
		}
		used := s.jobs > 0
		answer, err := p.ask(ctx, s, job, request)
		switch {
		case err == nil:
			p.idle.put(s, s.jobs < p.Jobs, &p.Settings)
			return answer, nil
		case used && errors.Is(err, ErrNotStarted): // it has died since its last job
			continue
		}
		return nil, err
	}
}

// Close ends the children that are idle, and waits for those that end. A child that runs a job ends after it.
func (p *Pool) Close() { p.idle.close(&p.Settings) }

// get returns a child that is idle, or a new one, for a job.
func (p *Pool) get(job Job) (*server, error) {
	if s, ok := p.idle.take(); ok {
		return s, nil
	}
	return p.startServer(job)
}

// ask gives a child a request and waits for the answer. After an error the child is gone, with all that descends from it.
func (p *Pool) ask(ctx context.Context, s *server, job Job, request []byte) (answer []byte, err error) {
	s.begin(job)
	go s.send(message{Job: s.jobs, Request: request}) // not heard, when the child does not read, until it is killed
	end, kill := ctx.Done(), p.Kill
	var over <-chan time.Time
	started := false
	messages := s.messages
	for {
		select {
		case m, ok := <-messages:
			switch {
			case !ok: // it has died, or has nothing more to say
				messages = nil
				over = time.After(p.KillAfter)
			case m.Started:
				started = true
			default:
				s.output.drain()
				s.errorOutput.drain()
				return m.Answer, nil
			}
		case <-s.Done():
			_ = s.control.SetReadDeadline(time.Now()) // should somebody else have the other end
			for m := range s.messages {               // said before it died
				started = started || m.Started
				answer = m.Answer
			}
			if answer != nil {
				return answer, nil
			}
			s.finish(true)
			return nil, p.died(ctx, s, started)
		case <-end:
			end = nil
			go s.send(message{Job: s.jobs, End: context.Cause(ctx).Error()})
			over = time.After(p.KillAfter)
		case <-over:
			s.Kill()
		case <-kill:
			kill = nil
			s.Kill()
		}
	}
}

// died says why a child has given no answer.
func (p *Pool) died(ctx context.Context, s *server, started bool) error {
	said := s.said()
	forced := p.forced(ctx, s.Exit())
	switch {
	case ctx.Err() != nil:
		return withWords(forced, said)
	case forced == nil:
		forced = errors.New(s.Exit().String())
	}
	err := withWords(forced, said)
	if !started {
		return fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	return fmt.Errorf("the child process died: %w", err)
}

// server is a child that serves jobs.
type server struct {
	*process
	control  *net.UnixConn
	messages chan message // closed when it says no more
	sending  sync.Mutex
	jobs     int // that it was given

	mu  sync.Mutex
	job Job // that it was given last, or is started for
}

func (p *Pool) startServer(job Job) (*server, error) {
	control, theirs, err := supervise.SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	input, err := os.Open(os.DevNull)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer input.Close()
	s := &server{control: control, messages: make(chan message, 2), job: job}
	emit := func(line string) { p.emit(s.current(), line) }
	s.process, err = p.start(append([]string{p.Path}, p.Args...), []string{variable + "=3"}, input, theirs, emit, emit)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	go s.listen()
	return s, nil
}

// socketReader reads from a socket also what is there already when the deadline has passed.
type socketReader struct{ *net.UnixConn }

func (r socketReader) Read(b []byte) (n int, err error) {
	n, err = r.UnixConn.Read(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	conn, rawError := r.SyscallConn()
	if rawError != nil {
		return 0, rawError
	}
	rawError = conn.Control(func(fd uintptr) { // the socket does not block
		if n, err = syscall.Read(int(fd), b); n == 0 && err == nil {
			err = io.EOF
		}
	})
	return max(n, 0), cmp.Or(rawError, err)
}

// listen hears the child until it says no more, or has said all that it had said at the socket's deadline.
func (s *server) listen() {
	defer close(s.messages)
	decoder := json.NewDecoder(socketReader{s.control})
	for {
		var m message
		if err := decoder.Decode(&m); err != nil {
			return
		}
		s.messages <- m
	}
}

func (s *server) send(m message) {
	s.sending.Lock()
	defer s.sending.Unlock()
	_ = json.NewEncoder(s.control).Encode(m) // if it is not heard, the child is dead, and that is noticed
}

// begin notes the next job.
func (s *server) begin(job Job) {
	if s.jobs++; s.jobs > 1 { // what a new one has printed by now may be why it ends
		s.errorOutput.forget()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.job = job
}

func (s *server) current() Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job
}

func (s *server) usable() bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

func (s *server) hangUp() { _ = s.control.CloseWrite() }

// finish cleans up after a child that ends; with kill, what it has left behind is killed. It is for one caller, once.
func (s *server) finish(kill bool) {
	<-s.Done()
	if kill {
		s.Kill()
	}
	_ = s.control.Close()
	s.process.finish(false)
	for range s.messages {
	}
	s.Free()
}
