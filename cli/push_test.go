package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// jobs returns what `jobs list --json` tells.
func (s *shell) jobs(args ...string) []sqlqueue.Job {
	s.t.Helper()
	var jobs []sqlqueue.Job
	fromJSON(s.t, s.ok(append([]string{"jobs", "list", "--json"}, args...)...), &jobs)
	return jobs
}

func fromJSON(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte("\n  {\"from\": \"file\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args    []string
		stdin   string
		payload string
	}{
		{args: []string{"push", "a"}, payload: `{"job":"a","data":{}}`},
		{args: []string{"push", "a", `{"x": [1, "ü<&>"]}`}, payload: `{"job":"a","data":{"x":[1,"ü<&>"]}}`},
		{args: []string{"push", "a", "null"}, payload: `{"job":"a","data":null}`},
		{args: []string{"push", "a", "--", "-5"}, payload: `{"job":"a","data":-5}`},
		{args: []string{"push", "a", `"text"`}, payload: `{"job":"a","data":"text"}`},
		{args: []string{"push", "a", "@" + file}, payload: `{"job":"a","data":{"from":"file"}}`},
		{args: []string{"push", "a", "-"}, stdin: "[1]\n", payload: `{"job":"a","data":[1]}`},
		{
			args:    []string{"push", "--tries", "0", "a", "--timeout", "1.5", "{}", "--backoff", "1,5s,1m"},
			payload: `{"job":"a","data":{},"tries":0,"timeout":1.5,"backoff":[1,5,60]}`,
		},
		{args: []string{"--backoff=0", "--timeout=0", "push", "a"}, payload: `{"job":"a","data":{},"timeout":0,"backoff":[0]}`},
		{args: []string{"later", "60", "a", "[]"}, payload: `{"job":"a","data":[]}`},
	} {
		t.Run(strings.Join(test.args[1:], " "), func(t *testing.T) {
			s := migrated(t)
			got := runWith(t.Context(), Options{DSN: s.dsn}, test.stdin, test.args...)
			if got != (result{stdout: "1\n"}) {
				t.Errorf("the result is %+v, want the id and nothing else", got)
			}
			if payload := string(s.jobs()[0].Payload); payload != test.payload {
				t.Errorf("the payload is %s, want %s", payload, test.payload)
			}
		})
	}
}

func TestPushPutsTheJobWhereItWasTold(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.ok("push", "a", "--priority", "-5", "--queue", "mail")
	s.ok("push", "a", "--at", "2999-01-01T06:00:00+02:00")
	s.ok("push", "a", "--at", "2999-01-01 06:00")
	s.ok("push", "a", "--delay", "10m")
	s.ok("later", "1h30m", "a")
	s.ok("later", "--", "-90", "a")
	jobs := s.jobs()
	if jobs[0].Queue != "mail" || jobs[0].Priority != -5 || jobs[1].Queue != "default" || jobs[1].Priority != 0 {
		t.Errorf("the first jobs are %+v", jobs[:2])
	}
	if want := time.Date(2999, 1, 1, 4, 0, 0, 0, time.UTC); !jobs[1].AvailableAt.Equal(want) {
		t.Errorf("available at %v, want %v", jobs[1].AvailableAt, want)
	}
	if want := time.Date(2999, 1, 1, 6, 0, 0, 0, time.Local); !jobs[2].AvailableAt.Equal(want) {
		t.Errorf("available at %v, want %v", jobs[2].AvailableAt, want)
	}
	for i, want := range map[int]time.Duration{3: 10 * time.Minute, 4: 90 * time.Minute, 5: 0} {
		if got := jobs[i].AvailableAt.Sub(jobs[i].CreatedAt).Round(time.Second); got != want {
			t.Errorf("job %d is delayed by %v, want %v", jobs[i].ID, got, want)
		}
	}
}

func TestPushToSeveralQueues(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if got := s.ok("push", "paid", "--queue", "mail, sms", "--queue", "chat,mail"); got != "1\n2\n3\n" {
		t.Errorf("printed %q, want three ids", got)
	}
	var queues []string
	for _, job := range s.jobs() {
		queues = append(queues, job.Queue)
	}
	if want := []string{"mail", "sms", "chat"}; !slices.Equal(queues, want) {
		t.Errorf("the queues are %q, want %q", queues, want)
	}
}

func TestPushMany(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	lines := strings.Fields(s.ok("push", "a", "--count", "2500"))
	if len(lines) != 2500 || lines[0] != "1" || lines[2499] != "2500" {
		t.Errorf("printed %d ids", len(lines))
	}
	if got := len(s.jobs("--limit", "5000")); got != 2500 {
		t.Errorf("%d jobs, want 2500", got)
	}
	if lines := strings.Fields(s.ok("push", "a", "--count", "600", "--queue", "b,c")); len(lines) != 1200 {
		t.Errorf("printed %d ids, want 1200: 600 for each queue", len(lines))
	}
}

func TestPushJSON(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"push", "a", "--json"}, `{"id":1}`},
		{[]string{"push", "a", "--json", "--count", "2"}, `{"ids":[2,3]}`},
		{[]string{"push", "a", "--json", "--count", "1"}, `{"ids":[4]}`},
		{[]string{"push", "a", "--json", "--queue", "x,y"}, `{"ids":[5,6]}`},
		{[]string{"later", "5", "a", "--json"}, `{"id":7}`},
		{[]string{"push", "a", "--json", "--unique", "k"}, `{"id":8}`},
		{[]string{"push", "a", "--json", "--unique", "k"}, `{"id":8,"duplicate":true}`},
	} {
		if got := s.run(test.args...).stdout; got != test.want+"\n" {
			t.Errorf("%q printed %q, want %s", test.args, got, test.want)
		}
	}
}

// The job is there, which is what was asked for: the holder's id is the answer, and the exit code is 0.
func TestPushUnique(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	if got := s.ok("push", "a", "--unique", "order-42"); got != "1\n" {
		t.Errorf("printed %q", got)
	}
	got := s.run("push", "b", "--unique", "order-42", "--queue", "default,other")
	jobs := s.jobs()
	if len(jobs) != 2 || jobs[1].Queue != "other" || jobs[0].UniqueKey != "order-42" {
		t.Fatalf("the jobs are %+v", jobs)
	}
	want := result{
		stdout: fmt.Sprintf("1\n%d\n", jobs[1].ID),
		stderr: "sqlqueue: unique key \"order-42\" of queue \"default\" is held by job 1: nothing pushed there\n",
	}
	if got != want {
		t.Errorf("the result is %+v, want %+v", got, want)
	}
}

func TestPushOfBadInput(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	long := strings.Repeat("q", 192)
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"push"}, "sqlqueue push needs NAME"},
		{[]string{"push", ""}, "the job's name is empty"},
		{[]string{"push", "a", "{}", "more"}, `does not take "more"`},
		{[]string{"push", "a", `{"x":1`}, "the data is not JSON: unexpected end of JSON input, at line 1, character 7"},
		{
			[]string{"push", "a", "{\n  \"ü\": x}"},
			"the data is not JSON: invalid character 'x' looking for beginning of value, at line 2, character 8",
		},
		{[]string{"push", "a", "{} {}"}, "the data is not JSON: invalid character '{' after top-level value, at line 1, character 4"},
		{[]string{"push", "a", "hello"}, "the data is not JSON"},
		{[]string{"push", "a", ""}, "the data is not JSON: it is empty"},
		{[]string{"push", "a", "-"}, "standard input is not JSON: it is empty"},
		{[]string{"push", "a", "\"\xff\""}, "byte 0xff is not UTF-8, at line 1, character 2"},
		{[]string{"push", "a", "--queue", ""}, "--queue: the queue is empty: a queue's name has 1 to 191 characters"},
		{[]string{"push", "a", "--queue", "x,,y"}, "--queue: the queue is empty"},
		{[]string{"push", "a", "--queue", long}, "has 192 characters: a queue's name has 1 to 191 characters"},
		{[]string{"push", "a", "--tries", "-1"}, "--tries: -1 is too small: use 0 or more"},
		{[]string{"push", "a", "--tries", "many"}, `--tries: "many" is not a whole number`},
		{[]string{"push", "a", "--timeout", "-1"}, "--timeout: -1s is negative"},
		{[]string{"push", "a", "--backoff", "1,-5"}, "--backoff: -5s is negative"},
		{[]string{"push", "a", "--backoff", "soon"}, `--backoff: "soon" is not a duration: use seconds, or a number with a unit`},
		{[]string{"push", "a", "--priority", "40000"}, `--priority: "40000" is not a whole number from -32768 to 32767`},
		{[]string{"push", "a", "--count", "0"}, "--count: 0 is too small: use 1 or more"},
		{[]string{"push", "a", "--count", "2", "--unique", "k"}, "--count 2 with --unique makes no sense"},
		{[]string{"push", "a", "--at", "tomorrow"}, `--at: "tomorrow" is not a time`},
		{[]string{"push", "a", "--at", "2999-01-01 06:00", "--delay", "5"}, "give --delay or --at, not both"},
		{[]string{"push", "a", "--qeue", "mail"}, "unknown flag: --qeue: did you mean --queue?"},
		{[]string{"push", "a", "--frobnicate"}, "unknown flag: --frobnicate"},
		{[]string{"push", "a", "-5"}, "put -- before an argument that starts with a minus"},
		{[]string{"later", "soon", "a"}, `DELAY: "soon" is not a duration`},
		{[]string{"later", "5"}, "sqlqueue later needs NAME"},
	} {
		s.fails(2, []string{test.says}, test.args...)
	}
	s.fails(1, []string{"data: open /no/such/file: no such file"}, "push", "a", "@/no/such/file")
	s.fails(1, []string{"the unique key is empty"}, "push", "a", "--unique", "")
	s.fails(1, []string{"must be at most a hundred years"}, "push", "a", "--delay", "1000000h")
	if jobs := s.jobs(); len(jobs) != 0 {
		t.Errorf("bad input has pushed %+v", jobs)
	}
}

// The defaults of the environment hold where no flag is given.
func TestPushAndTheEnvironment(t *testing.T) {
	s := newShell(t)
	t.Setenv("SQLQUEUE_DSN", s.dsn)
	t.Setenv("SQLQUEUE_PREFIX", "my_")
	t.Setenv("SQLQUEUE_QUEUE", "slow")
	run := func(args ...string) result { return runWith(t.Context(), Options{}, "", args...) }
	for _, args := range [][]string{{"migrate", "up"}, {"push", "a"}, {"push", "b", "--queue", "fast"}} {
		if got := run(args...); got.code != 0 {
			t.Fatalf("%q: %+v", args, got)
		}
	}
	var jobs []sqlqueue.Job
	fromJSON(t, run("jobs", "list", "--json").stdout, &jobs)
	if len(jobs) != 2 || jobs[0].Queue != "slow" || jobs[1].Queue != "fast" {
		t.Errorf("the jobs are %+v", jobs)
	}
	if got := run("queues", "--prefix", ""); got.code != 1 || !strings.Contains(got.stderr, "run sqlqueue migrate up") {
		t.Errorf("without the prefix: %+v", got)
	}

	t.Setenv("SQLQUEUE_QUEUE", "a,b")
	if got := run("push", "a"); got.code != 2 || !strings.Contains(got.stderr, "SQLQUEUE_QUEUE") {
		t.Errorf("with two default queues: %+v", got)
	}
}

// What was pushed before an error is told.
func TestPushThatFailsMidway(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec(`CREATE TRIGGER full BEFORE INSERT ON jobs WHEN (SELECT count(*) FROM jobs) >= 1500 BEGIN ` +
		`SELECT RAISE(ABORT, 'the disk is full'); END`)
	got := s.run("push", "a", "--count", "3000")
	if n := len(strings.Fields(got.stdout)); got.code != 1 || n != 1000 || !strings.Contains(got.stderr, "after 1000 jobs") ||
		!strings.Contains(got.stderr, "the disk is full") {
		t.Errorf("exit code %d, %d ids, %s", got.code, n, got.stderr)
	}
}

func TestPushIDsMatchTheTable(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for _, line := range strings.Fields(s.ok("push", "a", "--count", "3")) {
		id, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		var job sqlqueue.Job
		fromJSON(t, s.ok("jobs", "show", fmt.Sprint(id), "--json"), &job)
		if job.ID != id {
			t.Errorf("job %d shows as %d", id, job.ID)
		}
	}
}
