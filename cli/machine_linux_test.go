package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
)

// begin starts a command, whose standard error is watched. It is killed when the test ends.
func (s *shell) begin(cmd *exec.Cmd) *process {
	s.t.Helper()
	p := &process{t: s.t, cmd: cmd, stderr: &watched{}, ended: make(chan struct{})}
	p.cmd.Stderr = p.stderr
	must(s.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// runAs has a command run as another user, to whom the database then belongs, from a copy of its program in a directory.
func (s *shell) runAs(program *exec.Cmd, dir string, user int) {
	s.t.Helper()
	copied(s.t, program.Path, dir+"/program", 0o755)
	database := s.file()
	must(s.t, os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(database)), 0o755))
	owned, err := filepath.Glob(database + "*")
	for _, name := range append(owned, filepath.Dir(database)) {
		must(s.t, err, os.Chown(name, user, user))
	}
	program.Path, program.Dir = dir+"/program", "/"
	program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
}

func copied(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	text, err := os.ReadFile(from)
	must(t, err, clitest.WriteProgram(to, text, 0o755), os.Chmod(to, mode))
}

// processesOf are the processes of a user, with how many threads each has.
func processesOf(t *testing.T, user int) map[string]int {
	t.Helper()
	threads := map[string]int{}
	all, err := filepath.Glob("/proc/[0-9]*/task/*")
	must(t, err)
	for _, task := range all {
		info, err := os.Stat(task)
		if err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == user {
			threads[strings.Split(task, "/")[2]]++
		}
	}
	return threads
}

// notCharged waits until the worker has said what is wrong, and checks that its job is as it was.
func (s *shell) notCharged(p *process, says string) {
	s.t.Helper()
	p.says(says)
	p.signal(syscall.SIGTERM)
	p.wait()
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Attempts != 0 || len(s.failed()) != 0 {
		s.t.Errorf("left are %+v, failed are %+v\n%s", jobs, s.failed(), p.stderr)
	}
}

// A deploy removes the directory in which a worker runs. What does not need it runs, and what does spends no attempt.
func TestTheWorkingDirectoryIsGone(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, command ...string) (*shell, *process) {
		s := migrated(t)
		dir := filepath.Join(t.TempDir(), "release")
		must(t, os.Mkdir(dir, 0o755), clitest.WriteProgram(dir+"/send", []byte("#!/bin/sh\n"), 0o755))
		cmd := s.command(append([]string{"work", "--sleep", "0.05", "--tries", "1"}, command...)...)
		cmd.Dir = dir
		p := s.begin(cmd)
		p.says("worker started")
		must(t, os.RemoveAll(dir))
		s.ok("push", "a")
		return s, p
	}
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		s, p := gone(t, "--exec", "/bin/cat >/dev/null; pwd")
		p.says("job 1: /\n")
		s.ok("push", "a")
		p.says("job 2: /\n")
		if n := strings.Count(p.stderr.String(), "the working directory is gone"); n != 1 {
			t.Errorf("it is said %d times:\n%s", n, p.stderr)
		}
	})
	t.Run("made again", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		dir := filepath.Join(t.TempDir(), "release")
		must(t, os.Mkdir(dir, 0o755))
		cmd := s.command("work", "--sleep", "0.05", "--exec", "pwd")
		cmd.Dir = dir
		p := s.begin(cmd)
		p.says("worker started")
		must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755))
		s.ok("push", "a")
		p.says("job 1: " + dir + "\n")
	})
	t.Run("relative", func(t *testing.T) {
		t.Parallel()
		s, p := gone(t, "--exec", "./send")
		s.notCharged(p, "no child process could be started")
	})
	t.Run("relative, without a shell", func(t *testing.T) {
		t.Parallel()
		s, p := gone(t, "--handlers", write(t, "f.yaml", "a: {command: [./send]}"))
		s.notCharged(p, "no child process could be started")
	})
}

// A program that is missing or may not be run is the machine's fault. What a shell says of a line is the job's result.
func TestAProgramThatIsMissingSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/plain", []byte("#!/bin/sh\n"), 0o600), clitest.WriteProgram(dir+"/broken", []byte("\x7fELF"), 0o700))
	for _, program := range []string{"missing", "plain", "broken"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "a")
			file := write(t, "f.yaml", "a: {command: ['"+dir+"/"+program+"'], tries: 1}")
			s.notCharged(s.start("work", "--handlers", file), "no child process could be started")
		})
	}
	t.Run("of a shell", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		s.ok("push", "a")
		s.ok("work", "--stop-when-empty", "--tries", "1", "--exec", dir+"/missing")
		if failed := s.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "not found") {
			t.Errorf("failed are %+v", failed)
		}
	})
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		s := migrated(t)
		s.ok("push", "a")
		file := write(t, "f.yaml", "a: {command: ['true', '"+strings.Repeat("x", 200_000)+"'], tries: 1}")
		s.ok("work", "--stop-when-empty", "--handlers", file)
		if failed := s.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "argument list too long") {
			t.Errorf("failed are %+v", failed)
		}
	})
}

// A worker, or its supervisor, that has no descriptors for another child puts the job back.
func TestAWorkerWithoutDescriptorsSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	const jobs, files = 30, 50
	s := migrated(t)
	s.ok("push", "a", "--count", fmt.Sprint(jobs))
	dir := t.TempDir()
	program := s.command("work", "--concurrency", "30", "--tries", "1", "--exec",
		"until [ -e "+dir+"/go ]; do sleep 0.05; done")
	cmd := exec.CommandContext(t.Context(), "sh",
		append([]string{"-c", `ulimit -n ` + fmt.Sprint(files) + `; exec "$@"`, "sh"}, program.Args...)...)
	cmd.Env = program.Env
	p := s.begin(cmd)
	p.says("no child process could be started")
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	p.signal(syscall.SIGTERM)
	p.wait()
	done := strings.Count(p.stderr.String(), "msg=processed")
	left := s.jobs()
	if len(s.failed()) != 0 || done == 0 || done+len(left) != jobs {
		t.Errorf("%d are done, left are %+v, failed are %+v\n%s", done, left, s.failed(), p.stderr)
	}
	for _, j := range left {
		if j.Attempts != 0 || j.Reserved {
			t.Errorf("left is %+v", j)
		}
	}
}

// A supervisor that may not start another process puts the job back.
func TestAWorkerWithoutProcessesSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	prlimit, err := exec.LookPath("prlimit")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, to have a worker that is not and for which the limit holds, and prlimit")
	}
	const jobs, more = 30, 3
	s := migrated(t)
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/gate", 0o666), os.Chmod(dir+"/gate", 0o666))
	gate, err := os.OpenFile(dir+"/gate", os.O_RDWR, 0)
	must(t, err)
	defer gate.Close()
	open := func() {
		_, err := gate.WriteString(strings.Repeat("\n", jobs))
		must(t, err)
	}
	program := s.command("work", "--concurrency", fmt.Sprint(jobs), "--sleep", "0.05", "--tries", "1", "--exec",
		"read line <"+dir+"/gate; :")
	user := 1_000_000 + os.Getpid() // nobody else's
	s.runAs(program, dir, user)
	p := s.begin(program)
	p.says("worker started")
	s.ok("push", "a", "--count", fmt.Sprint(jobs)) // so that it has all the threads that it needs
	haveProcesses := func(n int) {
		waitFor(t, func() error {
			if got := len(processesOf(t, user)); got != n {
				return fmt.Errorf("the user has %d processes, want %d", got, n)
			}
			return nil
		})
	}
	const own = 2 // the worker and its supervisor
	haveProcesses(own + jobs)
	open()
	haveProcesses(own)

	tasks := 0
	for _, threads := range processesOf(t, user) {
		tasks += threads
	}
	for pid := range processesOf(t, user) {
		limit := exec.CommandContext(t.Context(), prlimit, "--pid", pid, fmt.Sprintf("--nproc=%d", tasks+more))
		limit.SysProcAttr = program.SysProcAttr // root may lack the capability for it
		must(t, limit.Run())
	}
	s.ok("push", "a", "--count", fmt.Sprint(jobs))
	p.says("/sh: resource temporarily unavailable")
	p.says("no child process could be started")
	p.says("this machine cannot start jobs: the worker reserves none for a while")
	p.signal(syscall.SIGTERM)
	open()
	p.wait()
	done, left := strings.Count(p.stderr.String(), "msg=processed")-jobs, s.jobs()
	if len(s.failed()) != 0 || done+len(left) != jobs {
		t.Errorf("%d are done, left are %+v, failed are %+v\n%s", done, left, s.failed(), p.stderr)
	}
	for _, j := range left {
		if j.Attempts != 0 || j.Reserved {
			t.Errorf("left is %+v", j)
		}
	}
}

// A command that has become another user's cannot be killed. Its job is settled all the same, and the log says what goes on.
func TestACommandOfAnotherUserCannotBeKilled(t *testing.T) {
	t.Parallel()
	setpriv, err := exec.LookPath("setpriv")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, to have a worker that is not, and setpriv")
	}
	s := migrated(t)
	s.ok("push", "a")
	dir := t.TempDir()
	program := s.command("work", "--tries", "1", "--grace", "0.1", "--kill-after", "0.1", "--exec",
		"exec "+dir+"/setpriv --reuid=0 --clear-groups sh -c 'echo pid $$; exec sleep 1000'")
	copied(t, setpriv, dir+"/setpriv", 0o755|os.ModeSetuid)
	s.runAs(program, dir, 54321)
	p := s.begin(program)
	p.says(": pid ")
	p.signal(syscall.SIGTERM)
	p.says("cannot be killed: it runs as another user")
	for _, pid := range printed(p.stderr.String(), "pid") {
		must(t, exec.CommandContext(t.Context(), "kill", "-9", pid).Run())
	}
	p.wait()
	if jobs := s.jobs(); len(s.failed()) != 1 || len(jobs) != 0 {
		t.Errorf("left are %+v, failed are %+v\n%s", jobs, s.failed(), p.stderr)
	}
}
