//go:build unix

package run

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// canRunProcesses says whether a fleet can run on this system.
const canRunProcesses = true

// running is a fleet that runs.
type running struct {
	*fleet
	supervisor supervise.Supervisor
	stopping   chan struct{} // closed when no process is started any more

	mu        sync.Mutex
	processes []*supervise.Process
	again     map[*supervise.Process]bool // those that took the place of one that had ended
	last      syscall.Signal              // that was passed on to end them; 0: none
	codes     []int                       // the last ones
}

// Run runs the processes until all are done, or until a signal, or the end of ctx, ends them. The error has their exit code.
func (f *fleet) run(ctx context.Context) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, append(endSignals(), syscall.SIGUSR2, syscall.SIGCONT)...)
	defer signal.Stop(signals)
	r := &running{fleet: f, stopping: make(chan struct{}), again: map[*supervise.Process]bool{}}
	defer r.supervisor.Close()
	var all sync.WaitGroup
	for range f.count {
		all.Go(r.keep)
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	ended := ctx.Done()
	var most, over <-chan time.Time
	if f.most > 0 {
		most = time.After(f.most)
	}
	for {
		select {
		case <-done:
			return r.result()
		case s := <-signals:
			if s, ok := s.(syscall.Signal); ok {
				r.pass(s)
			}
		case <-ended:
			ended = nil
			r.pass(syscall.SIGTERM)
		case <-most:
			r.endLate()
		case <-over:
			f.logger.Error("worker processes did not end: they are killed")
			r.supervisor.Close()
		}
		if over == nil && f.grace >= 0 && r.isSignalled() {
			over = time.After(f.grace)
		}
	}
}

// result is the highest of the last exit codes.
func (r *running) result() error {
	code := slices.Max(append(r.codes, exit.Done))
	if code == exit.Done {
		return nil
	}
	return exit.With(code, fmt.Errorf("worker processes have ended with exit code %d", code))
}

// pass passes a signal on. All but USR2 and CONT end the processes.
func (r *running) pass(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s != syscall.SIGUSR2 && s != syscall.SIGCONT {
		r.last = s
		r.stop()
	}
	for _, p := range r.processes {
		_ = syscall.Kill(p.Pid, s)
	}
}

// endLate ends what began later than the fleet, and would go on for longer. The others end by themselves.
func (r *running) endLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	for _, p := range r.processes {
		if r.again[p] {
			_ = syscall.Kill(p.Pid, syscall.SIGTERM)
		}
	}
}

func (r *running) isSignalled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last != 0
}

// stop lets no process be started any more. It is called with mu locked.
func (r *running) stop() {
	select {
	case <-r.stopping:
	default:
		close(r.stopping)
	}
}

func (r *running) isStopping() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// keep runs one process, again and again, until it is done.
func (r *running) keep() {
	failures := 0
	for again := false; ; again = true {
		began := time.Now()
		code, how := r.once(again)
		if r.isStopping() {
			r.note(code)
			return
		}
		restart, wait := r.restart(code, time.Since(began), &failures)
		if !restart {
			r.note(code)
			return
		}
		r.logger.Info("a worker process has ended and is started again", "how", how, "after", wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.stopping:
			timer.Stop()
			r.note(code)
			return
		}
	}
}

// note notes the last exit code of a process. One that tells of a mistake in what was typed ends them all.
func (r *running) note(code int) {
	r.mu.Lock()
	r.codes = append(r.codes, code)
	r.mu.Unlock()
	if code == exit.Usage && !r.isStopping() {
		r.pass(syscall.SIGTERM)
	}
}

// once runs a process to its end, and returns its exit code and how it ended.
func (r *running) once(again bool) (code int, how string) {
	p, err := r.start(again)
	switch {
	case err != nil:
		return exit.Failure, err.Error()
	case p == nil:
		return exit.Done, ""
	}
	<-p.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes = slices.DeleteFunc(r.processes, func(one *supervise.Process) bool { return one == p })
	delete(r.again, p)
	p.Free()
	end := p.Exit()
	switch {
	case end.Err == nil && end.Code >= 0:
		return end.Code, end.String()
	case end.Err == nil && r.last != 0 && end.Signal == r.last: // it had not come to where it heeds signals
		return exit.Done, end.String()
	}
	return exit.Failure, end.String()
}

// start starts a process, or none when they are to end.
func (r *running) start(again bool) (*supervise.Process, error) {
	input, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isStopping() {
		return nil, nil
	}
	p, err := r.supervisor.Start(supervise.Command{
		Path: r.path, Args: append([]string{os.Args[0]}, r.args...), Env: os.Environ(), Files: []*os.File{input, os.Stdout, os.Stderr},
	})
	if err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p)
	if again {
		r.again[p] = true
	}
	r.logger.Info("a worker process was started", "pid", p.Pid)
	return p, nil
}
