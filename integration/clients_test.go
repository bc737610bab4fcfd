package integration

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const pushInPHP = `<?php
foreach (['Queue'] as $class) require "$argv[1]/php/src/$class.php";
$pdo = new PDO($argv[2], $argv[3], $argv[4], [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$queue = new Sqlqueue\Queue($pdo, schema: $argv[5]);
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

// Programs in the other languages have the arguments: clients, driver, host, port, user, password, database, schema.
const pushInPython = `
import importlib, json, sys
sys.path.insert(0, sys.argv[1] + "/python")
import sqlqueue
name, host, port, user, password, database, schema = sys.argv[2:]
driver = importlib.import_module(name)
if name == "sqlite3":
    db = driver.connect(database)
elif name == "MySQLdb":
    from MySQLdb.constants import CLIENT
    db = driver.connect(host=host, port=int(port), user=user, password=password, database=database, client_flag=CLIENT.FOUND_ROWS)
else:
    db = driver.connect(host=host, port=port, user=user, password=password, dbname=database)
sqlqueue.push(db, "lost", schema=schema)
db.rollback()
ids = [
    sqlqueue.push(db, "send_invoice", {"order_id": 42}, queue="orders", priority=-5, tries=3, schema=schema),
    sqlqueue.push(db, "later", delay=600, queue="orders", schema=schema),
    sqlqueue.push(db, "once", unique="k", queue="orders", schema=schema),
    sqlqueue.push(db, "once", unique="k", queue="orders", schema=schema),
]
db.commit()
print(json.dumps([isinstance(id, int) for id in ids], separators=(",", ":")), end="")
`

const pushInRuby = `
clients, driver, host, port, user, password, database, schema = ARGV
require "#{clients}/ruby/lib/sqlqueue"
require driver
db = case driver
     when "pg" then PG.connect(host: host, port: port, user: user, password: password, dbname: database)
     when "mysql2" then Mysql2::Client.new(host: host, port: port.to_i, username: user, password: password, database: database, ` +
	`flags: Mysql2::Client::FOUND_ROWS)
     else SQLite3::Database.new(database)
     end
run = ->(sql) { driver == "sqlite3" ? db.execute(sql) : db.query(sql) }
run.("BEGIN")
Sqlqueue.push(db, "lost", schema: schema)
run.("ROLLBACK")
run.("BEGIN")
ids = [
  Sqlqueue.push(db, "send_invoice", { order_id: 42 }, queue: "orders", priority: -5, tries: 3, schema: schema),
  Sqlqueue.push(db, "later", delay: 600, queue: "orders", schema: schema),
  Sqlqueue.push(db, "once", unique: "k", queue: "orders", schema: schema),
  Sqlqueue.push(db, "once", unique: "k", queue: "orders", schema: schema),
]
run.("COMMIT")
print JSON.generate(ids.map { |id| id.is_a?(Integer) })
`

const pushInNode = `
import { createRequire } from "node:module";
const [clients, driver, host, port, user, password, database, schema] = process.argv.slice(2);
const { push } = await import(clients + "/node/index.mjs");
const require = createRequire(import.meta.url);
const jobs = [
  ["send_invoice", { order_id: 42 }, { queue: "orders", priority: -5, tries: 3, schema }],
  ["later", null, { delay: 600, queue: "orders", schema }],
  ["once", null, { unique: "k", queue: "orders", schema }],
  ["once", null, { unique: "k", queue: "orders", schema }],
];
const ids = [];
if (driver === "node:sqlite") {
  const db = new (require(driver).DatabaseSync)(database);
  db.exec("BEGIN");
  push(db, "lost", null, { schema });
  db.exec("ROLLBACK");
  db.exec("BEGIN");
  for (const job of jobs) ids.push(push(db, ...job));
  db.exec("COMMIT");
} else {
  const address = { host, port: Number(port), user, password, database };
  let db;
  if (driver === "pg") {
    db = new (require("pg").Client)(address);
    await db.connect();
  } else {
    db = driver === "mysql2/promise" ? await require(driver).createConnection(address) : require(driver).createConnection(address);
  }
  const run = (sql) => (db.promise ? db.promise() : db).query(sql);
  await run("BEGIN");
  await push(db, "lost", null, { schema });
  await run("ROLLBACK");
  await run("BEGIN");
  for (const job of jobs) ids.push(await push(db, ...job));
  await run("COMMIT");
  db.end();
}
process.stdout.write(JSON.stringify(ids.map(Number.isInteger)));
`

// clientSchemas are where clients push on each engine, and the channel that they wake workers by: PostgreSQL takes names of 63 bytes.
var clientSchemas = map[string]map[string]string{
	"postgres": {
		"":        "sqlqueue",
		"Clients": "Clients.sqlqueue",
		"Clients_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": "sqlqueue.aff828f23926ff41d780167d60cdfc09",
	},
	"mariadb": {"": ""},
	"mysql":   {"": ""},
}

// pushes checks a language's client with a driver for each engine: "" is SQLite. The program is called as the comment at pushInPython says.
func pushes(t *testing.T, binary string, drivers map[string][]string, program ...string) {
	clients := clientsFolder(t)
	check := func(t *testing.T, c *command, driver string, address ...string) {
		t.Run(driver, func(t *testing.T) {
			args := slices.Concat(program[1:], []string{clients, driver}, address, []string{c.schema})
			checkClientPushes(t, c, program[0], args...)
		})
	}
	for _, driver := range drivers[""] {
		c := onSQLite(t, binary)
		check(t, c, driver, "", "", "", "", strings.TrimPrefix(c.dsn, "sqlite:"))
	}
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		for _, driver := range drivers[map[bool]string{true: "postgres", false: "mysql"}[s.Engine == "postgres"]] {
			dsn := s.NewDatabase(t)
			at, err := url.Parse(dsn)
			if err != nil {
				t.Fatal("the server's address is not one")
			}
			password, _ := at.User.Password()
			for schema := range clientSchemas[s.Engine] {
				c := &command{t: t, binary: binary, server: s, dsn: dsn, schema: schema}
				check(t, c, driver, at.Hostname(), at.Port(), at.User.Username(), password, strings.TrimPrefix(at.Path, "/"))
			}
		}
	})
}

// checkClientPushes runs a program that pushes four jobs, of which one is a duplicate, and one more that is rolled back.
func checkClientPushes(t *testing.T, c *command, program string, args ...string) {
	t.Helper()
	c.ok("migrate", "up")
	woken := func(string) {}
	if c.server != nil && c.server.Engine == "postgres" {
		woken = listen(t, c.dsn, clientSchemas["postgres"][c.schema])
	}
	output, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil || string(output) != "[true,true,true,false]" {
		t.Fatalf("it says %s: %v", output, err)
	}
	woken("orders")
	jobs := c.jobs()
	slices.SortFunc(jobs, func(a, b sqlqueue.Job) int { return int(a.ID - b.ID) })
	if len(jobs) != 3 {
		t.Fatalf("the jobs are %+v", jobs)
	}
	if got := canonical(t, jobs[0].Payload); got != `{"job":"send_invoice","data":{"order_id":42},"tries":3}` ||
		jobs[0].Queue != "orders" || jobs[0].Priority != -5 {
		t.Errorf("the job is %+v, with the payload %s", jobs[0], got)
	}
	if wait := jobs[1].AvailableAt.Sub(jobs[1].CreatedAt); wait < 9*time.Minute || wait > 11*time.Minute {
		t.Errorf("the delayed job waits for %v", wait)
	}
	if jobs[2].UniqueKey != "k" {
		t.Errorf("the job is %+v", jobs[2])
	}
}

// listen listens on a channel, and returns a function that waits until something has been said, which must be the name of a queue.
func listen(t *testing.T, dsn, channel string) (hears func(queue string)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		t.Fatal(err)
	}
	return func(queue string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if said, err := conn.WaitForNotification(ctx); err != nil || said.Payload != queue {
			t.Errorf("on the channel %s came %+v, %v: want %s", channel, said, err, queue)
		}
	}
}

// needPackages installs packages of Debian unless a command that needs them succeeds. Where they cannot be had it skips the test, but not
// in CI.
func needPackages(t *testing.T, command []string, packages ...string) {
	t.Helper()
	missing := func() error { return exec.CommandContext(t.Context(), command[0], command[1:]...).Run() }
	if missing() == nil {
		return
	}
	err := servers.Install(t.Context(), packages)
	if err == nil {
		err = missing()
	}
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%v are needed: %v", packages, err)
	}
	t.Skipf("%v are not installed: %v", packages, err)
}

// nodeModules installs the drivers that clients/node/package.json names, once for each checkout, and returns the folder above them, and a
// node that has node:sqlite: the machine's, or else one from npm. No package is compiled.
func nodeModules(t *testing.T) (folder, node string) {
	t.Helper()
	folder, err := filepath.Abs(".bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text := exact(t, filepath.Join(clientsFolder(t), "node", name))
		old, _ := os.ReadFile(filepath.Join(folder, name))
		if string(old) == text {
			continue
		}
		_ = os.RemoveAll(filepath.Join(folder, "node_modules"))
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	installed := filepath.Join(folder, "node_modules", "installed")
	commands := [][]string{{"ci"}}
	node = "node"
	if exec.CommandContext(t.Context(), node, "-e", "require('node:sqlite')").Run() != nil {
		of := "node-" + runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
		node = filepath.Join(folder, "node_modules", of, "bin", "node")
		commands = append(commands, []string{"install", "--no-save", of + "@24.22.3"})
	}
	if _, err := os.Stat(installed); err == nil {
		return folder, node
	}
	for _, args := range commands {
		npm := exec.CommandContext(t.Context(), "npm", append(args, "--ignore-scripts", "--no-audit", "--no-fund")...)
		npm.Dir = folder
		if output, err := npm.CombinedOutput(); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("npm %q: %v: %s", args, err, output)
			}
			t.Skipf("the drivers for Node cannot be installed: npm %q: %v: %s", args, err, output)
		}
	}
	if err := os.WriteFile(installed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder, node
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
		t.Parallel()
		const python = "/usr/bin/python3" // Debian's, which has Debian's modules
		needPackages(t, []string{python, "-c", "import psycopg2, psycopg, MySQLdb"}, "python3", "python3-psycopg2", "python3-psycopg",
			"python3-mysqldb")
		pushes(t, binary, map[string][]string{"": {"sqlite3"}, "postgres": {"psycopg2", "psycopg"}, "mysql": {"MySQLdb"}}, python,
			"-c", pushInPython)
	})
	t.Run("Ruby", func(t *testing.T) {
		t.Parallel()
		needPackages(t, []string{"ruby", "-e", "require 'pg'; require 'mysql2'; require 'sqlite3'"}, "ruby", "ruby-pg", "ruby-mysql2",
			"ruby-sqlite3")
		pushes(t, binary, map[string][]string{"": {"sqlite3"}, "postgres": {"pg"}, "mysql": {"mysql2"}}, "ruby", "-e", pushInRuby)
	})
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		need(t, "npm")
		folder, node := nodeModules(t)
		file := filepath.Join(folder, "push.mjs")
		if err := os.WriteFile(file, []byte(pushInNode), 0o600); err != nil {
			t.Fatal(err)
		}
		pushes(t, binary, map[string][]string{"": {"node:sqlite"}, "postgres": {"pg"}, "mysql": {"mysql2", "mysql2/promise"}}, node, file)
	})
	t.Run("PHP", func(t *testing.T) {
		need(t, "php")
		file := programFile(t, "push.php", pushInPHP)
		t.Run("SQLite", func(t *testing.T) {
			c := onSQLite(t, binary)
			checkClientPushes(t, c, "php", file, clients, c.dsn, "", "", "")
		})
		servers.Each(t, func(t *testing.T, s *servers.Server) {
			dsn := s.NewDatabase(t)
			at, err := url.Parse(dsn)
			if err != nil {
				t.Fatal(err)
			}
			driver := "mysql"
			if at.Scheme == "postgres" {
				driver = "pgsql"
			}
			if output, err := exec.CommandContext(t.Context(), "php", "-r",
				"echo extension_loaded('pdo_"+driver+"');").Output(); err != nil || len(output) == 0 {
				t.Skipf("PHP has no pdo_%s", driver)
			}
			password, _ := at.User.Password()
			address := driver + ":host=" + at.Hostname() + ";port=" + at.Port() + ";dbname=" + strings.TrimPrefix(at.Path, "/")
			for schema := range clientSchemas[s.Engine] {
				c := &command{t: t, binary: binary, server: s, dsn: dsn, schema: schema}
				checkClientPushes(t, c, "php", file, clients, address, at.User.Username(), password, schema)
			}
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
		"ruby": {"worker.rb", `
require "` + clients + `/ruby/lib/sqlqueue"
warn "started"
Sqlqueue.serve(
  "release" => ->(_) { raise Sqlqueue::Release, 100 },
  "snooze" => ->(_) { raise Sqlqueue::Snooze, 200 },
  "fail" => ->(_) { raise Sqlqueue::Fail, "bad data" },
  "discard" => ->(_) { raise Sqlqueue::Discard },
  "error" => ->(_) { raise ArgumentError, "no such host" },
  "good" => ->(job) { puts "sent #{job.data['order_id']} #{job.attempts}" },
)
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
			said := c.runIn(".", "work", "--stop-when-empty", "--concurrency", "1", "--reuse", "--exec",
				program+" "+programFile(t, worker.file, worker.text))
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
			if len(errors) != 3 || errors[3] != "bad data" || !strings.Contains(errors[5], "Error: no such host") ||
				!strings.Contains(errors[6], "no handler for") {
				t.Errorf("failed are %v", errors)
			}
		})
	}
}
