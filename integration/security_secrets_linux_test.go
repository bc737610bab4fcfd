package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// TestNoSecretIsShown: nothing that a command prints, logs or keeps has the password of the address, or what is secret in a subscription's
// URL; nor has the command line of any process that it starts.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		c := &command{t: t, binary: binary, server: s, dsn: s.NewDatabase(t)}
		t.Run("commands", func(t *testing.T) { testCommandsShowNoSecret(t, c) })
		t.Run("connections that fail", func(t *testing.T) { testFailuresShowNoSecret(t, c) })
		t.Run("processes", func(t *testing.T) { testProcessesShowNoSecret(t, c) })
		t.Run("a handler that panics", func(t *testing.T) { testPanicShowsNoSecret(t, s) })
	})
}

const urlSecret = "s3cr3t-in-the-url"

// quiet runs a command and checks that no secret is in what it prints.
func (c *command) quiet(t *testing.T, args ...string) (text string, code int) {
	t.Helper()
	stdout, stderr, code := c.run(args...)
	noSecret(t, c.dsn, stdout+stderr, args)
	return stdout + stderr, code
}

func noSecret(t *testing.T, dsn, text string, what any) {
	t.Helper()
	own, _ := mustURL(t, dsn).User.Password()
	for _, secret := range []string{own, url.QueryEscape(own), urlSecret} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows a secret:\n%s", what, text)
		}
	}
}

func testCommandsShowNoSecret(t *testing.T, c *command) {
	for _, args := range [][]string{
		{"queues"},
		{"push", "a"},
		{"migrate", "up"},
		{"migrate", "status"},
		{"migrate", "validate"},
		{"config", "show"},
		{"config", "show", "--json"},
		{"config", "show", "--dsn", c.dsn},
		{"push", "a", "--tries", "1"},
		{"push", "a", "--queue", "mail", "--tries", "1"},
		{"later", "1h", "b"},
		{"jobs", "list", "--json"},
		{"work", "--once", "--log-format", "json", "--exec", "exit 1"},
		{"listen", "--once", "--exec", "env -u SQLQUEUE_DSN env >&2; exit 1"},
		{"subscribe", "s", "http://user:" + urlSecret + "@127.0.0.1:1/jobs?token=" + urlSecret, "mail"},
		{"work", "--once", "--log-format", "json"},
		{"workers"},
		{"stats"},
		{"failed", "--json"},
		{"monitor", "a", "--max", "1"},
		{"retry", "--all"},
		{"pause"},
		{"resume"},
		{"down"},
		{"up"},
		{"unsubscribe", "s"},
		{"clear", "--yes"},
		{"flush", "--yes"},
		{"no-such-command"},
		{"push"},
		{"work", "--no-such-flag", "--exec", "true"},
		{"help"},
		{"version"},
		{"migrate", "down", "--yes"},
		{"migrate", "down", "--yes"},
	} {
		text, code := c.quiet(t, args...)
		if strings.Contains(text, "goroutine ") {
			t.Errorf("%q panics: exit code %d: %s", args, code, text)
		}
	}
}

func testFailuresShowNoSecret(t *testing.T, c *command) {
	right := *c
	wrong := mustURL(t, c.dsn)
	wrong.User = url.UserPassword(wrong.User.Username(), "wr0ng/p@ss:w%rd")
	away := *wrong
	away.Host = closedPort(t)
	nowhere := *wrong
	nowhere.Path = "/no_such_database"
	unknown := *wrong
	unknown.Host = "host.invalid"
	malformed := strings.Replace(wrong.String(), "//", "/", 1)
	for _, dsn := range []string{wrong.String(), away.String(), nowhere.String(), unknown.String()} {
		right.dsn = dsn
		for _, args := range [][]string{
			{"queues"},
			{"migrate", "up"},
			{"push", "a"},
			{"work", "--once", "--log-format", "json", "--exec", "true", "--max-time", "1"},
			{"config", "show"},
		} {
			if args[0] == "work" && (dsn == away.String() || dsn == unknown.String()) {
				w, said := right.start(args...) // waits for it
				contentWith(t, said, "trying again")
				_ = w.Process.Signal(syscall.SIGTERM)
				_ = w.Wait() // how it ends is another test's affair
				noSecret(t, dsn, content(t, said), args)
				continue
			}
			if _, code := right.quiet(t, args...); code == 0 && args[0] != "config" {
				t.Errorf("%q succeeds", args)
			}
		}
	}
	right.dsn = malformed
	if out, stderr, code := right.run("queues"); code == 0 || strings.Contains(out+stderr, "wr0ng") {
		t.Errorf("a malformed address: exit code %d: %s%s", code, out, stderr)
	}
}

// testProcessesShowNoSecret: what every user of the host can see of a process is its command line.
func testProcessesShowNoSecret(t *testing.T, c *command) {
	c.ok("migrate", "up")
	dir := t.TempDir()
	file := filepath.Join(dir, "sqlqueue.yaml")
	if err := os.WriteFile(file, []byte("dsn: "+strconv.Quote(c.dsn)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{
		"work": {"work"}, "listen": {"listen"}, "fleet": {"work", "--processes", "1"}, "file": {"work", "--config", file},
	} {
		t.Run(name, func(t *testing.T) {
			c.ok("push", "a")
			command := &command{t: t, binary: c.binary, server: c.server, dsn: c.dsn}
			running, end := filepath.Join(dir, name+".running"), filepath.Join(dir, name+".end")
			if name == "file" {
				command.dsn = ""
			}
			w, said := command.start(append(flags, "--exec", "echo $$ >"+running+"; until test -e "+end+"; do sleep 0.05; done")...)
			content(t, running)
			lines := commandLines(t, w.Process.Pid)
			if len(lines) < 2 {
				t.Errorf("only the processes %q were seen", lines)
			}
			noSecret(t, c.dsn, strings.Join(lines, "\n"), "the command lines")
			if err := os.WriteFile(end, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			contentWith(t, said, "processed")
			if err := w.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := w.Wait(); err != nil {
				t.Error(err)
			}
			noSecret(t, c.dsn, content(t, said), flags)
		})
	}
}

// commandLines are those of a process and all that descends from it.
func commandLines(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil // it has ended
	}
	lines := []string{strings.ReplaceAll(string(text), "\x00", " ")}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		children, _ := os.ReadFile(task) // the thread may have ended
		for child := range strings.FieldsSeq(string(children)) {
			id, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, commandLines(t, id)...)
		}
	}
	return lines
}

func testPanicShowsNoSecret(t *testing.T, s *servers.Server) {
	tables := newTables(t, s, "")
	q := tables.open(t)
	if _, err := q.Push(t.Context(), sqlqueue.Named("a", nil), sqlqueue.Tries(1)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	mux := worker.NewMux()
	mux.HandleFunc("a", func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
		panic(errors.Join(errors.New("no good"), ctx.Err()))
	})
	w := worker.New(q, mux, worker.Config{StopWhenEmpty: true, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	failed, err := operator.New(q).FailedJobs(t.Context(), operator.FailedFilter{})
	if err != nil || len(failed) != 1 || !strings.Contains(failed[0].Error, "no good") || failed[0].Stack == "" {
		t.Fatalf("failed are %+v, %v", failed, err)
	}
	noSecret(t, tables.dsn, log.String()+failed[0].Error+failed[0].Stack, "the log and the failed job")
}
