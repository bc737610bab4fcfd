package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func testOutcomes(t *testing.T, c *command) {
	c.ok("migrate", "up")
	for _, name := range []string{"done", "release", "fail", "error"} {
		c.ok("push", name, "--tries", "2")
	}
	c.ok("push", "timeout", "--tries", "2", "--timeout", "0.5")
	_, said, code := c.run("work", "--stop-when-empty", "--kill-after", "0", "--backoff", "0,100", "--exec", `case $SQLQUEUE_JOB_NAME in
		done) exit 0;; release) test $SQLQUEUE_JOB_ATTEMPTS -gt 1 || exit 75;; fail) echo bad data >&2; exit 65;;
		error) printf 'line 1\nline \000 2 \377' >&2; exit 3;; timeout) sleep 1000; true;; esac`)
	if jobs := c.jobs(); len(jobs) != 0 || code != 0 {
		t.Errorf("exit code %d; left are %+v: %s", code, jobs, said)
	}
	got := map[string]string{}
	for _, job := range c.failed() {
		payload, err := sqlqueue.ParsePayload(job.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got[payload.Job] = fmt.Sprint(job.Attempts, " ", job.Error)
	}
	if len(got) != 3 || got["fail"] != "1 bad data" || !strings.HasPrefix(got["error"], "2 line 1\nline ") ||
		!strings.Contains(got["timeout"], "timed out") {
		t.Errorf("failed are %q", got)
	}
	c.expect("retried 3 jobs\n", "retry", "--all")
	// On a busy machine the half second of the last may be over before its command begins.
	_, said, _ = c.run("work", "--stop-when-empty", "--backoff", "0", "--exec", "true")
	if jobs := c.jobs(); len(jobs) != 0 {
		t.Errorf("left are %+v: %s", jobs, said)
	}
}

// testKilledWorker: the job of a worker that was killed runs again.
func testKilledWorker(t *testing.T, c *command) {
	c.ok("migrate", "up")
	c.ok("push", "a")
	dir := t.TempDir()
	script := `echo $$ >` + dir + `/$SQLQUEUE_JOB_ATTEMPTS; test $SQLQUEUE_JOB_ATTEMPTS -gt 1 || exec sleep 1000`
	first, _ := c.start("work", "--exec", script, "--expire", "1")
	orphan, err := strconv.Atoi(content(t, filepath.Join(dir, "1")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(orphan, syscall.SIGKILL) }()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed

	c.ok("work", "--exec", script, "--max-jobs", "1")
	content(t, filepath.Join(dir, "2"))
	if jobs := c.jobs(); len(jobs) != 0 {
		t.Errorf("left are %+v", jobs)
	}
}

// testSignal: a worker that is told to stop finishes what it runs, and leaves the rest as it was.
func testSignal(t *testing.T, c *command) {
	c.ok("migrate", "up")
	c.ok("push", "a", "--count", "2")
	dir := t.TempDir()
	worker, said := c.start("work", "--concurrency", "1", "--exec",
		"echo >"+dir+"/running x; until test -e "+dir+"/end; do sleep 0.01; done")
	content(t, filepath.Join(dir, "running"))
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	contentWith(t, said, "finishing")
	if err := os.WriteFile(filepath.Join(dir, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Error(err)
	}
	if jobs := c.jobs(); len(jobs) != 1 || jobs[0].Reserved || jobs[0].Attempts != 0 {
		t.Errorf("left are %+v, want one job as it was", jobs)
	}
}

// testRestart: every worker is told to exit, and one that starts later is not.
func testRestart(t *testing.T, c *command) {
	c.ok("migrate", "up")
	for range 2 {
		first, firstSaid := c.start("work", "--exec", "true", "--sleep", "0.1")
		second, secondSaid := c.start("work", "--exec", "true", "--queue", "mail", "--sleep", "0.1")
		contentWith(t, firstSaid, "started")
		contentWith(t, secondSaid, "started")
		c.ok("push", "a") // when they have run a job, they have registered
		c.ok("push", "a", "--queue", "mail")
		contentWith(t, firstSaid, "processed")
		contentWith(t, secondSaid, "processed")
		c.expect("restarting the workers of all queues\n", "restart")
		for _, worker := range []*exec.Cmd{first, second} {
			if err := worker.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
}
