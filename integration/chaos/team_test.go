package chaos

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// team is the worker processes of a world. Whoever ends is started again, until the team stops.
type team struct {
	*world
	over    chan struct{} // closed when nobody is to be started again
	close   func()
	group   sync.WaitGroup
	mu      sync.Mutex
	members []*member
}

// member is a place in the team.
type member struct {
	version string
	flags   []string
	extra   []string    // flags
	process *os.Process // nil: it is between two
}

// work starts a team.
func (w *world) work(members int, flags ...string) {
	w.Helper()
	over := make(chan struct{})
	w.team = &team{world: w, over: over, close: sync.OnceFunc(func() { close(over) })}
	w.Cleanup(w.team.kill)
	for range members {
		w.team.join("old", flags)
	}
}

var always = []string{"work", "--expire", expire.String(), "--sleep", "0.2", "--concurrency", "8", "--grace", "5", "--memory", "0"}

// join adds a member.
func (t *team) join(version string, flags []string) {
	m := &member{version: version, flags: slices.Concat(always, flags)}
	t.mu.Lock()
	t.members = append(t.members, m)
	t.mu.Unlock()
	t.group.Go(func() {
		for {
			t.run(m)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-t.over:
				return
			}
		}
	})
}

// run runs a member's process to its end.
func (t *team) run(m *member) {
	t.mu.Lock()
	version, flags := m.version, slices.Concat(m.flags, m.extra)
	t.mu.Unlock()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), t.binaries[version], flags...)
	cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+t.dsn, "CHAOS_HISTORY="+t.history)
	leash, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = leash.Close() }()
	said, err := os.OpenFile(filepath.Join(t.history, "said-"+version), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = said.Close() }()
	cmd.Stderr = said
	if !t.begin(m, cmd) {
		return
	}
	_ = cmd.Wait() // it may have been killed
	t.mu.Lock()
	m.process = nil
	t.mu.Unlock()
}

func (t *team) begin(m *member, cmd *exec.Cmd) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.over:
		return false
	default:
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return false
	}
	m.process = cmd.Process
	return true
}

// signal sends a signal to a member's process, if there is one.
func (t *team) signal(m *member, s syscall.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.process != nil {
		_ = m.process.Signal(s) // one that has just ended
	}
}

// replace has all members start anew, with flags beside their own.
func (t *team) replace(version string, extra ...string) {
	for i := range t.members {
		t.replaceOne(i, version, extra...)
	}
}

func (t *team) replaceOne(i int, version string, extra ...string) {
	t.mu.Lock()
	m := t.members[i]
	m.version, m.extra = version, extra
	t.mu.Unlock()
	t.signal(m, syscall.SIGTERM)
}

// any returns one of the members.
func (t *team) any() *member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.members[t.random.IntN(len(t.members))]
}

// stop ends the team: each process drains.
func (t *team) stop() { t.end(syscall.SIGTERM) }

func (t *team) kill() { t.end(syscall.SIGKILL) }

func (t *team) end(s syscall.Signal) {
	t.close()
	t.mu.Lock()
	members := slices.Clone(t.members)
	t.mu.Unlock()
	for _, m := range members {
		t.signal(m, syscall.SIGCONT)
		t.signal(m, s)
	}
	t.group.Wait()
}

// report logs the end of what the workers have said.
func (t *team) report() {
	names, err := filepath.Glob(filepath.Join(t.history, "said-*"))
	t.must(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		t.must(err)
		var lines []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") {
				lines = append(lines, line)
			}
		}
		t.Logf("%s:\n%s", filepath.Base(name), strings.Join(lines[max(0, len(lines)-40):], ""))
	}
}
