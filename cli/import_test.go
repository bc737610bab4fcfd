package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Tables as Laravel and think-queue make them on SQLite.
const (
	laravelJobs = `CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, queue varchar NOT NULL, payload text NOT NULL,
		attempts integer NOT NULL, reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL);
		CREATE TABLE failed_jobs (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, uuid varchar NOT NULL, connection text NOT NULL, ` +
		`queue text NOT NULL,
		payload text NOT NULL, exception text NOT NULL, failed_at datetime DEFAULT CURRENT_TIMESTAMP NOT NULL)`
	thinkJobs = `CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT, queue varchar NOT NULL, payload text NOT NULL,
		attempts integer NOT NULL, reserve_time integer, available_time integer NOT NULL, create_time integer NOT NULL)`
	thinkJobsOfOld = `CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT, queue varchar NOT NULL, payload text NOT NULL,
		attempts integer NOT NULL, reserved integer NOT NULL, reserved_at integer, available_at integer NOT NULL, ` +
		`created_at integer NOT NULL)`
	laravelPayload = `{"uuid":"5e1","displayName":"App\\Jobs\\SendInvoice","job":"Illuminate\\Queue\\CallQueuedHandler@call",` +
		`"maxTries":3,"maxExceptions":2,"failOnTimeout":false,"backoff":"1,5","timeout":60,"retryUntil":4102444800,` +
		`"data":{"commandName":"App\\Jobs\\SendInvoice","command":"O:20:\"App\\Jobs\\SendInvoice\":1:{s:7:\"\u0000*\u0000id\";i:42;}"}}`
)

// beside returns a shell whose database has another queue's tables, and sqlqueue's under the prefix sq_.
func beside(t *testing.T, tables string) *shell {
	t.Helper()
	s := newShell(t)
	s.exec(tables)
	s.fails(1, []string{"the table jobs exists already", "sqlqueue import"}, "migrate", "up")
	s.ok("migrate", "up", "--prefix", "sq_")
	return s
}

func (s *shell) imported(args ...string) string {
	s.t.Helper()
	return s.ok(append([]string{"import", "--prefix", "sq_"}, args...)...)
}

func TestImportLaravel(t *testing.T) {
	t.Parallel()
	s := beside(t, laravelJobs)
	later := time.Now().Add(time.Hour).Unix()
	s.exec("INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('default', ?, 1, 1700000000, 1700000000), "+
		"('mail', ?, 0, ?, 1700000000)",
		laravelPayload, `{"displayName":"resize","job":"resize@handle","data":[1]}`, later)
	s.exec("INSERT INTO jobs (queue, payload, attempts, reserved_at, available_at, created_at) VALUES ('default', ?, 1, 1700000000, 1, 1)",
		laravelPayload)
	s.exec("INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('default', 'a:1:{}', 0, 1, 1)")
	s.exec("INSERT INTO failed_jobs (uuid, connection, queue, payload, exception, failed_at) "+
		"VALUES ('u', 'database', 'mail', ?, ?, '2026-01-02 03:04:05')",
		laravelPayload, "RuntimeException: no route in /srv/app.php:7\nStack trace:\n#0 {main}")

	want := "would import 3 jobs and 1 failed job\n1  billing  send_invoice\n1  mail     resize@handle\n" +
		"1 job that a worker has: not imported\n" +
		"job 4 cannot be converted: its payload is not in the format of that queue: "
	args := []string{"laravel", "--queue", "default=billing", "--rename", `App\Jobs\SendInvoice=send_invoice`, "--failed"}
	if got := s.imported(append(args, "--dry-run")...); !strings.HasPrefix(got, want) {
		t.Errorf("the dry run prints %q, want %q", got, want)
	}
	if n := s.number("SELECT count(*) FROM sq_jobs"); n != 0 {
		t.Errorf("the dry run has moved %d jobs", n)
	}
	s.fails(2, []string{"give --yes, or --dry-run"}, "import", "laravel", "--prefix", "sq_")

	got := s.run(append([]string{"import", "--prefix", "sq_", "--yes"}, args...)...)
	if got.code != 1 || got.stdout != "imported 3 jobs\n" ||
		!strings.Contains(got.stderr, "1 job cannot be converted and stay where they are: 4: ") {
		t.Errorf("the result is %+v", got)
	}
	if n := s.number("SELECT count(*) FROM jobs") + s.number("SELECT count(*) FROM failed_jobs"); n != 2 {
		t.Errorf("%d rows are left, want the job that runs and the one that cannot be converted", n)
	}
	for query, want := range map[string]int{
		`SELECT count(*) FROM sq_jobs WHERE queue = 'billing' AND attempts = 1 ` +
			`AND available_at = 1700000000000000`: 1,
		`SELECT count(*) FROM sq_jobs WHERE json_extract(payload, '$.job') = 'send_invoice' ` +
			`AND json_extract(payload, '$.tries') = 3`: 1,
		`SELECT count(*) FROM sq_jobs WHERE json_extract(payload, '$.timeout') = 60 ` +
			`AND json_extract(payload, '$.backoff') = '[1,5]'`: 1,
		`SELECT count(*) FROM sq_jobs WHERE json_extract(payload, '$.max_exceptions') = 2 ` +
			`AND json_extract(payload, '$.retry_until') LIKE '2100-01-01%'`: 1,
		`SELECT count(*) FROM sq_jobs ` +
			`WHERE json_extract(payload, '$.data.command') LIKE 'O:20:"App\Jobs\SendInvoice"%'`: 1,
		fmt.Sprintf(`SELECT count(*) FROM sq_jobs WHERE queue = 'mail' AND json_extract(payload, '$.job') = 'resize@handle' `+
			`AND available_at = %d000000`, later): 1,
		`SELECT count(*) FROM sq_failed_jobs WHERE queue = 'mail' AND error LIKE 'RuntimeException: no route%' ` +
			`AND stack LIKE 'Stack trace:%' AND failed_at = 1767323045 * 1000000`: 1,
	} {
		if n := s.number(query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
	if got := s.run(append([]string{"import", "--prefix", "sq_", "--yes"}, args...)...); got.code != 1 ||
		got.stdout != "imported 0 jobs\n" {
		t.Errorf("again: %+v", got)
	}
}

func TestImportSolidQueue(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.ok("migrate", "up")
	s.exec("CREATE TABLE solid_queue_jobs (id integer PRIMARY KEY, class_name varchar, arguments text)")
	for kind, more := range map[string]string{"scheduled": ", scheduled_at datetime(6)", "blocked": "", "ready": ""} {
		s.exec("CREATE TABLE solid_queue_" + kind + "_executions (job_id bigint, queue_name varchar, priority integer" + more + ")")
	}
	s.exec("INSERT INTO solid_queue_jobs VALUES (1, 'Mail', ?), (2, 'Mail', ?), (3, 'Mail', NULL)",
		`{"job_class":"Mail","arguments":[1],"executions":0}`, `{"job_class":"Mail","arguments":[2],"executions":1}`)
	s.exec("INSERT INTO solid_queue_ready_executions VALUES (1, 'mail', 0), (3, 'mail', 0)")
	s.exec("INSERT INTO solid_queue_scheduled_executions VALUES (2, 'mail', 5, '2023-11-14 22:13:20.500000')")
	want := "would import 3 jobs\n2  mail  Mail\njob 3 cannot be converted: its arguments are not those of an Active Job\n"
	if got := s.ok("import", "solid-queue", "--dry-run"); got != want {
		t.Errorf("the dry run prints %q, want %q", got, want)
	}
	if got := s.run("import", "solid-queue", "--yes"); got.code != 1 || got.stdout != "imported 2 jobs\n" {
		t.Errorf("the result is %+v", got)
	}
	for query, want := range map[string]int{
		"SELECT count(*) FROM jobs WHERE queue = 'mail' AND payload = '{\"job\":\"Mail\",\"data\":[1]}'": 1,
		"SELECT count(*) FROM jobs WHERE payload LIKE '%[2]%' AND priority = 5 AND attempts = 1 " +
			"AND abs(available_at - 1700000000500000) < 1000": 1, // SQLite's julianday knows milliseconds
		"SELECT count(*) FROM solid_queue_jobs":                 1,
		"SELECT count(*) FROM solid_queue_ready_executions":     1,
		"SELECT count(*) FROM solid_queue_scheduled_executions": 0,
	} {
		if n := s.number(query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

func TestImportThinkQueue(t *testing.T) {
	t.Parallel()
	const plain, object = `{"job":"app\\job\\Mail@send","maxTries":null,"timeout":null,"data":{"to":"anna"}}`,
		`{"job":"think\\queue\\CallQueuedHandler@call","maxTries":5,"timeout":30,"timeoutAt":null,` +
			`"data":{"commandName":"app\\job\\Pay","command":"O:1"}}`
	for name, tables := range map[string]string{"3": thinkJobs, "2": thinkJobsOfOld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := beside(t, tables)
			insert, running := "INSERT INTO jobs (queue, payload, attempts, available_time, create_time) VALUES ('default', ?, ?, 1, 1)",
				"UPDATE jobs SET reserve_time = 1 WHERE id = 3"
			if name == "2" {
				insert, running = "INSERT INTO jobs (queue, payload, attempts, reserved, available_at, created_at) "+
					"VALUES ('default', ?, ?, 0, 1, 1)",
					"UPDATE jobs SET reserved = 1, reserved_at = 1 WHERE id = 3"
			}
			s.exec(insert, plain, 2)
			s.exec(insert, object, 0)
			s.exec(insert, plain, 1)
			s.exec(running)
			if got := s.imported("think-queue", "--yes"); got != "imported 2 jobs\n" {
				t.Errorf("printed %q", got)
			}
			jobs := s.jobs("--prefix", "sq_")
			if len(jobs) != 2 || string(jobs[0].Payload) != `{"job":"app\\job\\Mail@send","data":{"to":"anna"}}` || jobs[0].Attempts != 2 ||
				!strings.HasPrefix(string(jobs[1].Payload), `{"job":"app\\job\\Pay","data":{"commandName":`) ||
				!strings.Contains(string(jobs[1].Payload), `"tries":5,"timeout":30`) {
				t.Errorf("the jobs are %+v", jobs)
			}
			if n := s.number("SELECT count(*) FROM jobs"); n != 1 {
				t.Errorf("%d rows are left, want the one that runs", n)
			}
		})
	}
}

func TestImportOban(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.exec(`CREATE TABLE oban_jobs (id INTEGER PRIMARY KEY, state TEXT NOT NULL DEFAULT 'available', ` +
		`queue TEXT NOT NULL DEFAULT 'default', worker TEXT NOT NULL,
		args JSON NOT NULL DEFAULT '{}', meta JSON NOT NULL DEFAULT '{}', tags JSON NOT NULL DEFAULT '[]', ` +
		`errors JSON NOT NULL DEFAULT '[]',
		attempt INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 20, priority INTEGER NOT NULL DEFAULT 0,
		inserted_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, scheduled_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)`)
	s.ok("migrate", "up")
	s.exec(`INSERT INTO oban_jobs (state, worker, args, attempt, priority, scheduled_at) ` +
		`VALUES ('retryable', 'Shop.Send', '{"id":42}', 3, 2, '2040-01-02T03:04:05.500000Z')`)
	for _, state := range []string{"suspended", "executing", "completed", "cancelled", "discarded"} {
		s.exec(`INSERT INTO oban_jobs (state, worker) VALUES (?, 'Shop.Send')`, state)
	}
	if got, want := s.ok("import", "oban", "--dry-run"),
		"would import 1 job\n1  default  Shop.Send\n1 job that a worker has: not imported\n"; got != want {
		t.Errorf("the dry run prints %q, want %q", got, want)
	}
	s.ok("import", "oban", "--yes", "--rename", "Shop.Send=send", "--queue", "default=mail")
	jobs := s.jobs()
	if len(jobs) != 1 || string(jobs[0].Payload) != `{"job":"send","data":{"id":42},"tries":20}` || jobs[0].Queue != "mail" ||
		jobs[0].Attempts != 3 || jobs[0].Priority != 2 ||
		jobs[0].AvailableAt.Sub(time.Date(2040, 1, 2, 3, 4, 5, 500_000_000, time.UTC)).Abs() > time.Millisecond {
		t.Errorf("the jobs are %+v", jobs)
	}
	if n := s.number("SELECT count(*) FROM oban_jobs"); n != 5 {
		t.Errorf("%d rows are left, want those that do not wait", n)
	}
}

// An import that fails in the middle has moved whole batches, and goes on when it is run again: no job is lost, and none is there twice.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	s := beside(t, laravelJobs)
	const jobs = 2500
	s.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO jobs (queue, payload, attempts, available_at, created_at) SELECT 'q', '{"job":"a","data":' || i || '}', 0, 1, 1 FROM n`,
		jobs))
	s.exec(`CREATE TRIGGER full BEFORE INSERT ON sq_jobs WHEN json_extract(new.payload, '$.data') = 1500 BEGIN ` +
		`SELECT RAISE(ABORT, 'the disk is full'); END`)
	check := func(want int) {
		t.Helper()
		moved, left := s.number("SELECT count(DISTINCT json_extract(payload, '$.data')) FROM sq_jobs"),
			s.number("SELECT count(*) FROM jobs")
		if moved != want || left != jobs-want || s.number("SELECT count(*) FROM sq_jobs") != moved {
			t.Errorf("%d are moved and %d left, want %d moved", moved, left, want)
		}
	}
	if got := s.run("import", "laravel", "--prefix", "sq_", "--yes"); got.code != 1 || got.stdout != "imported 1000 jobs\n" ||
		!strings.Contains(got.stderr, "the disk is full") {
		t.Errorf("the result is %+v", got)
	}
	check(1000)
	s.exec("DROP TRIGGER full")
	if got := s.imported("laravel", "--yes"); got != "imported 1500 jobs\n" {
		t.Errorf("printed %q", got)
	}
	check(jobs)
}

// With --follow, what producers push later is imported too, until a signal or the end of the context.
func TestImportFollows(t *testing.T) {
	t.Parallel()
	s := beside(t, laravelJobs)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan result, 1)
	go func() {
		done <- runWith(ctx, Options{DSN: s.dsn}, "", "import", "laravel", "--prefix", "sq_", "--follow", "--yes")
	}()
	for i := range 2 {
		s.exec("INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('q', ?, 0, 1, 1)", laravelPayload)
		waitFor(t, func() error {
			if n := s.number("SELECT count(*) FROM sq_jobs"); n != i+1 {
				return fmt.Errorf("%d jobs are imported, want %d", n, i+1)
			}
			return nil
		})
	}
	cancel()
	if got := <-done; got.code != 0 || got.stdout != "imported 2 jobs\n" {
		t.Errorf("the result is %+v", got)
	}
}

func TestImportMistakes(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.exec("CREATE TABLE strange (id integer, queue text)")
	for args, says := range map[string]string{
		"import laravel --yes":               `the table "jobs" is sqlqueue's own`,
		"import beanstalk --yes":             `unknown source "beanstalk": use graphile-worker, gue, laravel, oban, pg-boss, river, `,
		"import gue --yes":                   "gue does not keep jobs in sqlite",
		"import river --yes":                 "river does not keep jobs in sqlite",
		"import laravel --table a;b --yes":   "is not the name of a table",
		"import":                             "sqlqueue import needs SOURCE",
		"import laravel --queue a=b,c --yes": "--queue: ",
	} {
		s.fails(2, []string{says}, strings.Fields(args)...)
	}
	s.fails(1, []string{"it has no column payload"}, "import", "laravel", "--table", "strange", "--yes")
	s.fails(1, []string{`the table "nothing" cannot be read`}, "import", "laravel", "--table", "nothing", "--yes")
}
