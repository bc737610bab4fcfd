package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func (s *shell) ids(filter string) (ids []int64) {
	s.t.Helper()
	for _, job := range s.jobs(strings.Fields(filter)...) {
		ids = append(ids, job.ID)
	}
	return ids
}

// list, cancel and release take the same conditions.
func TestE6_JobFilters(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", `{"customer":{"id":42,"vip":true},"city":"Zürich, CH"}`)
	s.ok("push", "a", `{"customer":{"id":"42"}}`, "--queue", "mail")
	s.ok("push", "b", `{"customer":null,"city":"100%"}`)
	s.exec("UPDATE jobs SET created_at = created_at - 7200000000 WHERE id = 1") // 2 hours
	for filter, want := range map[string][]int64{
		"--field customer.id=42":                            {1, 2},
		"--field customer.id=42 --field customer.vip=true":  {1},
		"--field customer.id=4":                             nil,
		"--field city=100%":                                 {3},
		"--field customer=null":                             {3},
		"--older-than 1h":                                   {1},
		"--older-than 1d":                                   nil,
		"--newer-than 1h":                                   {2, 3},
		"--newer-than 1h --name a":                          {2},
		"--newer-than 3h --older-than 3600":                 {1},
		"--queue mail --field customer.id=42 --state ready": {2},
	} {
		if got := s.ids(filter); !slices.Equal(got, want) {
			t.Errorf("with %q: %v, want %v", filter, got, want)
		}
		if got, want := s.ok(append([]string{"jobs", "cancel", "--dry-run"}, strings.Fields(filter)...)...),
			"would cancel "+term.Count(len(want), "job")+"\n"; got != want {
			t.Errorf("cancel with %q: %q, want %q", filter, got, want)
		}
	}
	s.ok("jobs", "list", "--field", "city=Zürich, CH")
	for args, says := range map[string]string{
		"jobs list --field customer":                         "--field: use KEY=VALUE",
		"jobs list --field =1":                               "--field: use KEY=VALUE",
		"jobs list --field a..b=1":                           "--field: use KEY=VALUE",
		"jobs list --older-than soon":                        `--older-than: "soon" is not a duration`,
		"jobs list --older-than 0":                           "--older-than: 0s is not positive",
		"jobs list --newer-than 1h --since 2020-01-01":       "give --newer-than or --since, not both",
		"jobs cancel":                                        "sqlqueue jobs cancel needs ids of jobs, or a filter such as --queue",
		"jobs release --yes":                                 "sqlqueue jobs release needs ids of jobs, or a filter such as --queue",
		"jobs cancel 1 --queue mail":                         "give ids or a filter, not both",
		"jobs cancel 1 --dry-run":                            "--dry-run goes with a filter",
		"jobs cancel --name=":                                "--name is empty",
		"jobs cancel --queue x --state=":                     "--state is empty",
		"forget --all --name=":                               "--name is empty",
		"retry --all --error=":                               "--error is empty",
		"failed --group --name=":                             "--name is empty",
		"jobs cancel --state reserved":                       "a reserved job cannot be cancelled",
		"jobs release --state ready":                         "only reserved jobs can be released, not ready ones",
		"jobs cancel --state running":                        `unknown state "running"`,
		"jobs release --newer-than 1h --since 2020-01-01":    "not both",
		"jobs cancel --older-than 1h --queue x --until when": "--until: ",
	} {
		s.fails(2, []string{says}, strings.Fields(args)...)
	}
	if n := len(s.jobs()); n != 3 {
		t.Errorf("%d jobs are left", n)
	}
}

// Only what passes the filter is cancelled, and never what a worker has.
func TestE6_CancelByFilter(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "1203", "--queue", "mail")
	s.ok("push", "b", "--queue", "mail")
	s.ok("push", "a", "--queue", "sms")
	s.reserve(7)
	got := s.run("jobs", "cancel", "--queue", "mail", "--name", "a", "--yes")
	says, undo, _ := strings.Cut(got.stderr, "to undo: sqlqueue ")
	got.stderr = says
	if want := (result{"cancelled 1202 jobs\n", "about to cancel 1202 jobs in sqlite file " + s.file() + "\n", 0}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	if left := s.ids(""); !slices.Equal(left, []int64{7, 1204, 1205}) {
		t.Errorf("left are %v", left)
	}
	if out := s.ok(strings.Fields(undo)...); out != "restored 1202 jobs\n" {
		t.Errorf("undo: %q", out)
	}
	s.fails(1, []string{"restore", "no such job"}, strings.Fields(undo)...)
	s.fails(1, []string{"letters and digits"}, "jobs", "restore", "../x")
	if got, want := s.run("jobs", "cancel", "--queue", "nothing-here", "--yes"), (result{"cancelled 0 jobs\n", "", 0}); got != want {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestE6_ReleaseByFilter(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "4", "--queue", "mail")
	s.ok("push", "b", "--queue", "mail")
	for _, id := range []int{1, 2, 5} {
		s.reserve(id)
	}
	if got, want := s.ok("jobs", "release", "--name", "a", "--dry-run"), "would release 2 jobs\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, want := s.run("jobs", "release", "--name", "a", "--state", "reserved"),
		(result{"released 2 jobs\n", "about to release 2 jobs in sqlite file " + s.file() + "\n", 0}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
	if reserved := s.ids("--state reserved"); !slices.Equal(reserved, []int64{5}) {
		t.Errorf("reserved are %v", reserved)
	}
}

// What few of very many jobs pass is found, also where no index helps.
func TestE6_SearchAmongManyJobs(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
		INSERT INTO jobs (queue, created_at, payload) SELECT 'q', ?,
			CASE WHEN i % 50000 = 17 THEN '{"job":"rare","data":{"n":1}}' ELSE '{"job":"a","data":{"n":2}}' END FROM n`,
		time.Now().UnixMicro())
	want := []int64{17, 50_017, 100_017}
	for _, filter := range []string{"--name rare", "--field n=1", "--name rare --newer-than 1h"} {
		if got := s.ids(filter); !slices.Equal(got, want) {
			t.Errorf("with %s: %v, want %v", filter, got, want)
		}
	}
	if got := s.run("jobs", "list", "--name", "rare", "--limit", "2", "--json"); strings.Count(got.stdout, "\n") != 2 ||
		got.stderr != "there can be more: --limit, or --after 50017\n" {
		t.Errorf("two of three: %+v", got)
	}
	if got := s.ids("--name rare --after 50017"); !slices.Equal(got, want[2:]) {
		t.Errorf("the next page: %v", got)
	}
	if got := s.ok("jobs", "cancel", "--name", "a", "--dry-run"); got != "would cancel 10000+ jobs\n" {
		t.Errorf("printed %q", got)
	}
	got := s.run("jobs", "cancel", "--name", "rare", "--yes")
	got.stderr, _, _ = strings.Cut(got.stderr, "to undo: ")
	if got != (result{"cancelled 3 jobs\n", "about to cancel 3 jobs in sqlite file " + s.file() + "\n", 0}) {
		t.Errorf("the result is %+v", got)
	}
	if n := s.number("SELECT count(*) FROM jobs"); n != 119_997 {
		t.Errorf("%d jobs are left", n)
	}
}

// fail makes it look as if so many jobs had failed.
func (s *shell) fail(n int, queue, name, message string, hoursAgo int) {
	s.t.Helper()
	s.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
		SELECT i, ?, 0, '{"job":"%s","data":{}}', 1, replace(?, '#', 1000 + i), '', 1,
			%d FROM n`, n, name, time.Now().Add(-time.Duration(hoursAgo)*time.Hour).UnixMicro()), queue, message)
}

// push adds so many jobs without data, faster than the program does.
func (s *shell) push(n int, queue, name string) {
	s.t.Helper()
	s.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO jobs (queue, payload) SELECT ?, '{"job":"%s","data":{}}' FROM n`, n, name), queue)
}

func TestE8_FailedByGroupAndError(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if got := s.ok("failed", "--group", "--json"); got != "[]\n" {
		t.Errorf("without failed jobs: %q", got)
	}
	s.fail(1500, "mail", "send", "cannot connect to 10.0.0.#: refused", 1)
	s.fail(20, "mail", "send", "HTTP 404: no such page", 30)
	s.fail(3, "sms", "send", "100% of_it", 30)
	var groups []struct {
		Queue, Name, Error string
		Count              int
	}
	fromJSON(t, s.ok("failed", "--group", "--json"), &groups)
	if len(groups) != 3 || groups[0].Count != 1500 || groups[0].Error != "cannot connect to * refused" || groups[1].Count != 20 ||
		groups[2].Queue != "sms" {
		t.Errorf("the groups are %+v", groups)
	}
	if got := s.run("failed", "list", "--group", "--limit", "1"); !strings.Contains(got.stdout, " 1500  mail   send ") ||
		got.stderr != "there are 2 groups more: --limit\n" {
		t.Errorf("the largest group: %+v", got)
	}
	for filter, want := range map[string]int{
		"--error refused": 1500, "--error cannot*10.0.0.1007*refused": 1,
		"--error HTTP*404": 20, "--error 100%": 3, "--error %": 3, "--error f_i": 3,
		"--queue sms --error HTTP": 0, "--older-than 1d": 23, "--older-than 1d --queue mail --name send": 20, "--name nobody": 0,
	} {
		var jobs []map[string]any
		fromJSON(t, s.ok(append([]string{"failed", "--json", "--limit", "2000"}, strings.Fields(filter)...)...), &jobs)
		if len(jobs) != want {
			t.Errorf("with %q: %d failed jobs, want %d", filter, len(jobs), want)
		}
		got := s.ok(append([]string{"forget", "--all", "--dry-run"}, strings.Fields(filter)...)...)
		if want := "would forget " + term.Count(want, "failed job") + "\n"; !strings.HasPrefix(got, want) {
			t.Errorf("forget with %q: %q, want %q", filter, got, want)
		}
	}
	if got := s.ok("retry", "--all", "--error", "cannot*refused", "--older-than", "1m"); got != "retried 1500 jobs\n" {
		t.Errorf("printed %q", got)
	}
	if got := s.ok("forget", "--all", "--error", "HTTP 404", "--yes"); got != "forgot 20 failed jobs\n" {
		t.Errorf("printed %q", got)
	}
	if n, m := len(s.jobs("--limit", "2000")), len(s.failed()); n != 1500 || m != 3 {
		t.Errorf("%d jobs and %d failed jobs, want 1500 and 3", n, m)
	}
	for _, command := range []string{"retry", "forget"} {
		s.fails(2, []string{"give ids or --all, not both"}, command, "--all", "1")
		s.fails(2, []string{"needs ids of failed jobs, or --all"}, command)
		s.fails(2, []string{"go with --all"}, command, "1", "--error", "x")
	}
	s.fails(2, []string{"--dry-run goes with --all"}, "forget", "1", "--dry-run")
}

// Of many groups the largest five are told before they are deleted.
func TestE8_FlushTellsWhatItDeletes(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for i := range 7 {
		s.fail(i+1, "q", strings.Repeat(string(rune('a'+i)), 3), "broken", 1)
	}
	want := "would forget 28 failed jobs\n" +
		"7  q  ggg  broken\n6  q  fff  broken\n5  q  eee  broken\n4  q  ddd  broken\n3  q  ccc  broken\nand 2 other groups\n"
	if got := s.ok("flush", "--dry-run"); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if got, want := s.run("flush", "--yes"), (result{stdout: "forgot 28 failed jobs\n"}); got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
}
