package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

func groupOf(t *testing.T, pid int) int {
	t.Helper()
	group, err := syscall.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	return group
}

// tree is a line of sh that starts fifty grandchildren and more: in the group, in sessions of their own, without a parent, without the
// group, the parent and the environment's mark in turn (but never all at once), and some that start others all the time. The number of
// each is in a file of the directory.
func tree(dir string) string {
	return fmt.Sprintf(`cd %q
	for i in 1 2 3 4 5 6 7 8 9 10; do
		sh -c 'echo $$ >$$; sleep 1000' &
		setsid sh -c 'echo $$ >$$; sleep 1000' &
		(setsid sh -c 'trap "" TERM HUP; echo $$ >$$; sleep 1000 & echo $! >$!; wait' &)
		(sh -c '(echo 1; exec sleep 1000) & echo $! >$!; exit 0' &)
		env -i sh -c 'echo $$ >$$; sleep 1000 & wait' &
		(env -i sh -c 'echo $$ >$$; sleep 1000 & wait' &)
	done
	sh -c 'while :; do setsid sleep 0.3 & sleep 0.01; done' &
	touch ready; wait`, dir)
}

// grown waits until the tree is there and returns its processes.
func grown(t *testing.T, dir string) (pids []int) {
	t.Helper()
	waitFor(t, "the tree", func() bool {
		pids = nil
		names, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && len(text) > 0 {
				pid, _ := strconv.Atoi(filepath.Base(name))
				pids = append(pids, pid)
			}
		}
		return len(pids) >= 70 && exists(filepath.Join(dir, "ready"))
	})
	return pids
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// alive returns those processes that run.
func alive(pids []int) (left []int) {
	all := list()
	for _, pid := range pids {
		if p, ok := all[pid]; ok && !p.zombie {
			left = append(left, pid)
		}
	}
	return left
}

// descendants returns what runs below a process.
func descendants(of int) (pids []int) {
	all := list()
	for pid, p := range all {
		for above, steps := p, 0; above.pid != 0 && steps < len(all); above, steps = all[above.parent], steps+1 {
			if above.parent == of && !p.zombie {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// Kill gets the whole tree, whatever a process of it has done to leave, and nothing of another command.
func TestKillTree(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *Process){
		"while it runs": func(*testing.T, *Process) {},
		"after its end": func(t *testing.T, p *Process) {
			if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			ended(t, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := supervisor(t)
			dir, other := t.TempDir(), t.TempDir()
			neighbour := s.sh(t, "cd "+other+"; (setsid sh -c 'echo $$ >$$; sleep 1000' &); touch ready; wait; sleep 1000", 0)
			var theirs []int
			waitFor(t, "the neighbour", func() bool {
				names, _ := filepath.Glob(filepath.Join(other, "[0-9]*"))
				for _, name := range names {
					pid, _ := strconv.Atoi(filepath.Base(name))
					theirs = []int{pid, neighbour.Pid}
				}
				return len(theirs) == 2
			})
			p := s.sh(t, tree(dir), 0)
			pids := grown(t, dir)
			before(t, p)
			p.Kill()
			ended(t, p)
			waitFor(t, "the end of the tree", func() bool { return len(alive(pids)) == 0 })
			waitFor(t, "the end of what the tree still started", func() bool {
				for _, pid := range descendants(s.link.supervisor.Process.Pid) {
					if !inNeighbour(pid, theirs) {
						return false
					}
				}
				return true
			})
			if left := alive(theirs); len(left) != len(theirs) {
				t.Errorf("of another command's %v only %v are left", theirs, left)
			}
		})
	}
}

func inNeighbour(pid int, theirs []int) bool {
	p := list()[pid]
	for _, their := range theirs {
		if pid == their || p.parent == their {
			return true
		}
	}
	return false
}

func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
}

// What a process leaves behind goes on, and ends with the supervisor.
func TestLeftBehind(t *testing.T) {
	s := supervisor(t)
	dir := t.TempDir()
	p := s.sh(t, "cd "+dir+"; setsid sh -c 'echo $$ >$$; sleep 1000' & sleep 1000 & echo $! >$!", 0)
	ended(t, p)
	p.Free()
	p.Kill() // it is forgotten
	var pids []int
	waitFor(t, "two processes", func() bool {
		pids = nil
		names, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		for _, name := range names {
			pid, _ := strconv.Atoi(filepath.Base(name))
			pids = append(pids, pid)
		}
		return len(pids) == 2
	})
	ended(t, s.sh(t, "exit 0", 0)) // the supervisor has heard all that was said before
	if left := alive(pids); len(left) != 2 {
		t.Errorf("of %v, %v go on", pids, left)
	}
	s.Close()
	if left := alive(pids); len(left) != 0 {
		t.Errorf("%v are left after Close", left)
	}
	if _, err := s.Start(Command{Path: "/bin/true"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}
