package integration

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const pushInPHP = `<?php
foreach (['Queue'] as $class) require "$argv[1]/php/src/$class.php";
$pdo = new PDO($argv[2], $argv[3], $argv[4], [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$queue = new Sqlqueue\Queue($pdo);
$pdo->beginTransaction();
$queue->push('lost');
$pdo->rollBack();
$pdo->beginTransaction();
$ids = [
    $queue->push('send_invoice', ['order_id' => 42], queue: 'orders', priority: -5, settings: ['tries' => 3]),
    $queue->push('later', delay: 600, queue: 'orders'),
    $queue->push('once', unique: 'k', queue: 'orders'),
    $queue->push('once', unique: 'k', queue: 'orders'),
];
$pdo->commit();
echo json_encode(array_map(is_int(...), $ids));
`

const pushInPython = `
import json, sqlite3, sys
sys.path.insert(0, sys.argv[1] + "/python")
import sqlqueue
db = sqlite3.connect(sys.argv[2])
sqlqueue.push(db, "lost")
db.rollback()
ids = [
    sqlqueue.push(db, "send_invoice", {"order_id": 42}, queue="orders", priority=-5, tries=3),
    sqlqueue.push(db, "later", delay=600, queue="orders"),
    sqlqueue.push(db, "once", unique="k", queue="orders"),
    sqlqueue.push(db, "once", unique="k", queue="orders"),
]
db.commit()
print(json.dumps([isinstance(id, int) for id in ids], separators=(",", ":")), end="")
`

// checkClientPushes runs a program that pushes four jobs, of which one is a duplicate, and one more that is rolled back.
func checkClientPushes(t *testing.T, c *command, program string, args ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil || string(output) != "[true,true,true,false]" {
		t.Fatalf("it says %s: %v", output, err)
	}
	jobs := c.jobs()
	slices.SortFunc(jobs, func(a, b sqlqueue.Job) int { return int(a.ID - b.ID) })
	if len(jobs) != 3 {
		t.Fatalf("the jobs are %+v", jobs)
	}
	if got := canonical(t, jobs[0].Payload); got != `{"job":"send_invoice","data":{"order_id":42},"tries":3}` || jobs[0].Queue != "orders" || jobs[0].Priority != -5 {
		t.Errorf("the job is %+v, with the payload %s", jobs[0], got)
	}
	if wait := jobs[1].AvailableAt.Sub(jobs[1].CreatedAt); wait < 9*time.Minute || wait > 11*time.Minute {
		t.Errorf("the delayed job waits for %v", wait)
	}
	if jobs[2].UniqueKey != "k" {
		t.Errorf("the job is %+v", jobs[2])
	}
}

// programFile writes a program.
func programFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func clientsFolder(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../clients")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestA6_ClientsPushInATransaction: a job is there if the transaction is.
func TestA6_ClientsPushInATransaction(t *testing.T) {
	t.Parallel()
	binary, clients := buildBinary(t), clientsFolder(t)
	t.Run("Python", func(t *testing.T) {
		need(t, "python3")
		c := onSQLite(t, binary)
		checkClientPushes(t, c, "python3", "-c", pushInPython, clients, strings.TrimPrefix(c.dsn, "sqlite:"))
	})
	t.Run("PHP", func(t *testing.T) {
		need(t, "php")
		file := programFile(t, "push.php", pushInPHP)
		t.Run("SQLite", func(t *testing.T) {
			c := onSQLite(t, binary)
			checkClientPushes(t, c, "php", file, clients, c.dsn, "", "")
		})
		servers.Each(t, func(t *testing.T, s *servers.Server) {
			c := &command{t: t, binary: binary, server: s, dsn: s.NewDatabase(t)}
			c.ok("migrate", "up")
			at, err := url.Parse(c.dsn)
			if err != nil {
				t.Fatal(err)
			}
			driver := "mysql"
			if at.Scheme == "postgres" {
				driver = "pgsql"
			}
			if output, err := exec.CommandContext(t.Context(), "php", "-r", "echo extension_loaded('pdo_"+driver+"');").Output(); err != nil || len(output) == 0 {
				t.Skipf("PHP has no pdo_%s", driver)
			}
			password, _ := at.User.Password()
			address := driver + ":host=" + at.Hostname() + ";port=" + at.Port() + ";dbname=" + strings.TrimPrefix(at.Path, "/")
			checkClientPushes(t, c, "php", file, clients, address, at.User.Username(), password)
		})
	})
}

// TestE3_ClientsServe: what a handler returns, throws and prints, in each language. One process serves all jobs.
func TestE3_ClientsServe(t *testing.T) {
	t.Parallel()
	binary, clients := buildBinary(t), clientsFolder(t)
	for program, worker := range map[string]struct{ file, text string }{
		"python3": {"worker.py", `
import sys
sys.path.insert(0, "` + clients + `/python")
import sqlqueue

def release(job): raise sqlqueue.Release(100)
def snooze(job): raise sqlqueue.Snooze(200)
def fail(job): raise sqlqueue.Fail("bad data")
def discard(job): raise sqlqueue.Discard()
def error(job): raise ValueError("no such host")
def good(job): print("sent", job.data["order_id"], job.attempts)

print("started", file=sys.stderr)
sqlqueue.serve({f.__name__: f for f in (release, snooze, fail, discard, error, good)})
`},
		"php": {"worker.php", `<?php
foreach (['Job', 'Outcome', 'Worker'] as $class) require "` + clients + `/php/src/$class.php";
use Sqlqueue\{Job, Outcome, Worker};
fwrite(STDERR, "started\n");
(new Worker([
    'release' => fn (Job $job) => throw Outcome::release(100),
    'snooze' => fn (Job $job) => throw Outcome::snooze(200),
    'fail' => fn (Job $job) => throw Outcome::fail('bad data'),
    'discard' => fn (Job $job) => throw Outcome::discard(),
    'error' => fn (Job $job) => throw new ValueError('no such host'),
    'good' => function (Job $job) { echo "sent {$job->data['order_id']} {$job->attempts}\n"; },
]))->run();
`},
		"node": {"worker.mjs", `
import { serve, release, snooze, fail, discard } from "` + clients + `/node/index.mjs";
console.error("started");
await serve({
  release() { throw release(100); },
  async snooze() { throw snooze(200); },
  fail() { throw fail("bad data"); },
  discard() { throw discard(); },
  async error() { throw new TypeError("no such host"); },
  async good(job) { console.log("sent", job.data.order_id, job.attempts); },
});
`},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			need(t, program)
			c := onSQLite(t, binary)
			for _, name := range []string{"release", "snooze", "fail", "discard", "error", "unknown", "good"} {
				tries := "1"
				if name == "release" {
					tries = "2"
				}
				c.ok("push", name, `{"order_id":42}`, "--tries", tries)
			}
			said := c.runIn(".", "work", "--stop-when-empty", "--concurrency", "1", "--reuse", "--exec", program+" "+programFile(t, worker.file, worker.text))
			if !strings.Contains(said, "\njob 7: sent 42 1\n") || strings.Count(said, ": started\n") != 1 {
				t.Errorf("it says %s", said)
			}
			if jobs := c.jobs(); len(jobs) != 2 || jobs[0].Attempts+jobs[1].Attempts != 1 {
				t.Errorf("left are %+v", jobs)
			}
			errors := map[int64]string{}
			for _, failed := range c.failed() {
				errors[failed.JobID] = failed.Error
			}
			if len(errors) != 3 || errors[3] != "bad data" || !strings.Contains(errors[5], "Error: no such host") || !strings.Contains(errors[6], "no handler for") {
				t.Errorf("failed are %v", errors)
			}
		})
	}
}
