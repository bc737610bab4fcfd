//go:build unix

package cli

import (
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestKeep(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for _, of := range []struct {
		args string
		want string
	}{
		{"keep reports 7d", "reports: finished jobs are kept for 7d\n"},
		{"keep mail/* 90m", "mail/*: finished jobs are kept for 1h30m\n"},
		{"keep mail/1 0", "mail/1: finished jobs are not kept\n"},
		{
			"keep list",
			"mail/*: finished jobs are kept for 1h30m\nmail/1: finished jobs are not kept\nreports: finished jobs are kept for 7d\n",
		},
		{"keep mail/* --off", "mail/*: no setting\n"},
		{"keep mail/1 --off", "mail/1: no setting\n"},
		{"keep list --json", `[{"queue":"reports","keep_seconds":604800}]` + "\n"},
		{"keep reports --off", "reports: no setting\n"},
		{"keep list --json", "[]\n"},
	} {
		if got := s.ok(strings.Fields(of.args)...); got != of.want {
			t.Errorf("%s: %q, want %q", of.args, got, of.want)
		}
	}
	s.fails(2, []string{"give a time, such as 24h, or --off alone"}, "keep", "a")
	s.fails(2, []string{"give a time"}, "keep", "a", "1h", "--off")
	s.fails(2, []string{"the time to keep jobs"}, "keep", "a", "soon")
	s.fails(1, []string{"a pattern ends in /*"}, "keep", "a*", "1h")
}

// A command reports progress and its result by lines, and the job is listed and shown when it is done.
func TestDoneJobs(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "report", `{"x":1}`, "--keep", "1h")
	s.ok("push", "gone")
	s.ok("keep", "mail", "1h")
	s.ok("push", "report", "--queue", "mail")
	got := s.run("work", "--stop-when-empty", "--queue", "default,mail", "--concurrency", "1", "--exec",
		`echo sqlqueue:progress 0.5 half; echo 'sqlqueue:result {"rows":3}'; echo 'sqlqueue:result {"rows"'; echo sqlqueue:progress x; `+
			`echo hello`)
	for _, passed := range []string{"hello", `sqlqueue:result {"rows"`, "sqlqueue:progress x"} {
		if strings.Count(got.stderr+got.stdout, passed+"\n") != 3 {
			t.Errorf("%q is not passed on: %s%s", passed, got.stdout, got.stderr)
		}
	}
	if strings.Contains(got.stderr+got.stdout, `{"rows":3}`) {
		t.Errorf("the result is passed on: %s%s", got.stdout, got.stderr)
	}
	var jobs []operator.FinishedJob
	fromJSON(t, s.ok("jobs", "list", "--state", "done", "--json"), &jobs)
	if len(jobs) != 2 || jobs[0].ID != 3 || jobs[1].ID != 1 || string(jobs[1].Result) != `{"rows":3}` || jobs[1].Outcome != "done" {
		t.Fatalf("done are %+v", jobs)
	}
	fromJSON(t, s.ok("jobs", "list", "--state", "done", "--queue", "mail", "--json"), &jobs)
	if len(jobs) != 1 || jobs[0].ID != 3 {
		t.Errorf("of the queue: %+v", jobs)
	}
	if out := s.ok("jobs", "list", "--state", "done"); !strings.Contains(out, "RESULT") || strings.Count(out, `{"rows":3}`) != 2 {
		t.Errorf("the table is\n%s", out)
	}
	for _, want := range []string{"state", "done", "took", "kept until", "result", `"rows": 3`, `"x": 1`} {
		if out := s.ok("jobs", "show", "1"); !strings.Contains(out, want) {
			t.Errorf("jobs show has no %q:\n%s", want, out)
		}
	}
	var job operator.FinishedJob
	fromJSON(t, s.ok("jobs", "show", "1", "--json"), &job)
	if job.ID != 1 || string(job.Result) != `{"rows":3}` {
		t.Errorf("as JSON: %+v", job)
	}
	if got := s.run("jobs", "list", "--state", "done", "--limit", "1"); !strings.Contains(got.stderr, "--after 2") {
		t.Errorf("a page says %q", got.stderr)
	}
	s.fails(1, []string{"2"}, "jobs", "show", "2")
	s.fails(2, []string{"--older-than is not for finished jobs"}, "jobs", "list", "--state", "done", "--older-than", "1d")
	s.fails(2, []string{"finished jobs can only be listed"}, "jobs", "cancel", "--state", "done")
	s.fails(2, []string{`unknown state "completed"`}, "jobs", "list", "--state", "completed")
}

// A process that serves several jobs has the result in its answer.
func TestResultsOfReusedProcesses(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--keep", "1h")
	s.work(`read -r job; echo 'sqlqueue:progress 0.5' >&2; echo '{"id":1,"outcome":"done","result":{"rows":3},"last":true}'; cat`,
		"--reuse")
	var job operator.FinishedJob
	fromJSON(t, s.ok("jobs", "show", "1", "--json"), &job)
	if string(job.Result) != `{"rows":3}` {
		t.Errorf("the job is %+v", job)
	}
}

func TestShowProgress(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a")
	s.reserve(1)
	s.exec("INSERT INTO job_progress (job_id, fraction, text, at) SELECT id, 0.25, 'half of a half', reserved_at + 1 FROM jobs")
	if out := s.ok("jobs", "show", "1"); !strings.Contains(out, "25 %, half of a half") {
		t.Errorf("jobs show says\n%s", out)
	}
	if out := s.ok("jobs", "show", "1", "--json"); !strings.Contains(out, `"fraction":0.25`) && !strings.Contains(out, `"fraction": 0.25`) {
		t.Errorf("as JSON: %s", out)
	}
}
