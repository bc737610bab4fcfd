package chaos

import (
	"bytes"
	"context"
	"fmt"
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
	veteran *member // nobody does anything to its process, in a long run; nil: there is none
}

// member is a place in the team.
type member struct {
	name    string
	dsn     string
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
		w.team.join(flags)
	}
}

var always = []string{"work", "--expire", expire.String(), "--sleep", "0.2", "--concurrency", "8", "--grace", "5", "--memory", "0"}

// join adds a member.
func (t *team) join(flags []string) {
	m := &member{name: "member", dsn: t.address(len(t.members)), version: "old", flags: slices.Concat(always, flags)}
	t.members = append(t.members, m)
	t.start(m)
}

// keepVeteran adds a member to whose process nobody does anything.
func (t *team) keepVeteran(flags ...string) {
	t.veteran = &member{name: "veteran", dsn: t.dsn, version: "old", flags: slices.Concat(always, flags)}
	t.start(t.veteran)
}

func (t *team) start(m *member) {
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
	cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+m.dsn, "CHAOS_HISTORY="+t.history, "CHAOS_MEMBER="+m.name)
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
	return t.members[t.random.IntN(len(t.members))]
}

// stop ends the team: each process drains.
func (t *team) stop() { t.end(syscall.SIGTERM) }

func (t *team) kill() { t.end(syscall.SIGKILL) }

func (t *team) end(s syscall.Signal) {
	t.close()
	members := t.members
	if t.veteran != nil {
		members = append(slices.Clone(members), t.veteran)
	}
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

// checkVeteran checks that the veteran has not ended by itself, unless the database refused for good what workers do, and that in none of
// its lives its goroutines or its heap have grown.
func (t *team) checkVeteran() {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(t.history, "vitals-veteran-*"))
	t.must(err)
	said, err := os.ReadFile(filepath.Join(t.history, "said-"+t.veteran.version))
	t.must(err)
	if refused := bytes.Count(said, []byte(`reason="the database refuses"`)); len(names) < 1 || len(names) > 1+refused {
		t.Errorf("the veteran was %d processes, and the database has refused workers %d times", len(names), refused)
	}
	for _, name := range names {
		t.checkVitals(name)
	}
}

// checkVitals compares the most of the last quarter of a life with that of the second.
func (t *team) checkVitals(name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	t.must(err)
	var goroutines, heap []int
	for line := range strings.Lines(string(text)) {
		var g, h int
		if _, err := fmt.Sscan(line, &g, &h); err == nil {
			goroutines, heap = append(goroutines, g), append(heap, h)
		}
	}
	n := len(heap) / 4
	if n < 5 {
		return // too short to say
	}
	for what, of := range map[string][]int{"goroutines": goroutines, "bytes": heap} {
		before, after := slices.Max(of[n:2*n]), slices.Max(of[3*n:])
		slack := map[string]int{"goroutines": 10, "bytes": 4 << 20}[what] // for what runs at a moment
		t.Logf("the veteran had at most %d %s in the second quarter, %d in the last", before, what, after)
		if after > before*3/2+slack {
			t.Errorf("the %s of the veteran grow: %d, %d", what, before, after)
		}
	}
}
