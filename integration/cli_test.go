package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestCommand: the stock binary on every engine, as a shell sees it.
func TestCommand(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		for _, test := range []struct {
			name string
			run  func(*testing.T, *command)
		}{
			{"migrate", testMigrate},
			{"migrate at once", testMigrateAtOnce},
			{"plain INSERT", testPlainInsert},
			{"push", testPush},
			{"outcomes", testOutcomes},
			{"operators", testOperators},
			{"killed worker", testKilledWorker},
			{"signal", testSignal},
			{"restart", testRestart},
			{"bench", testBench},
			{"unreachable server", testUnreachable},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, &command{t: t, binary: binary, server: s, dsn: s.NewDatabase(t)})
			})
		}
	})
}

// buildBinary returns the path of a stock binary, whose name is sqlqueue.
func buildBinary(t *testing.T) string {
	t.Helper()
	return built.Program(t, "sqlqueue", "..", "./cmd/sqlqueue")
}

// command runs the binary on a database of its own.
type command struct {
	t      *testing.T
	binary string
	server *servers.Server
	dsn    string
	schema string // of PostgreSQL; empty: by the search_path
}

func (c *command) cmd(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), c.binary, args...)
	cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+c.dsn, "SQLQUEUE_SCHEMA="+c.schema)
	cmd.WaitDelay = 30 * time.Second // on a busy machine the end of the output comes late
	return cmd
}

// run returns what a command prints, and its exit code.
func (c *command) run(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	var out, errorOut bytes.Buffer
	cmd := c.cmd(args...)
	cmd.Stdout, cmd.Stderr = &out, &errorOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%q: %v", args, err)
	}
	return out.String(), errorOut.String(), cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed, and returns what it prints.
func (c *command) ok(args ...string) string {
	c.t.Helper()
	stdout, stderr, code := c.run(args...)
	if code != 0 {
		c.t.Fatalf("%q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// expect runs a command that must print a text.
func (c *command) expect(want string, args ...string) {
	c.t.Helper()
	if got := c.ok(args...); got != want {
		c.t.Errorf("%q printed %q, want %q", args, got, want)
	}
}

func (c *command) jobs(args ...string) []sqlqueue.Job {
	c.t.Helper()
	var jobs []sqlqueue.Job
	if err := json.Unmarshal([]byte(c.ok(append([]string{"jobs", "list", "--json"}, args...)...)), &jobs); err != nil {
		c.t.Fatal(err)
	}
	return jobs
}

func (c *command) failed() []operator.FailedJob {
	c.t.Helper()
	var jobs []operator.FailedJob
	if err := json.Unmarshal([]byte(c.ok("failed", "--json")), &jobs); err != nil {
		c.t.Fatal(err)
	}
	return jobs
}

// start starts a command that goes on, and returns the file with its standard error too. It is killed when the test ends; what it said
// is shown if the test fails.
func (c *command) start(args ...string) (*exec.Cmd, string) {
	c.t.Helper()
	cmd := c.cmd(args...)
	said, err := os.Create(filepath.Join(c.t.TempDir(), "stderr"))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // unless it has ended
		_ = cmd.Wait()
		_ = said.Close()
		if c.t.Failed() {
			text, _ := os.ReadFile(said.Name())
			c.t.Logf("%q said\n%s", args, text)
		}
	})
	return cmd, said.Name()
}

// content waits until a file has something in it, and returns that.
func content(t *testing.T, name string) string {
	t.Helper()
	return contentWith(t, name, "")
}

// contentWith waits until a file has the text in it, and returns what it has.
func contentWith(t *testing.T, name, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(name); err == nil && len(text) > 0 && strings.Contains(string(text), want) {
			return strings.TrimSpace(string(text))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not appear", filepath.Base(name))
		}
	}
}

// expectMailStats checks the stats of the queue mail after three jobs that have failed, in whatever minutes.
func (c *command) expectMailStats() {
	c.t.Helper()
	got := c.ok("stats", "--json")
	var queues []struct {
		Queue                            string
		Ready, Delayed, Reserved, Failed int
		Minutes                          []struct{ Pushed, Done, Failed int }
	}
	if err := json.Unmarshal([]byte(got), &queues); err != nil {
		c.t.Fatal(err)
	}
	for _, q := range queues {
		if q.Queue != "mail" {
			continue
		}
		pushed, done, failed := 0, 0, 0
		for _, m := range q.Minutes {
			pushed, done, failed = pushed+m.Pushed, done+m.Done, failed+m.Failed
		}
		if q.Ready+q.Delayed+q.Reserved == 0 && q.Failed == 3 && pushed == 3 && done == 0 && failed == 3 {
			return
		}
	}
	c.t.Errorf("the stats are %s", got)
}

func testPush(t *testing.T, c *command) {
	c.ok("migrate", "up")
	c.expect("1\n", "push", "a", `{"text": "ü漢🚀 \" \\ \u0007"}`, "--priority", "-5", "--tries", "3")
	ids := strings.Fields(c.ok("push", "a", "--queue", "mail,sms"))
	if len(ids) != 2 {
		t.Errorf("ids %q, want two", ids)
	}
	held := c.ok("push", "a", "--unique", "k")
	stdout, stderr, code := c.run("push", "a", "--unique", "k")
	if code != 0 || stdout != held || !strings.Contains(stderr, "is held by job "+strings.TrimSpace(held)) {
		t.Errorf("exit code %d, printed %q, %s", code, stdout, stderr)
	}
	if n := len(strings.Fields(c.ok("push", "many", "--count", "2500"))); n != 2500 {
		t.Errorf("%d ids, want 2500", n)
	}
	c.ok("later", "1h", "b")
	if jobs := c.jobs("--name", "many", "--limit", "10000"); len(jobs) != 2500 {
		t.Errorf("%d jobs, want 2500", len(jobs))
	}
	delayed := c.jobs("--state", "delayed")
	if len(delayed) != 1 || delayed[0].AvailableAt.Sub(delayed[0].CreatedAt).Round(time.Minute) != time.Hour {
		t.Errorf("delayed are %+v", delayed)
	}
	var payload struct{ Data struct{ Text string } }
	if err := json.Unmarshal(c.jobs("--limit", "1")[0].Payload, &payload); err != nil || payload.Data.Text != "ü漢🚀 \" \\ \a" {
		t.Errorf("the text comes back as %q, %v", payload.Data.Text, err)
	}
}

func testOperators(t *testing.T, c *command) {
	c.ok("migrate", "up")
	id := strings.TrimSpace(c.ok("push", "a", `{"x":1}`))
	c.expect("changed 1 job\n", "jobs", "edit", id, "--queue", "mail", "--priority", "3", "--name", "b", "--data", "[2]")
	job := c.jobs("--queue", "mail", "--name", "b")[0]
	if payload, err := sqlqueue.ParsePayload(job.Payload); err != nil || string(payload.Data) != "[2]" || job.Priority != 3 {
		t.Errorf("the job is %+v with payload %s, %v", job, job.Payload, err)
	}
	c.expect("paused mail\n", "pause", "--queue", "mail", "--for", "1h")
	if got := c.ok("queues"); !strings.Contains(got, "mail") || !strings.Contains(got, "paused, ends in 1h") {
		t.Errorf("the queues are\n%s", got)
	}
	c.ok("work", "--queue", "mail", "--stop-when-empty", "--exec", "true")
	c.expect("resumed mail\n", "resume", "--queue", "mail")
	if n := len(c.jobs()); n != 1 {
		t.Errorf("%d jobs, want the one of the paused queue", n)
	}
	c.expect("cancelled 1 job\n", "jobs", "cancel", id)
	c.ok("push", "a", "--count", "3")
	c.expect("deleted 3 jobs\n", "clear", "--yes")
	c.ok("push", "a", "--count", "3")
	c.ok("work", "--stop-when-empty", "--exec", "exit 65")
	c.expect("forgot 1 failed job\n", "forget", strconv.FormatInt(c.failed()[0].ID, 10))
	c.expect("forgot 2 failed jobs\n", "flush", "--yes")

	c.ok("push", "a", `{"customer":{"id":42}}`, "--count", "3", "--queue", "mail")
	c.ok("push", "b", `{"customer":{"id":"42"}}`)
	c.ok("push", "b", `{"customer":{"id":7}}`)
	c.expect("would cancel 4 jobs\n", "jobs", "cancel", "--field", "customer.id=42", "--newer-than", "1h", "--dry-run")
	c.expect("cancelled 1 job\n", "jobs", "cancel", "--field", "customer.id=42", "--name", "b", "--yes")
	c.expect("cancelled 0 jobs\n", "jobs", "cancel", "--older-than", "1d", "--yes")
	c.expect("released 0 jobs\n", "jobs", "release", "--queue", "mail")
	c.expect("would delete 4 jobs of all queues for good\n", "clear", "--dry-run")
	c.ok("work", "--queue", "mail,default", "--stop-when-empty", "--exec", "echo cannot connect to 10.0.0.$SQLQUEUE_JOB_ID >&2; exit 65")
	if got := c.ok("failed", "--group", "--json"); strings.Count(got, "\n") != 2 ||
		!strings.Contains(got, `"error":"cannot connect to *","count":3`) {
		t.Errorf("the groups are %s", got)
	}
	c.expectMailStats()
	c.ok("queues", "--exact")
	c.expect("retried 3 jobs\n", "retry", "--all", "--error", "cannot*10.0.0", "--queue", "mail")
	c.expect("forgot 0 failed jobs\n", "forget", "--all", "--older-than", "1d", "--yes")
	c.expect("forgot 1 failed job\n", "forget", "--all", "--name", "b", "--error", "10.0.0", "--yes")
	c.expect("deleted 3 jobs\n", "clear", "--yes")
	c.ok("config", "show")
}

// testBench: the measurement tells what the server is and has set, explains each setting, and leaves nothing.
func testBench(t *testing.T, c *command) {
	c.ok("migrate", "up")
	c.ok("push", "a")
	var got struct {
		Engine   string            `json:"engine"`
		Drain    float64           `json:"drain_per_second"`
		P95      float64           `json:"latency_p95_ms"`
		Settings map[string]string `json:"settings"`
	}
	if err := json.Unmarshal([]byte(c.ok("bench", "--jobs", "50", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Engine != c.server.Engine || !strings.HasPrefix(got.Settings["version"], c.server.Version) || got.Drain <= 0 || got.P95 <= 0 {
		t.Errorf("on %s the result is %+v", c.server, got)
	}
	names := []string{"innodb_flush_log_at_trx_commit", "log_bin", "sync_binlog"}
	if c.server.Engine == "postgres" {
		names = []string{"fsync", "full_page_writes", "synchronous_commit"}
		c.dsn += "&synchronous_commit=off"
	}
	out := c.ok("bench", "--jobs", "1")
	for _, name := range names {
		if got.Settings[name] == "" || !regexp.MustCompile(`(?m)^`+name+` = \w+: \w`).MatchString(out) {
			t.Errorf("%s is %q, and is told as\n%s", name, got.Settings[name], out)
		}
	}
	if c.server.Engine == "postgres" &&
		(got.Settings["synchronous_commit"] != "on" ||
			!strings.Contains(out, "synchronous_commit = off: a commit returns before it is on disk")) {
		t.Errorf("synchronous_commit is %q, and then off is told as\n%s", got.Settings["synchronous_commit"], out)
	}
	if jobs := c.jobs(); len(jobs) != 1 || jobs[0].Queue != "default" {
		t.Errorf("left are %+v", jobs)
	}
}

// testUnreachable: a server that is away, and one that refuses, are told with their address and without the password.
func testUnreachable(t *testing.T, c *command) {
	const secret = "hunter2-s3cr3t"
	address, err := url.Parse(c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(address.Path, "/")

	away := *address
	away.User, away.Host = url.UserPassword("app", secret), closedPort(t)
	wrongPassword := *address
	wrongPassword.User = url.UserPassword(address.User.Username(), secret)
	noDatabase := *address
	noDatabase.Path = "/no_such_database"
	password, _ := address.User.Password()

	for _, test := range []struct {
		dsn  url.URL
		says []string
		args []string
	}{
		{away, []string{away.Host, database, "connection refused"}, []string{"queues"}},
		{away, []string{away.Host, database, "connection refused"}, []string{"migrate", "up"}},
		{wrongPassword, []string{address.Host, database}, []string{"push", "a"}},
		{wrongPassword, []string{address.Host, database}, []string{"work", "--exec", "true"}},
		{noDatabase, []string{address.Host, "no_such_database"}, []string{"migrate", "up"}},
	} {
		c.dsn = test.dsn.String()
		stdout, stderr, code := c.run(test.args...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "sqlqueue: cannot connect to ") {
			t.Errorf("%q: exit code %d, and not one line: %s", test.args, code, stderr)
		}
		for _, text := range test.says {
			if !strings.Contains(stderr, text) {
				t.Errorf("%q does not say %q: %s", test.args, text, stderr)
			}
		}
		if strings.Contains(stdout+stderr, secret) || strings.Contains(stdout+stderr, password) {
			t.Errorf("%q shows the password: %s%s", test.args, stdout, stderr)
		}
	}
}

// closedPort returns a host and port where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return host
}
