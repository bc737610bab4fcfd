package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// failed returns what `failed --json` tells.
func (s *shell) failed() []operator.FailedJob {
	s.t.Helper()
	var jobs []operator.FailedJob
	fromJSON(s.t, s.ok("failed", "--json"), &jobs)
	return jobs
}

// work runs a worker until nothing is due.
func (s *shell) work(command string, args ...string) result {
	s.t.Helper()
	got := s.run(append([]string{"work", "--stop-when-empty", "--exec", command}, args...)...)
	if got.code != 0 {
		s.t.Fatalf("work %q: exit code %d\n%s", args, got.code, got.stderr)
	}
	return got
}

func TestExec(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, command string
		args          []string
		jobs, failed  int
		check         func(t *testing.T, s *shell)
	}{
		{name: "done", command: "exit 0"},
		{
			name:    "done, with data",
			command: `test "$(cat)" = '{"x":1}' && test "$SQLQUEUE_JOB_NAME" = a && test "$SQLQUEUE_JOB_ATTEMPTS" = 1`,
		},
		{
			name: "release", command: "exit 75", args: []string{"--delay", "100"}, jobs: 1,
			check: func(t *testing.T, s *shell) { checkWait(t, s.jobs()[0], 100*time.Second) },
		},
		{
			name: "release, with a list of waits", command: "exit 75", args: []string{"--backoff", "1m,5m"}, jobs: 1,
			check: func(t *testing.T, s *shell) { checkWait(t, s.jobs()[0], time.Minute) },
		},
		{
			name: "error", command: "echo no such host >&2; exit 1", args: []string{"--backoff", "100"}, jobs: 1,
			check: func(t *testing.T, s *shell) { checkWait(t, s.jobs()[0], 100*time.Second) },
		},
		{
			name: "fail for good", command: "echo bad data >&2; exit 65", failed: 1,
			check: func(t *testing.T, s *shell) {
				if job := s.failed()[0]; job.Error != "bad data" || job.Attempts != 1 {
					t.Errorf("the failed job is %+v", job)
				}
			},
		},
		{
			name: "errors until the last try", command: "echo oops $SQLQUEUE_JOB_ATTEMPTS >&2; exit 9",
			args: []string{"--tries", "3", "--delay", "0"}, failed: 1,
			check: func(t *testing.T, s *shell) {
				if job := s.failed()[0]; job.Error != "oops 3" || job.Attempts != 3 {
					t.Errorf("the failed job is %+v", job)
				}
			},
		},
		{
			name: "signal", command: "kill -KILL $$", args: []string{"--tries", "1"}, failed: 1,
			check: func(t *testing.T, s *shell) {
				if job := s.failed()[0]; !strings.Contains(job.Error, "killed by signal 9") {
					t.Errorf("the error is %q", job.Error)
				}
			},
		},
		{
			name: "timeout", command: "sleep 1000; true",
			args: []string{"--tries", "1", "--timeout", "0.1", "--kill-after", "0"}, failed: 1,
			check: func(t *testing.T, s *shell) {
				if job := s.failed()[0]; !strings.Contains(job.Error, "timed out") {
					t.Errorf("the error is %q", job.Error)
				}
			},
		},
		{
			name: "no limit of tries and time", command: `test $SQLQUEUE_JOB_ATTEMPTS -gt 30`,
			args: []string{"--tries", "0", "--timeout", "0", "--backoff", "0"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			s.ok("push", "a", `{"x":1}`)
			s.work(test.command, test.args...)
			if jobs := s.jobs(); len(jobs) != test.jobs {
				t.Errorf("jobs left: %+v, want %d", jobs, test.jobs)
			}
			if failed := s.failed(); len(failed) != test.failed {
				t.Fatalf("failed jobs: %+v, want %d", failed, test.failed)
			}
			if test.check != nil && !t.Failed() {
				test.check(t, s)
			}
		})
	}
}

// checkWait checks that a job has to wait for d from when the worker put it back.
func checkWait(t *testing.T, job sqlqueue.Job, d time.Duration) {
	t.Helper()
	if wait, atLeast := time.Until(job.AvailableAt), job.AvailableAt.Sub(job.CreatedAt); job.Reserved || wait > d || atLeast < d {
		t.Errorf("the job waits for %v, and from its push for %v, want %v: %+v", wait, atLeast, d, job)
	}
}

// A job's own settings beat the worker's, also for a release.
func TestJobsOwnSettings(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--tries", "2", "--backoff", "0")
	s.ok("push", "b", "--backoff", "600")
	s.ok("push", "c", "--timeout", "0.1", "--tries", "1")
	s.work(`case $SQLQUEUE_JOB_NAME in a) exit 3;; b) exit 75;; c) sleep 1000; true;; esac`, "--tries", "9", "--delay", "9999",
		"--kill-after", "0")
	failed := s.failed()
	if len(failed) != 2 || failed[0].Attempts+failed[1].Attempts != 3 {
		t.Errorf("the failed jobs are %+v", failed)
	}
	jobs := s.jobs()
	if len(jobs) != 1 {
		t.Fatalf("the jobs left are %+v", jobs)
	}
	checkWait(t, jobs[0], 600*time.Second)
}

func TestExecOutput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	got := s.work("echo out; echo err >&2")
	if got.stdout != "" || !strings.Contains(got.stderr, "\njob 1: out\n") || !strings.Contains(got.stderr, "\njob 1: err\n") {
		t.Errorf("standard output is %q, standard error\n%s", got.stdout, got.stderr)
	}
	s.ok("push", "a")
	got = s.work("echo out", "--log-format", "json")
	output := false
	for line := range strings.Lines(got.stderr) {
		var record struct {
			Message string `json:"msg"`
			ID      int64  `json:"id"`
			Line    string `json:"line"`
		}
		fromJSON(t, line, &record)
		output = output || record.Message == "output" && record.ID == 2 && record.Line == "out"
	}
	if !output {
		t.Errorf("the log has no line of the command:\n%s", got.stderr)
	}
}

func TestWorkOfQueues(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	order := filepath.Join(t.TempDir(), "order")
	s.ok("push", "a", "--queue", "low")
	s.ok("push", "b", "--queue", "high")
	s.ok("push", "c", "--queue", "other")
	s.ok("push", "d", "--queue", "high", "--priority", "-1")
	s.work("echo $SQLQUEUE_JOB_NAME >>"+order, "--queue", "high, low,high", "--concurrency", "1")
	if got := waitForFile(t, order); got != "d\nb\na" {
		t.Errorf("the jobs ran in the order %q", got)
	}
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Queue != "other" {
		t.Errorf("left are %+v", jobs)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "3")
	for _, command := range []string{"true", "exit 1", "exit 65"} {
		if got := s.run("work", "--once", "--exec", command, "--delay", "1000"); got.code != 0 {
			t.Errorf("with %q: exit code %d, want 0 whatever its outcome\n%s", command, got.code, got.stderr)
		}
	}
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Attempts != 1 {
		t.Errorf("left are %+v, want the one with an error", jobs)
	}
	if failed := s.failed(); len(failed) != 1 {
		t.Errorf("failed are %+v", failed)
	}

	s.ok("clear", "--yes")
	started := time.Now()
	if got := s.run("work", "--once", "--exec", "true", "--sleep", "0.2"); got.code != 0 {
		t.Errorf("with nothing there: exit code %d", got.code)
	}
	if took := time.Since(started); took < 200*time.Millisecond {
		t.Errorf("with nothing there it took %v: it must sleep once", took)
	}
}

func TestStopWhenEmptyLeavesDelayedJobs(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("later", "1000", "a")
	s.ok("push", "b")
	s.work("true", "--sleep", "1000")
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Attempts != 0 {
		t.Errorf("left are %+v, want the delayed one", jobs)
	}
}

func TestMaxJobsAndMaxTime(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "5")
	if got := s.run("work", "--daemon", "--exec", "true", "--max-jobs", "2"); got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if n := len(s.jobs()); n != 3 {
		t.Errorf("%d jobs left, want 3", n)
	}
	if got := s.run("work", "--exec", "true", "--max-time", "0.2", "--sleep", "1000"); got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}

func TestWorkOfBadInput(t *testing.T) {
	s := migrated(t)
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "give --exec COMMAND"},
		{[]string{"more"}, `does not take "more"`},
		{[]string{"--expire", "0"}, "--expire: 0s is not positive: use more than 0, or off for never"},
		{[]string{"--expire", "-5"}, "--expire: -5s is not positive"},
		{[]string{"--tries", "-1"}, "--tries: -1 is too small"},
		{[]string{"--concurrency", "0"}, "--concurrency: 0 is too small"},
		{[]string{"--timeout", "-1"}, "--timeout: -1s is negative"},
		{[]string{"--sleep", "-1"}, "--sleep: -1s is negative"},
		{[]string{"--grace", "-1"}, "--grace: -1s is negative"},
		{[]string{"--delay", "-1"}, "--delay: -1s is negative"},
		{[]string{"--delay", "1", "--backoff", "2"}, "give --delay or --backoff, not both"},
		{[]string{"--queue", "a,,b"}, "--queue: the queue is empty"},
		{[]string{"--log-format", "xml"}, `unknown log format "xml": use text or json`},
		{[]string{"--onec"}, "unknown flag: --onec: did you mean --once?"},
	} {
		args := append([]string{"work"}, test.args...)
		if test.says != "give --exec COMMAND" {
			args = append(args, "--exec", "true")
		}
		s.fails(2, []string{test.says}, args...)
	}
	t.Setenv("SQLQUEUE_EXPIRE", "never")
	s.fails(2, []string{"SQLQUEUE_EXPIRE", `"never" is not a duration`}, "work", "--exec", "true")
}

// The environment's expire holds, and the flag's beats it.
func TestExpire(t *testing.T) {
	s := migrated(t)
	file := filepath.Join(t.TempDir(), "running")
	t.Setenv("SQLQUEUE_EXPIRE", "1000")
	for expire, want := range map[string]time.Duration{"": 1000 * time.Second, "50": 50 * time.Second, "off": 0} {
		s.ok("push", "a")
		args := []string{
			"work", "--once", "--exec", "echo >" + file + "; cat " + file + "; while test -e " + file + "; do sleep 0.01; done",
		}
		if expire != "" {
			args = append(args, "--expire", expire)
		}
		p := s.start(args...)
		waitFor(t, func() error {
			if jobs := s.jobs("--state", "reserved"); len(jobs) == 1 {
				end, begun := jobs[0].ExpiresAt, jobs[0].ReservedAt
				if want == 0 && !end.IsZero() || want > 0 && (end.Sub(begun) < want || time.Until(end) > want) {
					t.Errorf("with --expire %q the reservation of %v ends at %v", expire, begun, end)
				}
				return nil
			}
			return errors.New("no job is reserved")
		})
		p.says("job ")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// An application's own handlers run in the same tree.
func TestWorkWithHandlers(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	mux := worker.NewMux()
	ran := map[string]string{}
	mux.HandleFunc("hello", func(_ context.Context, job *worker.Job[json.RawMessage]) error {
		ran["handler"] = string(job.Data)
		return nil
	})
	options := Options{
		Name: "shop", Mux: mux, DSN: s.dsn,
		Config: sqlqueue.Config{Queue: "greetings"},
		Worker: worker.Config{Concurrency: 1, MaxMemory: anyMemory, OnFailed: func(
			_ context.Context, job *worker.Job[json.RawMessage], err error,
		) error {
			ran["failed"] = job.Name + ": " + err.Error()
			return worker.Discard()
		}},
	}
	run := func(args ...string) result {
		t.Helper()
		got := runWith(t.Context(), options, "", args...)
		if got.code != 0 {
			t.Fatalf("%q: %+v", args, got)
		}
		return got
	}
	run("push", "hello", `"world"`)
	run("work", "--stop-when-empty")
	if ran["handler"] != `"world"` {
		t.Errorf("the handlers: %q", ran)
	}
	run("push", "hello", "1")
	run("work", "--stop-when-empty", "--exec", "exit 65") // commands instead of the handlers
	if ran["handler"] != `"world"` || ran["failed"] != "hello: exit status 65" {
		t.Errorf("the handlers: %q", ran)
	}
	if help := run("push", "--help").stdout; !strings.Contains(help, "\n  shop push send_invoice") ||
		strings.Contains(help, "  sqlqueue push") {
		t.Errorf("the examples do not have the program's name:\n%s", help)
	}
	if got := runWith(t.Context(), options, "", "push"); !strings.HasPrefix(got.stderr, "shop: ") {
		t.Errorf("the error does not have the program's name: %s", got.stderr)
	}
}

// TERM, INT and QUIT: no new job, and the one that runs comes to its end.
func TestSignalDrains(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			release := filepath.Join(t.TempDir(), "release")
			s.ok("push", "a", "--count", "2")
			p := s.start("work", "--concurrency", "1", "--exec",
				"echo running; until test -e "+release+"; do sleep 0.01; done; echo finished")
			p.says("running")
			p.signal(signal)
			p.says("finishing")
			if err := os.WriteFile(release, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d: %s", code, p.stderr)
			}
			if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Reserved || jobs[0].Attempts != 0 {
				t.Errorf("left are %+v, want one that is as it was", jobs)
			}
			if !strings.Contains(p.stderr.String(), "finished") {
				t.Errorf("the job did not come to its end:\n%s", p.stderr)
			}
		})
	}
}

// A worker waits for a server that is away, and does not show its password.
func TestWorkWaitsForTheServer(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	host := closedPort(t)
	s.dsn = "postgres://app:" + secret + "@" + host + "/shop"
	p := s.start("work", "--exec", "true")
	p.says(host)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
	checkSecret(t, s.dsn, result{stderr: p.stderr.String()})
}

// A worker that the database refuses what it needs ends with exit code 1, and its last line says why and what to do.
func TestWorkEndsWhenTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec("CREATE TRIGGER theirs BEFORE INSERT ON job_workers BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END")
	got := s.run("work", "--exec", "true")
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	last := lines[len(lines)-1]
	if got.code != 1 || !strings.HasPrefix(last, "sqlqueue: ") || strings.Count(last, "readonly database") != 1 ||
		strings.Count(last, "let this user write the file") != 1 {
		t.Errorf("exit code %d, and the last line does not say once why, and what to do:\n%s", got.code, got.stderr)
	}
}
