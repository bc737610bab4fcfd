package supervise

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// CanLimitMemory says whether Command.Memory has an effect.
const CanLimitMemory = true

const (
	lookEvery = 100 * time.Millisecond
	lookShare = 50          // at most one part in so many of the time is spent on looking,
	lookMost  = time.Second // unless the next look would be later than this: on a busy machine a look may take long
)

// ownBinary is the file that runs, also when another has taken its place.
func ownBinary() (string, error) { return "/proc/self/exe", nil }

// adoptOrphans makes this process the parent of its descendants that have lost theirs.
func adoptOrphans() {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER; it fails on kernels before 3.4 only
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
}

// attributes of a command: it leads a session, and dies with the supervisor, also when that is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// process is a line of the list of processes.
type process struct {
	pid, parent, session int
	zombie               bool
	started              uint64
	memory               int64
}

// identity stays with a process; its number alone is used again.
type identity struct {
	pid     int
	started uint64
}

// kill kills a command with all that descends from it. A process that has a KILL coming starts no other, so all are found when a look
// at the list finds no new one.
func (s *server) kill(c *command) {
	if !c.ended {
		_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	}
	killNew(func(p process, all map[int]process) bool { return s.owner(p, all) == c })
}

// killAll kills all that descends from this process, and waits until it is gone.
func (s *server) killAll() {
	const (
		patience = 5 * time.Second // a process that waits for a device ends when the device answers
		pause    = 2 * time.Millisecond
	)
	for _, c := range s.commands {
		if !c.ended {
			_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(pause) {
		if killNew(descends) == 0 {
			return
		}
	}
}

// killNew kills the processes that are selected until it finds no new one, and returns how many there were.
func killNew(selected func(process, map[int]process) bool) int {
	killed := map[identity]bool{}
	for {
		found := false
		all := list()
		for _, p := range all {
			if id := (identity{p.pid, p.started}); !p.zombie && !killed[id] && selected(p, all) {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
				killed[id], found = true, true
			}
		}
		if !found {
			return len(killed)
		}
	}
}

// descends reports whether a process descends from this one.
func descends(p process, all map[int]process) bool {
	for range all { // while the list was read, numbers may have been used again: no more steps than there are processes
		if p.parent == os.Getpid() {
			return true
		}
		if p = all[p.parent]; p.pid == 0 {
			return false
		}
	}
	return false
}

// owner returns the command that a process descends from, or nil.
func (s *server) owner(p process, all map[int]process) *command {
	if !descends(p, all) {
		return nil
	}
	for above := p; above.pid != 0 && above.pid != os.Getpid(); above = all[above.parent] {
		for _, c := range s.commands {
			if above.session == c.pid || above.pid == c.pid && !c.ended {
				return c
			}
		}
		if c := s.marked(above); c != nil {
			return c
		}
	}
	return nil
}

// marked returns the command whose mark a process has inherited.
func (s *server) marked(p process) *command {
	environment, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
	if err != nil {
		return nil // it is gone, or another user's
	}
	for entry := range bytes.SplitSeq(environment, []byte{0}) {
		if bytes.HasPrefix(entry, []byte(mark+"=")) {
			for _, c := range s.commands {
				if string(entry) == c.mark() {
					return c
				}
			}
		}
	}
	return nil
}

// checkMemory kills the commands that have more than they may. It returns after what time to look again; 0: there is no command with a
// limit.
func (s *server) checkMemory() time.Duration {
	limited := false
	for _, c := range s.commands {
		limited = limited || c.limit > 0 && !c.ended
	}
	if !limited {
		return 0
	}
	before := time.Now()
	all := list()
	used := map[*command]int64{}
	for _, p := range all {
		if c := s.owner(p, all); c != nil {
			used[c] += p.memory
		}
	}
	for c, memory := range used {
		if c.limit > 0 && memory > c.limit && !c.ended && c.memory == 0 {
			c.memory = memory
			s.kill(c)
		}
	}
	return min(max(lookEvery, lookShare*time.Since(before)), lookMost)
}

// list returns all processes, by their numbers.
func list() map[int]process {
	directory, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer directory.Close()
	names, _ := directory.Readdirnames(-1)
	all := make(map[int]process, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it is gone
		}
		if p, ok := parseStat(stat); ok {
			p.pid = pid
			all[pid] = p
		}
	}
	return all
}

// parseStat reads proc_pid_stat(5).
func parseStat(stat []byte) (p process, ok bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before it may contain anything
	const state, parent, session, started, resident = 0, 1, 3, 19, 21
	if len(fields) <= resident {
		return p, false
	}
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(string(fields[field]), 10, 64)
		return n
	}
	return process{
		parent:  int(number(parent)),
		session: int(number(session)),
		zombie:  slices.Contains([]string{"Z", "X"}, string(fields[state])),
		started: uint64(number(started)),
		memory:  number(resident) * int64(os.Getpagesize()),
	}, true
}
