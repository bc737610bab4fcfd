//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serves is a command that answers each job with done or, by the job's name, otherwise.
const serves = `echo started >&2; while read -r job; do
	id=${job#'{"id":'}; id=${id%%,*}
	case $job in
	*'"name":"later"'*) echo '{"id":'$id',"outcome":"release","delay":100}' ;;
	*'"name":"snooze"'*) echo '{"id":'$id',"outcome":"snooze","delay":200}' ;;
	*'"name":"bad"'*) echo '{"id":'$id',"outcome":"fail","error":"bad data"}' ;;
	*'"name":"drop"'*) echo '{"id":'$id',"outcome":"discard"}' ;;
	*'"name":"broken"'*) echo "Traceback"; ;;
	*'"name":"hangs"'*) sleep 1000 ;;
	*) echo '{"id":'$id',"outcome":"done"}' ;;
	esac
done`

func TestReusedProcesses(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "2000")
	got := s.work(serves, "--reuse", "--concurrency", "2")
	if n := strings.Count(got.stderr, ": started\n"); n < 1 || n > 2 {
		t.Errorf("%d processes served 2000 jobs, 2 at once", n)
	}
	if left := s.jobs(); len(left) != 0 || len(s.failed()) != 0 {
		t.Errorf("%d jobs are left", len(left))
	}
}

func TestOutcomesOfReusedProcesses(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "later", "--tries", "2")
	for _, name := range []string{"snooze", "bad", "drop", "broken"} {
		s.ok("push", name)
	}
	s.ok("push", "hangs", "--timeout", "3") // in which a process has started also on a busy machine
	s.ok("push", "a")
	got := s.work(serves, "--reuse", "--concurrency", "1", "--tries", "1", "--kill-after", "0.1")
	if n := strings.Count(got.stderr, ": started\n"); n != 3 {
		t.Errorf("%d processes were started, want one more after the broken one, and after the one that hung: %s", n, got.stderr)
	}
	jobs := s.jobs()
	if len(jobs) != 2 {
		t.Fatalf("left are %+v", jobs)
	}
	for _, job := range jobs {
		switch job.ID {
		case 1:
			checkWait(t, job, 100*time.Second)
		case 2:
			checkWait(t, job, 200*time.Second)
			if job.Attempts != 0 {
				t.Errorf("after a snooze, %d attempts count", job.Attempts)
			}
		}
	}
	errors := map[int64]string{}
	for _, job := range s.failed() {
		errors[job.JobID] = job.Error
	}
	if len(errors) != 3 || errors[3] != "bad data" || !strings.Contains(errors[5], "not an answer to the job") ||
		!strings.Contains(errors[6], "timed out") {
		t.Errorf("failed are %v", errors)
	}
}

// Names of a file that have the same command share its processes. A process is replaced after so many jobs.
func TestReuseInAFileOfHandlers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args    []string
		started int
	}{
		"work":                {[]string{"work"}, 1},
		"work so many jobs":   {[]string{"work", "--child-jobs", "2"}, 2},
		"listen":              {[]string{"listen"}, 1},
		"listen so many jobs": {[]string{"listen", "--child-jobs", "1"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			script := filepath.Join(t.TempDir(), "serves.sh")
			if err := os.WriteFile(script, []byte(serves), 0o600); err != nil {
				t.Fatal(err)
			}
			command := fmt.Sprintf("{command: [sh, %s], reuse: true}", script)
			file := write(t, "h.yaml", "a: "+command+"\nb: "+command)
			for range 2 {
				s.ok("push", "a")
				s.ok("push", "b")
			}
			got := s.run(append(test.args, "--handlers", file, "--stop-when-empty", "--concurrency", "1")...)
			if n := strings.Count(got.stderr, ": started\n"); n != test.started || got.code != 0 || len(s.jobs()) != 0 {
				t.Errorf("%d processes were started, want %d: %s", n, test.started, got.stderr)
			}
		})
	}
}

func TestReuseOfBadInput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	file := write(t, "f.yaml", "a: {command: x}")
	s.fails(2, []string{"--reuse is for --exec COMMAND"}, "work", "--reuse", "--handlers", file)
	s.fails(2, []string{"--reuse is for --exec COMMAND"}, "work", "--reuse")
	s.fails(2, []string{"--child-jobs is for processes that serve several jobs"}, "work", "--exec", "x", "--child-jobs", "2")
	s.fails(2, []string{"--child-jobs is for processes that serve several jobs"}, "work", "--handlers", file, "--child-jobs", "2")
}
