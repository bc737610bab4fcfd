//go:build unix

package cli

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/clitest"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// withHandlers is a program with handlers of its own.
const withHandlers = "handlers"

func init() { programs[withHandlers] = handlersOptions }

func handlersOptions() Options {
	mux := worker.NewMux()
	for name, handler := range map[string]func(context.Context, *worker.Job[json.RawMessage]) error{
		"pid": func(context.Context, *worker.Job[json.RawMessage]) error { fmt.Println("pid", os.Getpid()); return nil },
		"print": func(_ context.Context, job *worker.Job[json.RawMessage]) error {
			fmt.Println("out", string(job.Data))
			fmt.Fprint(os.Stderr, "err, without an end")
			return nil
		},
		"binary": func(context.Context, *worker.Job[json.RawMessage]) error {
			info, err := os.Stat("/proc/self/exe")
			if err != nil {
				return err
			}
			fmt.Println("binary", info.Sys().(*syscall.Stat_t).Ino)
			return nil
		},
		"loop": func(context.Context, *worker.Job[json.RawMessage]) error {
			fmt.Println("pid", os.Getpid())
			for { //nolint:revive,staticcheck // that is the test
			}
		},
		"wait": func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
			fmt.Println("waiting")
			<-ctx.Done()
			return fmt.Errorf("gave up: %w", context.Cause(ctx))
		},
		"panic":  func(context.Context, *worker.Job[json.RawMessage]) error { panic("oh") },
		"goexit": func(context.Context, *worker.Job[json.RawMessage]) error { runtime.Goexit(); return nil },
		"exit":   func(context.Context, *worker.Job[json.RawMessage]) error { os.Exit(7); return nil },
		"crash": func(context.Context, *worker.Job[json.RawMessage]) error {
			go func() { panic("in the background") }()
			select {}
		},
		"database": func(context.Context, *worker.Job[json.RawMessage]) error {
			fmt.Println("database", os.Getenv("SQLQUEUE_DSN"))
			return nil
		},
		"complete": complete,
		"snooze":   func(context.Context, *worker.Job[json.RawMessage]) error { return worker.Snooze(time.Hour) },
		"grandchild": func(context.Context, *worker.Job[json.RawMessage]) error {
			cmd := exec.Command("sh", "-c", `echo pid $$; env | grep -c ^SQLQUEUE_CHILD=; exec sleep 1000`) //nolint:noctx // it is to stay
			cmd.Stdout = os.Stdout
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			return cmd.Run()
		},
	} {
		mux.HandleFunc(name, handler)
	}
	mux.Use(func(next worker.Handler) worker.Handler {
		return func(ctx context.Context, job *worker.Job[json.RawMessage]) error {
			err := next(ctx, job)
			if job.Name == "print" {
				fmt.Println("after", err)
			}
			return err
		}
	})
	return Options{Mux: mux, Worker: worker.Config{
		Concurrency: 50,
		OnFailed: func(_ context.Context, job *worker.Job[json.RawMessage], err error) error {
			fmt.Println("OnFailed", job.Name, err) // only what a child prints has the job's id before it
			if job.Name == "goexit" {
				return worker.Discard()
			}
			return nil
		},
	}}
}

// complete holds and deletes its own job, and pushes another, in one transaction.
func complete(ctx context.Context, job *worker.Job[json.RawMessage]) error {
	db, err := sql.Open("sqlite",
		"file:"+strings.TrimPrefix(os.Getenv("SQLQUEUE_DSN"), "sqlite:")+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	q = sqlitequeue.WithTx(q, tx)
	if err := q.Hold(ctx, job); err != nil {
		return err
	}
	if _, err := q.Push(ctx, sqlqueue.Named("next", nil), sqlqueue.OnQueue("other")); err != nil {
		return err
	}
	if err := q.Delete(ctx, job); err != nil {
		return err
	}
	return tx.Commit()
}

// listen starts listen in a program with handlers.
func (s *shell) listen(args ...string) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.startProgram(self, withHandlers, append([]string{"listen"}, args...)...)
}

// done waits for a good end, and returns standard error.
func (p *process) done() string {
	p.t.Helper()
	if code := p.wait(); code != 0 {
		p.t.Fatalf("%q: exit code %d\n%s", p.cmd.Args[1:], code, p.stderr)
	}
	return p.stderr.String()
}

// printed returns the rest of the lines that jobs have printed after the word.
func printed(text, word string) (rest []string) {
	for line := range strings.Lines(text) {
		if _, after, ok := strings.Cut(line, ": "+word+" "); ok && strings.HasPrefix(line, "job ") {
			rest = append(rest, strings.TrimSpace(after))
		}
	}
	return rest
}

func TestD4_ListenRunsHandlersInChildren(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "pid", "--count", "3")
	s.ok("push", "print", `{"a": 1}`)
	p := s.listen("--stop-when-empty")
	log := p.done()
	pids := printed(log, "pid")
	if len(pids) != 3 || pids[0] == pids[1] || pids[1] == pids[2] || slices.Contains(pids, strconv.Itoa(p.cmd.Process.Pid)) {
		t.Errorf("the jobs ran in the processes %q of %d", pids, p.cmd.Process.Pid)
	}
	for _, line := range []string{`job 4: out {"a":1}`, "job 4: after <nil>", "job 4: err, without an end"} {
		if !strings.Contains(log, "\n"+line+"\n") {
			t.Errorf("not printed: %s\n%s", line, log)
		}
	}
	if jobs := s.jobs(); len(jobs) != 0 {
		t.Errorf("left are %+v", jobs)
	}
	clitest.CheckGone(t, pids...)
}

func TestD5_AChildServesSoManyJobs(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "pid", "--count", "5")
	pids := printed(s.listen("--stop-when-empty", "--child-jobs", "3").done(), "pid")
	if len(pids) != 5 || pids[0] != pids[2] || pids[2] == pids[3] || pids[3] != pids[4] {
		t.Errorf("the jobs ran in the processes %q", pids)
	}
	clitest.CheckGone(t, pids...)
}

// What becomes of a job whose child dies or hangs, and the next jobs go on.
func TestD4_AChildDies(t *testing.T) {
	t.Parallel()
	for name, says := range map[string][]string{
		"loop":       {"timed out after"},
		"wait":       {"gave up: timed out after"},
		"grandchild": {"timed out after"},
		"panic":      {"panic: oh"},
		"goexit":     {"runtime.Goexit"},
		"exit":       {"the child process died: exit status 7"},
		"crash":      {"the child process died: exit status 2: panic: in the background"},
		"nobody":     {"no handler"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", name, "--tries", "1")
			s.ok("push", "pid", "--timeout", "0", "--count", "2")
			timeout, killAfter := "0", "1" // a child can take long to begin: only what must end in time has a limit
			switch name {
			case "loop", "grandchild":
				timeout = "3"
			case "wait":
				timeout, killAfter = "3", "1000"
			}
			p := s.listen("--stop-when-empty", "--child-jobs", "10", "--timeout", timeout, "--kill-after", killAfter)
			log := p.done()
			if p.stdout.Len() > 0 {
				t.Errorf("the parent itself has printed %s", &p.stdout)
			}
			for _, text := range says {
				if !strings.Contains(log, text) {
					t.Errorf("the log does not say %q:\n%s", text, log)
				}
			}
			if strings.Count(log, "msg=processed") != 2 {
				t.Errorf("the other jobs did not go on:\n%s", log)
			}
			clitest.CheckGone(t, printed(log, "pid")...)
			failed, jobs := s.failed(), s.jobs()
			switch name {
			case "goexit": // discarded by OnFailed
				if len(jobs)+len(failed) != 0 {
					t.Errorf("left are %+v and %+v", jobs, failed)
				}
			case "nobody":
				if len(jobs) != 1 || jobs[0].Attempts != 0 {
					t.Errorf("left are %+v", jobs)
				}
			default:
				if len(failed) != 1 || !strings.Contains(failed[0].Error, says[0]) || failed[0].Attempts != 1 {
					t.Errorf("failed are %+v", failed)
				}
				if name == "panic" && !strings.Contains(failed[0].Stack, "listen_test.go") {
					t.Errorf("the stack is %s", failed[0].Stack)
				}
				if told := printed(log, "OnFailed"); len(told) != 1 || !strings.Contains(told[0], says[0]) {
					t.Errorf("OnFailed was told %q:\n%s", told, log)
				}
			}
		})
	}
}

func TestD4_AChildNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "database")
	dsn := s.dsn
	s.dsn = "postgres://nobody:" + secret + "@" + closedPort(t) + "/nothing"
	log := s.listen("--stop-when-empty", "--dsn", dsn).done()
	if got := printed(log, "database"); !slices.Equal(got, []string{s.dsn}) || len((&shell{t, dsn}).jobs()) != 0 {
		t.Errorf("the child had %q:\n%s", got, log)
	}
}

func TestF3_AJobIsCompletedInAChild(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "complete")
	log := s.listen("--stop-when-empty").done()
	if strings.Contains(log, "reservation lost") || strings.Count(log, "msg=processed") != 1 {
		t.Errorf("the log is\n%s", log)
	}
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Queue != "other" {
		t.Errorf("left are %+v", jobs)
	}
}

// program is a file that the test binary is installed in, again and again.
type installed string

func newProgram(t *testing.T) installed {
	t.Helper()
	program := installed(filepath.Join(t.TempDir(), "program"))
	program.install(t)
	return program
}

// install puts a new file at the old one's place.
func (i installed) install(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Another process writes it: a child that a parallel test starts meanwhile would inherit the open file, and nobody can run what is
	// open for writing.
	if out, err := exec.CommandContext(t.Context(), "cp", self, string(i)+".new").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(string(i)+".new", string(i)); err != nil {
		t.Fatal(err)
	}
}

func TestD4_NewCodeIsPickedUp(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	program := newProgram(t)
	s.ok("push", "binary")
	p := s.startProgram(string(program), withHandlers, "listen", "--max-jobs", "2", "--sleep", "0.05")
	p.says("msg=processed")
	program.install(t)
	s.ok("push", "binary")
	if got := printed(p.done(), "binary"); len(got) != 2 || got[0] == got[1] {
		t.Errorf("the binaries were %q", got)
	}
}

// While there is no program to run, no job loses an attempt.
func TestD4_AChildThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	program := newProgram(t)
	p := s.startProgram(string(program), withHandlers, "listen", "--sleep", "0.05", "--tries", "1")
	p.says("worker started")
	if err := os.Remove(string(program)); err != nil {
		t.Fatal(err)
	}
	s.ok("push", "pid")
	p.says("no child process could be started")
	p.says(`msg="cannot start"`)
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Errorf("left are %+v", jobs)
	}
	program.install(t)
	s.ok("push", "pid") // the other one waits for a minute
	p.says("msg=processed")
}

func TestD4_ChildMemory(t *testing.T) {
	t.Parallel()
	if !supervise.CanLimitMemory {
		migrated(t).fails(2, []string{"--child-memory needs Linux"}, "work", "--exec", "true", "--child-memory", "5")
		return
	}
	for _, command := range []string{"work", "listen"} {
		s := migrated(t)
		s.ok("push", "a", "--tries", "1")
		got := s.run(command, "--stop-when-empty", "--child-memory", "60", "--exec",
			`sh -c 'awk "BEGIN { for (i = 0; i < 9999999; i++) a[i] = \"xxxxxxxxxxxx\" i }"; true'`)
		if failed := s.failed(); got.code != 0 || len(failed) != 1 || !strings.Contains(failed[0].Error, "memory: ") ||
			!strings.Contains(failed[0].Error, "the limit is 60.0 MB") {
			t.Errorf("%s: failed are %+v\n%s", command, failed, got.stderr)
		}
	}
}

func TestD4_ExitOnTimeout(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"handler": {"listen"},
		"command": {"listen", "--exec", `test $SQLQUEUE_JOB_NAME != loop || while :; do :; done`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "loop", "--tries", "1")
			s.ok("push", "pid")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			p := s.startProgram(self, withHandlers, append(args, "--timeout", "0.3", "--kill-after", "0.1", "--exit-on-timeout")...)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d:\n%s", code, p.stderr)
			}
			p.says("job 1 timed out, and --exit-on-timeout was given")
			if failed := s.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "timed out") {
				t.Errorf("failed are %+v", failed)
			}
			if jobs := s.jobs(); len(jobs) > 1 || len(jobs) == 1 && jobs[0].Reserved {
				t.Errorf("left are %+v", jobs)
			}
		})
	}
}

// A command in a dead loop is killed, and the others go on.
func TestB6_ACommandInADeadLoop(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "loop", "--tries", "1")
	s.ok("push", "other", "--count", "5", "--timeout", "0")
	got := s.run("listen", "--stop-when-empty", "--timeout", "0.3", "--kill-after", "0.1", "--exec",
		`trap "" TERM; test $SQLQUEUE_JOB_NAME != loop || while :; do :; done`)
	if got.code != 0 || strings.Count(got.stderr, "msg=processed") != 5 {
		t.Errorf("%+v", got)
	}
	if failed := s.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "timed out") {
		t.Errorf("failed are %+v", failed)
	}
}

// A second signal kills the children at once, and TERM to all processes, as some supervisors send it, ends none that runs a job.
func TestD8_SignalsToListen(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "loop")
	p := s.listen("--grace", "1000", "--kill-after", "1000", "--delay", "0")
	p.says(": pid ")
	pid := printed(p.stderr.String(), "pid")[0]
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	p.says("finishing")
	if syscall.Kill(n, 0) != nil || clitest.IsZombie(n) {
		t.Error("TERM has ended the child")
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
	clitest.CheckGone(t, pid)
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Reserved {
		t.Errorf("left are %+v, want the job, put back", jobs)
	}
	if log := p.stderr.String(); !strings.Contains(log, `error="worker stopped"`) || strings.Contains(log, "the child process died") {
		t.Errorf("the job's error is not that the worker was stopped:\n%s", log)
	}
}

func TestListenOfBadInput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.fails(2, []string{"give --exec COMMAND"}, "listen")
	s.fails(2, []string{"--child-jobs: 0 is too small"}, "listen", "--exec", "true", "--child-jobs", "0")
	s.fails(2, []string{"--child-memory: -1 is too small"}, "listen", "--exec", "true", "--child-memory", "-1")
	got := runWith(t.Context(), handlersOptions(), "", "work", "--child-memory", "5", "--dsn", s.dsn)
	checkFailure(t, got, 2, []string{"--child-memory is for child processes"}, nil)
}
