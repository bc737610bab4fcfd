package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// reserve makes it look as if a worker had the job.
func (s *shell) reserve(id int) {
	s.t.Helper()
	now := time.Now().UnixMicro()
	s.exec("UPDATE jobs SET reserved = 1, attempts = attempts + 1, reserved_at = ?, reserved_by = 'w-1', expires_at = ? WHERE id = ?",
		now, now+int64(time.Hour/time.Microsecond), id)
}

// anyAge is the age of what has just happened.
var anyAge = regexp.MustCompile(`\b(\d+[sm] ago|now)  +`)

func TestJobsList(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if got := s.ok("jobs", "list", "--json"); got != "[]\n" {
		t.Errorf("without jobs: %q", got)
	}
	s.ok("push", "a", `{"x":1}`)
	s.ok("push", "b", "--queue", "mail")
	s.ok("later", "3h", "a", "--queue", "mail")
	s.ok("push", "c", "--priority", "7")
	s.reserve(4)
	want := "" +
		"ID  QUEUE    STATE     NAME  ATTEMPTS  PRIORITY  AVAILABLE  CREATED  DATA\n" +
		"1   default  ready     a     0         0         AGE        AGE      {\"x\":1}\n" +
		"2   mail     ready     b     0         0         AGE        AGE      {}\n" +
		"3   mail     delayed   a     0         0         in 3h      AGE      {}\n" +
		"4   default  reserved  c     1         7         AGE        AGE      {}\n"
	got := s.ok("jobs", "list")
	got = anyAge.ReplaceAllString(got, "AGE  ")
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}

	for filter, want := range map[string][]int64{
		"":                             {1, 2, 3, 4},
		"--queue mail":                 {2, 3},
		"--state ready":                {1, 2},
		"--state delayed":              {3},
		"--state reserved":             {4},
		"--name a":                     {1, 3},
		"--name a --queue mail":        {3},
		"--limit 2":                    {1, 2},
		"--after 2 --limit 1":          {3},
		"--since 2999-01-01":           nil,
		"--until 2999-01-01 --name b":  {2},
		"--since 2020-01-01T00:00:00Z": {1, 2, 3, 4},
	} {
		var ids []int64
		for _, job := range s.jobs(strings.Fields(filter)...) {
			ids = append(ids, job.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("with %q: %v, want %v", filter, ids, want)
		}
	}

	if got := s.run("jobs", "list", "--limit", "2"); !strings.Contains(got.stderr, "there are more: --limit, or --after 2") {
		t.Errorf("does not tell of more: %q", got.stderr)
	}
	if got := s.run("jobs", "list", "--limit", "4"); got.stderr != "" {
		t.Errorf("tells of more: %q", got.stderr)
	}
	s.fails(2, []string{`unknown state "odd": use ready, delayed or reserved`}, "jobs", "list", "--state", "odd")
	s.fails(2, []string{"--limit: 0 is too small"}, "jobs", "list", "--limit", "0")
}

// The JSON has the names of the table's columns.
func TestJobsListJSON(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--unique", "k")
	s.reserve(1)
	var rows []map[string]json.RawMessage
	fromJSON(t, s.ok("jobs", "list", "--json"), &rows)
	for _, column := range []string{
		"id", "queue", "priority", "payload", "attempts", "exceptions", "reserved", "reserved_at", "reserved_by", "expires_at", "started",
		"available_at", "created_at", "unique_key",
	} {
		if _, ok := rows[0][column]; !ok {
			t.Errorf("there is no %s in %v", column, rows[0])
		}
		delete(rows[0], column)
	}
	if len(rows[0]) > 0 {
		t.Errorf("there is more: %v", rows[0])
	}
}

func TestJobsShow(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", `{"x":[1]}`, "--unique", "k", "--tries", "3")
	s.reserve(1)
	got := s.ok("jobs", "show", "1")
	for _, line := range []string{
		"id           1\n", "queue        default\n", "name         a\n", "state        reserved\n", "attempts     1\n", "unique key   k\n",
		"reserved by  w-1\n", "payload\n  {\n", `      "x": [`, `    "tries": 3`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("does not show %q:\n%s", line, got)
		}
	}
	s.fails(1, []string{"no such job"}, "jobs", "show", "99")
	s.fails(2, []string{`"x" is not an id`}, "jobs", "show", "x")
	s.fails(2, []string{`"0" is not an id`}, "jobs", "show", "0")
	s.fails(2, []string{"sqlqueue jobs show needs ID"}, "jobs", "show")
	s.fails(2, []string{`does not take "2"`}, "jobs", "show", "1", "2")
}

func TestJobsCancel(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "4")
	s.reserve(3)
	if got := s.ok("jobs", "cancel", "1,2"); got != "cancelled 2 jobs\n" {
		t.Errorf("printed %q", got)
	}
	got := s.run("jobs", "cancel", "3", "4", "99")
	if got.code != 1 || got.stdout != "cancelled 1 job\n" ||
		!strings.Contains(got.stderr, "job 3: a worker has reserved the job; job 99: no such job") {
		t.Errorf("the result is %+v", got)
	}
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].ID != 3 {
		t.Errorf("left are %+v", jobs)
	}
}

func TestJobsRelease(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "2")
	s.reserve(1)
	if got := s.ok("jobs", "release", "1"); got != "released 1 job\n" {
		t.Errorf("printed %q", got)
	}
	if job := s.jobs()[0]; job.Reserved || job.Attempts != 1 {
		t.Errorf("the job is %+v", job)
	}
	s.fails(1, []string{"job 2: no worker has reserved the job"}, "jobs", "release", "2")
}

func TestJobsEdit(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", `{"x":1}`, "--tries", "3")
	s.ok("push", "b", "--unique", "k")
	s.ok("push", "b", "--unique", "k", "--queue", "mail")
	if got := s.ok("jobs", "edit", "1", "--queue", "mail", "--priority", "-3", "--at", "2999-01-01T00:00:00Z", "--name", "c", "--data",
		"[2]"); got != "changed 1 job\n" {
		t.Errorf("printed %q", got)
	}
	job := s.jobs()[0]
	if job.Queue != "mail" || job.Priority != -3 || job.AvailableAt.Year() != 2999 ||
		string(job.Payload) != `{"job":"c","data":[2],"tries":3}` {
		t.Errorf("the job is %+v with payload %s", job, job.Payload)
	}
	got := runWith(t.Context(), Options{DSN: s.dsn}, "null", "jobs", "edit", "1", "--data", "-")
	if payload := string(s.jobs()[0].Payload); got.code != 0 || payload != `{"job":"c","data":null,"tries":3}` {
		t.Errorf("%+v, and the payload is %s", got, payload)
	}

	s.fails(1, []string{`unique key "k" of queue "mail" is held by job 3`}, "jobs", "edit", "2", "--queue", "mail")
	s.fails(1, []string{"no such job"}, "jobs", "edit", "99", "--priority", "1")
	s.fails(2, []string{"nothing to change"}, "jobs", "edit", "1")
	s.fails(2, []string{"the data is not JSON"}, "jobs", "edit", "1", "--data", "{")
	s.fails(2, []string{"give one queue only"}, "jobs", "edit", "1", "--queue", "a,b")
	s.fails(2, []string{"--name is empty"}, "jobs", "edit", "1", "--name", "")
	s.reserve(1)
	s.fails(1, []string{"job 1: a worker has reserved the job"}, "jobs", "edit", "1", "--priority", "1")
}

// What others have put into the tables does not reach the terminal as it is.
func TestTextOfOthersIsShownSafely(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	evil := "a\x1b[31mred\u202e\n\tnext"
	payload, err := json.Marshal(map[string]any{"job": evil, "data": evil})
	if err != nil {
		t.Fatal(err)
	}
	s.exec("INSERT INTO jobs (queue, payload) VALUES ('q', ?)", payload)
	s.exec("INSERT INTO jobs (queue, payload) VALUES ('q', '[1]')")
	s.exec(`INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
		VALUES (1, 'q', 0, ?, 1, ?, ?, 1, 1)`, payload, evil, evil)
	for _, args := range [][]string{
		{"jobs", "list"}, {"jobs", "show", "1"}, {"jobs", "show", "2"}, {"failed"}, {"failed", "show", "1"}, {"queues"},
	} {
		got := s.ok(args...)
		if strings.ContainsAny(got, "\x1b\u202e\t") {
			t.Errorf("%q prints %q", args, got)
		}
		if args[0] != "queues" && args[len(args)-1] != "2" && !strings.Contains(got, `a\x1b[31mred\u202e`) {
			t.Errorf("%q does not show the name:\n%s", args, got)
		}
	}
	if rows := strings.Split(s.ok("jobs", "list"), "\n"); len(rows) != 4 || !strings.Contains(rows[2], "?") ||
		!strings.Contains(rows[2], "[1]") {
		t.Errorf("the table is not a line for each job: %q", rows)
	}
}

func TestQueues(t *testing.T) {
	t.Parallel()
	atFixedTime(t, testQueues)
}

func testQueues(t *testing.T) {
	s := migrated(t)
	if got := s.ok("queues", "--json"); got != "[]\n" {
		t.Errorf("without jobs: %q", got)
	}
	s.ok("push", "a", "--queue", "mail", "--count", "3")
	s.ok("later", "100", "a", "--queue", "mail")
	s.ok("push", "a", "--queue", "sms")
	s.reserve(1)
	s.exec("UPDATE jobs SET available_at = available_at - 200000000 WHERE id = 2")
	if got := s.ok("pause", "--queue", "sms,chat", "--for", "1h"); got != "paused sms, chat\n" {
		t.Errorf("printed %q", got)
	}
	want := "" +
		"QUEUE  READY  DELAYED  RESERVED  FAILED  OLDEST  WORKERS  CONTROL             PUSHED/MIN  DONE/MIN  FAILED/MIN\n" +
		"chat       0        0         0       0  -             0  paused, ends in 1h           0         0           0\n" +
		"mail       2        1         1       0  3m ago        0  -                            0         0           0\n" +
		"sms        1        0         0       0  now           0  paused, ends in 1h           0         0           0\n"
	if got := s.ok("queues"); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	var infos []operator.QueueInfo
	fromJSON(t, s.ok("queues", "--json"), &infos)
	if len(infos) != 3 || infos[1].Queue != "mail" || infos[1].Ready != 2 || infos[1].Delayed != 1 || infos[1].Reserved != 1 ||
		!infos[2].Control.Paused {
		t.Errorf("the JSON is %+v", infos)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--queue", "x")
	s.ok("push", "a", "--queue", "y")
	s.ok("pause", "--queue", "x")
	s.work("true", "--queue", "x,y")
	if jobs := s.jobs(); len(jobs) != 1 || jobs[0].Queue != "x" {
		t.Errorf("left are %+v, want the job of the paused queue", jobs)
	}
	s.ok("resume", "--queue", "x")
	if got := s.ok("pause"); got != "paused all queues\n" {
		t.Errorf("printed %q", got)
	}
	if got := s.ok("queues"); !strings.Contains(strings.Join(strings.Fields(got), " "), " (all) 0 0 0 0 - - paused ") {
		t.Errorf("the queues are\n%s", got)
	}
	s.work("true", "--queue", "x")
	if n := len(s.jobs()); n != 1 {
		t.Errorf("%d jobs left, want 1", n)
	}
	s.ok("resume")
	s.work("true", "--queue", "x")
	if n := len(s.jobs()); n != 0 {
		t.Errorf("%d jobs left, want 0", n)
	}
	s.fails(2, []string{"--for: 0s is not positive"}, "pause", "--for", "0")
	s.fails(2, []string{"--queue: the queue is empty"}, "pause", "--queue", "")
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "2")
	if got := s.ok("down"); got != "down: all queues\n" {
		t.Errorf("printed %q", got)
	}
	s.work("true")
	if n := len(s.jobs()); n != 2 {
		t.Errorf("under maintenance %d jobs are left, want 2", n)
	}
	s.work("true", "--force", "--max-jobs", "1")
	if n := len(s.jobs()); n != 1 {
		t.Errorf("with --force %d jobs are left, want 1", n)
	}
	s.ok("up")
	s.work("true")
	if n := len(s.jobs()); n != 0 {
		t.Errorf("after maintenance %d jobs are left, want none", n)
	}
}

func TestFailedJobs(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if got := s.ok("failed", "list", "--json"); got != "[]\n" {
		t.Errorf("without failed jobs: %q", got)
	}
	s.ok("push", "a", "--count", "3")
	s.ok("push", "b", "--queue", "mail")
	s.work("echo first line >&2; echo bad data >&2; exit 65", "--queue", "default,mail", "--concurrency", "1")
	want := "" +
		"ID  JOB  QUEUE    NAME  ATTEMPTS  FAILED  ERROR\n" +
		"4   4    mail     b     1         AGE     first line\\nbad data\n" +
		"3   3    default  a     1         AGE     first line\\nbad data\n" +
		"2   2    default  a     1         AGE     first line\\nbad data\n" +
		"1   1    default  a     1         AGE     first line\\nbad data\n"
	got := s.ok("failed")
	got = anyAge.ReplaceAllString(got, "AGE  ")
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	if got := s.ok("failed", "list", "--queue", "mail", "--json"); !strings.Contains(got, `"job_id":4`) ||
		strings.Contains(got, `"job_id":3`) {
		t.Errorf("failed jobs of mail: %s", got)
	}
	if got := s.run("failed", "--limit", "1", "--name", "a"); !strings.Contains(got.stderr, "there are more: --limit, or --before 3") {
		t.Errorf("does not tell of more: %q", got.stderr)
	}
	if got := s.ok("failed", "show", "2"); !strings.Contains(got, "error\n  first line\n  bad data\n") ||
		!strings.Contains(got, "job       2\n") {
		t.Errorf("failed show prints\n%s", got)
	}
	s.fails(1, []string{"no such job"}, "failed", "show", "99")
	s.fails(2, []string{`unknown command "7" for sqlqueue failed: use sqlqueue failed show 7`}, "failed", "7")

	if got := s.ok("retry", "1", "2"); got != "retried 2 jobs\n" {
		t.Errorf("printed %q", got)
	}
	if jobs := s.jobs(); len(jobs) != 2 || jobs[0].Attempts != 0 || jobs[0].ID < 5 {
		t.Errorf("the jobs are %+v", jobs)
	}
	if got := s.run("retry", "1", "3"); got.code != 1 || got.stdout != "retried 1 job\n" ||
		!strings.Contains(got.stderr, "failed job 1: no such job") {
		t.Errorf("the result is %+v", got)
	}
	s.ok("clear", "--yes")
	s.ok("push", "a", "--count", "3")
	s.work("exit 65")
	if got := s.ok("retry", "--all", "--queue", "mail"); got != "retried 1 job\n" {
		t.Errorf("printed %q", got)
	}
	if got := s.ok("retry", "--all"); got != "retried 3 jobs\n" {
		t.Errorf("printed %q", got)
	}
	if got := s.ok("retry", "--all"); got != "retried 0 jobs\n" {
		t.Errorf("printed %q", got)
	}
	s.fails(2, []string{"needs ids of failed jobs, or --all"}, "retry")
	s.fails(2, []string{"give ids or --all, not both"}, "retry", "--all", "1")
	s.fails(2, []string{"--queue, --name, --error and --older-than go with --all"}, "retry", "--queue", "mail")

	s.work("exit 65", "--queue", "default,mail")
	failed := s.failed()
	if got := s.ok("forget", fmt.Sprint(failed[0].ID)); got != "forgot 1 failed job\n" {
		t.Errorf("printed %q", got)
	}
	s.exec("UPDATE failed_jobs SET failed_at = failed_at - 7200000000 WHERE id = ?", failed[1].ID)
	for _, step := range []struct{ args, want string }{
		{"prune-failed", "forgot 0 failed jobs\n"},
		{"prune-failed --hours 3", "forgot 0 failed jobs\n"},
		{"flush --hours 3 --yes", "forgot 0 failed jobs\n"},
		{"flush --hours 1.5 --yes", "forgot 1 failed job\n"},
		{"flush --queue nothing-here --yes", "forgot 0 failed jobs\n"},
		{"flush --yes", fmt.Sprintf("forgot %d failed jobs\n", len(failed)-2)},
	} {
		if got := s.ok(strings.Fields(step.args)...); got != step.want {
			t.Errorf("%s printed %q, want %q", step.args, got, step.want)
		}
	}
	s.fails(1, []string{"no such job"}, "forget", "99")
	s.fails(2, []string{"--hours"}, "flush", "--hours", "-1")

	s.ok("push", "a", "--count", "2")
	s.work("exit 65")
	s.exec("UPDATE failed_jobs SET failed_at = failed_at - 90000000000 WHERE id = (SELECT max(id) FROM failed_jobs)") // 25 hours
	if got := s.ok("prune-failed"); got != "forgot 1 failed job\n" {
		t.Errorf("printed %q", got)
	}
}

// A failed job whose key another job has by now stays failed.
func TestRetryOfUniqueJob(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--unique", "k")
	s.work("exit 65")
	s.ok("push", "a", "--unique", "k")
	got := s.run("retry", "--all")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, `unique key "k" of queue "default" is held by job 2`) {
		t.Errorf("the result is %+v", got)
	}
	if len(s.failed()) != 1 {
		t.Error("the failed job is gone")
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--count", "3", "--queue", "x,y")
	s.reserve(1)
	for _, step := range []struct{ args, want string }{
		{"clear --queue x --yes", "deleted 2 jobs\n"},
		{"clear --queue x --include-reserved --yes", "deleted 1 job\n"},
		{"clear --yes", "deleted 3 jobs\n"},
		{"clear --yes", "deleted 0 jobs\n"},
	} {
		if got := s.ok(strings.Fields(step.args)...); got != step.want {
			t.Errorf("%s printed %q, want %q", step.args, got, step.want)
		}
	}
}

// TestJobsListOdd: one odd row takes nobody's list away, and a large one is read whole only when it is printed.
func TestJobsListOdd(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "good")
	for _, at := range []string{"9223372036854775807", "-9223372036854775808", "253402300800000000", "-62135596800000001"} {
		s.exec(`INSERT INTO jobs (payload, available_at, created_at) VALUES ('{"job":"far"}', ` + at + `, ` + at + `)`)
	}
	s.exec(`INSERT INTO jobs (payload) VALUES (?)`, `{"job":"large","data":"`+strings.Repeat("é", 1<<20)+`"}`)
	var jobs []sqlqueue.Job
	if err := json.Unmarshal([]byte(s.ok("jobs", "list", "--json")), &jobs); err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 6 || len(jobs[5].Payload) < 2<<20 {
		t.Errorf("%d jobs are listed, the last with %d bytes", len(jobs), len(jobs[len(jobs)-1].Payload))
	}
	for _, j := range jobs[1:5] {
		if y := j.AvailableAt.Year(); y != 1 && y != 9999 {
			t.Errorf("job %d is available in the year %d", j.ID, y)
		}
	}
	table := s.ok("jobs", "list")
	if !strings.Contains(table, "large") || strings.Contains(table, "-922") || !regexp.MustCompile(`in \d{4}y`).MatchString(table) {
		t.Errorf("the table is\n%.2000s", table)
	}
	if len(table) > 20_000 {
		t.Errorf("the table has %d bytes", len(table))
	}
}

// TestListsReadTheStart: what a list allocates does not grow with payloads, errors and stacks, of which it shows the start. It does not run
// beside other tests, which allocate too.
func TestListsReadTheStart(t *testing.T) { //nolint:paralleltest // see above
	const rows, size = 20, 1 << 20
	s := migrated(t)
	text := strings.Repeat("x", size)
	for range rows {
		s.exec(`INSERT INTO jobs (payload) VALUES (?)`, `{"job":"large","data":"`+text+`"}`)
		s.exec(`INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
			VALUES (1, 'default', 0, ?, 1, ?, ?, 1, 1)`, `{"job":"large","data":"`+text+`"}`, "error"+text, "stack"+text)
	}
	for _, args := range [][]string{
		{"jobs", "list"}, {"failed", "list"}, {"jobs", "list", "--name", "large"}, {"failed", "--name", "large"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		table := s.ok(args...)
		runtime.ReadMemStats(&after)
		if n := strings.Count(table, "large"); n < rows {
			t.Errorf("%q: %d of %d rows are listed", args, n, rows)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > rows*size/2 {
			t.Errorf("%q allocated %d bytes, of rows of %d bytes each", args, allocated, size)
		}
	}
	var failed []operator.FailedJob
	if err := json.Unmarshal([]byte(s.ok("failed", "list", "--json")), &failed); err != nil || len(failed) != rows {
		t.Fatalf("got %d failed jobs, %v", len(failed), err)
	}
	for _, j := range failed {
		if len(j.Payload) < size || j.Error != "error"+text || j.Stack != "stack"+text {
			t.Errorf("of failed job %d %d, %d and %d bytes are printed", j.ID, len(j.Payload), len(j.Error), len(j.Stack))
		}
	}
}
