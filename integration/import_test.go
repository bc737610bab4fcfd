package integration

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// Tables as the other queues make them, by engine.
var otherQueues = map[string]map[string][]string{
	"laravel": {
		"postgres": {
			`CREATE TABLE jobs (id bigserial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL, attempts smallint NOT NULL,
				reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL)`,
			`CREATE TABLE failed_jobs (id bigserial PRIMARY KEY, uuid varchar(255) NOT NULL, connection text NOT NULL, ` +
				`queue text NOT NULL, payload text NOT NULL,
				exception text NOT NULL, failed_at timestamp(0) NOT NULL DEFAULT CURRENT_TIMESTAMP)`,
		},
		"mysql": {
			"CREATE TABLE jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, queue varchar(255) NOT NULL, " +
				"payload longtext NOT NULL," +
				" attempts tinyint unsigned NOT NULL, reserved_at int unsigned, available_at int unsigned NOT NULL, " +
				"created_at int unsigned NOT NULL, KEY (queue)) ENGINE=InnoDB",
			"CREATE TABLE failed_jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, uuid varchar(255) NOT NULL, " +
				"connection text NOT NULL, queue text NOT NULL," +
				" payload longtext NOT NULL, exception longtext NOT NULL, failed_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)",
		},
	},
	"think-queue": {
		"postgres": {
			`CREATE TABLE jobs (id serial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL, attempts smallint NOT NULL,
				reserve_time integer, available_time integer NOT NULL, create_time integer NOT NULL)`,
		},
		"mysql": {
			"CREATE TABLE jobs (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, queue varchar(255) NOT NULL, payload longtext NOT NULL," +
				" attempts tinyint(3) unsigned NOT NULL, reserved tinyint(3) unsigned NOT NULL DEFAULT 0, " +
				"reserved_at int(10) unsigned DEFAULT NULL," +
				" available_at int(10) unsigned NOT NULL, created_at int(10) unsigned NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8",
		},
	},
	"river": {
		"postgres": {
			`CREATE TYPE river_job_state AS ENUM ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', ` +
				`'running', 'scheduled')`,
			`CREATE TABLE river_job (id bigserial PRIMARY KEY, state river_job_state NOT NULL DEFAULT 'available', ` +
				`attempt smallint NOT NULL DEFAULT 0,
				max_attempts smallint NOT NULL, attempted_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), ` +
				`finalized_at timestamptz,
				scheduled_at timestamptz NOT NULL DEFAULT now(), priority smallint NOT NULL DEFAULT 1, args jsonb NOT NULL, ` +
				`attempted_by text[], errors jsonb[],
				kind text NOT NULL, metadata jsonb NOT NULL DEFAULT '{}', queue text NOT NULL DEFAULT 'default', ` +
				`tags varchar(255)[] NOT NULL DEFAULT '{}')`,
		},
	},
	"gue": {
		"postgres": {
			`CREATE TABLE gue_jobs (job_id text NOT NULL PRIMARY KEY, priority smallint NOT NULL, run_at timestamptz NOT NULL, ` +
				`job_type text NOT NULL,
				args bytea NOT NULL, error_count integer NOT NULL DEFAULT 0, last_error text, queue text NOT NULL,
				created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`,
		},
		"mysql": {
			"CREATE TABLE gue_jobs (job_id varchar(27) NOT NULL PRIMARY KEY, priority smallint NOT NULL, run_at datetime NOT NULL, " +
				"job_type varchar(128) NOT NULL," +
				" args blob NOT NULL, error_count integer NOT NULL DEFAULT 0, last_error text, queue varchar(128) NOT NULL," +
				" created_at datetime NOT NULL DEFAULT now(), updated_at datetime NOT NULL DEFAULT now())",
		},
	},
	"gue with numbers": {
		"postgres": {
			`CREATE TABLE gue_jobs (job_id bigserial NOT NULL PRIMARY KEY, priority smallint NOT NULL, run_at timestamptz NOT NULL, ` +
				`job_type text NOT NULL,
				args json NOT NULL, error_count integer NOT NULL DEFAULT 0, last_error text, queue text NOT NULL,
				created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`,
		},
	},
	"oban": {
		"postgres": {
			`CREATE TYPE oban_job_state AS ENUM ('available', 'suspended', 'scheduled', 'executing', 'retryable', 'completed', ` +
				`'discarded', 'cancelled')`,
			`CREATE TABLE oban_jobs (id bigserial PRIMARY KEY, state oban_job_state NOT NULL DEFAULT 'available', ` +
				`queue text NOT NULL DEFAULT 'default',
				worker text NOT NULL, args jsonb NOT NULL DEFAULT '{}', errors jsonb[] NOT NULL DEFAULT '{}', ` +
				`attempt integer NOT NULL DEFAULT 0,
				max_attempts integer NOT NULL DEFAULT 20, inserted_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
				scheduled_at timestamp NOT NULL DEFAULT timezone('UTC', now()), attempted_at timestamp, ` +
				`completed_at timestamp, discarded_at timestamp,
				cancelled_at timestamp, attempted_by text[], priority integer NOT NULL DEFAULT 0, tags text[] DEFAULT '{}', ` +
				`meta jsonb DEFAULT '{}')`,
		},
		"mysql": {
			"CREATE TABLE oban_jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, state ENUM('available', 'scheduled', " +
				"'executing', 'retryable'," +
				" 'completed', 'cancelled', 'discarded') NOT NULL DEFAULT 'available', queue varchar(255) NOT NULL DEFAULT 'default', " +
				"worker varchar(255) NOT NULL," +
				" args json NOT NULL, meta json, tags json, attempted_by json, errors json, attempt int NOT NULL DEFAULT 0, " +
				"max_attempts int NOT NULL DEFAULT 20," +
				" priority int NOT NULL DEFAULT 0, inserted_at datetime(6) NOT NULL DEFAULT now(6), scheduled_at datetime(6) NOT NULL, " +
				"attempted_at datetime(6)," +
				" cancelled_at datetime(6), completed_at datetime(6), discarded_at datetime(6))",
		},
	},
	"graphile-worker": {
		"postgres": {
			"CREATE SCHEMA graphile_worker",
			`CREATE TABLE graphile_worker._private_tasks (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
				identifier text NOT NULL UNIQUE)`,
			`CREATE TABLE graphile_worker._private_job_queues (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
				queue_name text NOT NULL UNIQUE, locked_at timestamptz, locked_by text)`,
			`CREATE TABLE graphile_worker._private_jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
				job_queue_id int, task_id int NOT NULL, payload json NOT NULL DEFAULT '{}',
				priority smallint NOT NULL DEFAULT 0, run_at timestamptz NOT NULL DEFAULT now(),
				attempts smallint NOT NULL DEFAULT 0, max_attempts smallint NOT NULL DEFAULT 25, last_error text,
				created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), key text UNIQUE,
				locked_at timestamptz, locked_by text, revision int NOT NULL DEFAULT 0, flags jsonb)`,
			"INSERT INTO graphile_worker._private_tasks (identifier) VALUES ('other'), ('a')",
			"INSERT INTO graphile_worker._private_job_queues (queue_name) VALUES ('other'), ('mail')",
			"INSERT INTO graphile_worker._private_jobs (task_id, attempts, max_attempts) VALUES (2, 25, 25)", // failed for good
		},
	},
	"pg-boss": {"postgres": slices.Concat(bossTables, []string{
		"ALTER TABLE pgboss.job ADD blocked boolean NOT NULL DEFAULT false",
		"INSERT INTO pgboss.job (name, blocked) VALUES ('a', true)",
	})},
	"pg-boss before 12": {"postgres": bossTables},
}

var bossTables = []string{
	"CREATE SCHEMA pgboss",
	"CREATE TYPE pgboss.job_state AS ENUM ('created', 'retry', 'active', 'completed', 'cancelled', 'failed')",
	`CREATE TABLE pgboss.job (id uuid NOT NULL DEFAULT gen_random_uuid(), name text NOT NULL,
		priority integer NOT NULL DEFAULT 0, data jsonb, state pgboss.job_state NOT NULL DEFAULT 'created',
		retry_limit integer NOT NULL DEFAULT 2, retry_count integer NOT NULL DEFAULT 0,
		start_after timestamptz NOT NULL DEFAULT now(), created_on timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (name, id)) PARTITION BY LIST (name)`,
	"CREATE TABLE pgboss.job_common PARTITION OF pgboss.job DEFAULT",
	"INSERT INTO pgboss.job (name, state) VALUES ('a', 'completed')",
}

// otherJobs inserts the i-th job, the last of which a worker of the other queue has.
var otherJobs = map[string]string{
	"laravel": `INSERT INTO jobs (queue, payload, attempts, reserved_at, available_at, created_at) ` +
		`VALUES ('mail', '{"displayName":"a","job":"a","data":%[1]d}', 1, %[2]s, 1700000000, 1)`,
	"think-queue": `INSERT INTO jobs (queue, payload, attempts, reserve_time, available_time, create_time) ` +
		`VALUES ('mail', '{"job":"a","data":%[1]d}', 1, %[2]s, 1700000000, 1)`,
	"river": `INSERT INTO river_job (kind, args, attempt, max_attempts, queue, scheduled_at, priority, state) ` +
		`VALUES ('a', '%[1]d', 1, 7, 'mail', to_timestamp(1700000000), 2, %[3]s)`,
	"gue": `INSERT INTO gue_jobs (job_id, priority, run_at, job_type, args, error_count, queue) ` +
		`VALUES ('01HF%[1]d', 1, '2023-11-14 22:13:20+00:00', 'a', '%[1]d', 1, 'mail')`,
	"gue with numbers": `INSERT INTO gue_jobs (priority, run_at, job_type, args, error_count, queue) ` +
		`VALUES (1, to_timestamp(1700000000), 'a', '%[1]d', 1, 'mail')`,
	"graphile-worker": `INSERT INTO graphile_worker._private_jobs
		(task_id, job_queue_id, payload, attempts, max_attempts, run_at, priority, locked_at)
		VALUES (2, 2, '%[1]d', 1, 7, to_timestamp(1700000000), 1, to_timestamp(%[2]s))`,
	"pg-boss": bossJob, "pg-boss before 12": bossJob,
	"oban": `INSERT INTO oban_jobs (worker, args, attempt, max_attempts, queue, scheduled_at, priority, state) ` +
		`VALUES ('a', '%[1]d', 1, 7, 'mail', '2023-11-14 22:13:20', 1, %[3]s)`,
}

const bossJob = `INSERT INTO pgboss.job (id, name, data, retry_count, retry_limit, start_after, priority, state)
	VALUES ('00000000-0000-0000-0000-00000000000%[1]d', 'a', '%[1]d', 1, 6, to_timestamp(1700000000), -1, %[3]s)`

// states are what other queues call jobs that wait and jobs that run, if they have a column for it.
var states = map[string][2]string{
	"river": {"'available'", "'running'"}, "oban": {"'available'", "'executing'"},
	"pg-boss": {"'created'", "'active'"}, "pg-boss before 12": {"'created'", "'active'"},
}

// TestImport: jobs of other queues' tables become sqlqueue's, with their attempts and times, while a row that their workers have locked is
// left to them.
func TestImport(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		kind := map[bool]string{true: "postgres", false: "mysql"}[s.Engine == "postgres"]
		for source, tables := range otherQueues {
			if statements, ok := tables[kind]; ok {
				t.Run(source, func(t *testing.T) {
					t.Parallel()
					testImport(t, s, binary, source, statements)
				})
			}
		}
	})
}

func testImport(t *testing.T, s *servers.Server, binary, source string, statements []string) {
	dsn := s.NewDatabase(t)
	db := s.Open(t, dsn)
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%v: %s", err, statement)
		}
	}
	for _, statement := range statements {
		exec(statement)
	}
	c := &command{t: t, binary: binary, server: s, dsn: dsn}
	c.ok("migrate", "up", "--prefix", "sq_")

	jobs := 4
	insert := otherJobs[source]
	if source == "think-queue" && s.Engine != "postgres" {
		insert = `INSERT INTO jobs (queue, payload, attempts, reserved_at, reserved, available_at, created_at) ` +
			`VALUES ('mail', '{"job":"a","data":%[1]d}', 1, %[2]s, %[2]s IS NOT NULL, 1700000000, 1)`
	}
	if source == "gue" && s.Engine != "postgres" {
		insert = strings.Replace(insert, "+00:00", "", 1) // its times are UTC
	}
	for i := range jobs {
		reserved, state := "NULL", states[source][0]
		if i == jobs-1 {
			if strings.HasPrefix(source, "gue") {
				break // it marks none: its workers lock them
			}
			reserved, state = "1700000000", states[source][1]
		}
		exec(fmt.Sprintf(insert, i, reserved, state))
	}
	locked := lockFirst(t, db, source)
	source, _, _ = strings.Cut(source, " ")
	c.expect("imported 2 jobs\n", "import", source, "--prefix", "sq_", "--queue", "a=mail", "--yes")
	if err := locked.Rollback(); err != nil {
		t.Fatal(err)
	}
	c.expect("imported 1 job\n", "import", source, "--prefix", "sq_", "--queue", "a=mail", "--yes", "--rename", "a=b")
	c.expect("imported 0 jobs\n", "import", source, "--prefix", "sq_", "--queue", "a=mail", "--yes")
	priority, tries := int16(0), ""
	switch source {
	case "river", "oban", "graphile-worker", "pg-boss":
		priority, tries = 1, `"tries":7`
	case "gue":
		priority, tries = 1, `"tries":0`
	}
	found := c.jobs("--prefix", "sq_")
	if len(found) != jobs-1 {
		t.Fatalf("imported are %+v", found)
	}
	for _, j := range found {
		if j.Queue != "mail" || j.Attempts != 1 || j.AvailableAt.Unix() != 1_700_000_000 || j.Priority != priority ||
			!strings.Contains(string(j.Payload), tries) {
			t.Errorf("imported is %+v", j)
		}
	}
	if last := string(found[jobs-2].Payload); !strings.HasPrefix(last, `{"job":"b","data":0`) {
		t.Errorf("the one that was locked is %s", last)
	}
	if strings.Contains(insert, "01HF") {
		exec(`INSERT INTO gue_jobs (job_id, priority, run_at, job_type, args, queue) ` +
			`VALUES ('1', 0, '2023-11-14', 'empty', '', ''), ('2', 0, '2023-11-14', 'bytes', 'a', 'q')`)
		stdout, stderr, code := c.run("import", source, "--prefix", "sq_", "--queue", "a=mail", "--yes")
		if code != 1 || stdout != "imported 1 job\n" ||
			!strings.Contains(stderr, "1 job cannot be converted and stay where they are: 2: its args are not JSON") {
			t.Errorf("it ends with %d, prints %q and says %q", code, stdout, stderr)
		}
		if found := c.jobs("--prefix", "sq_", "--queue", "default"); len(found) != 1 ||
			string(found[0].Payload) != `{"job":"empty","data":null,"tries":0}` {
			t.Errorf("imported are %+v", found)
		}
	}
	if source == "laravel" {
		exec(`INSERT INTO failed_jobs (uuid, connection, queue, payload, exception, failed_at) ` +
			`VALUES ('u', 'd', 'mail', '{"job":"a","data":1}', 'boom
#0 main', '2026-01-02 03:04:05')`)
		c.expect("imported 1 job\n", "import", source, "--prefix", "sq_", "--queue", "a=mail", "--yes", "--failed")
		if got := c.ok("failed", "--prefix", "sq_", "--json"); !strings.Contains(got, `"error":"boom"`) ||
			!strings.Contains(got, `"stack":"#0 main"`) {
			t.Errorf("failed are %s", got)
		}
	}
}

const firstOfBoss = "pgboss.job WHERE data = '0'"

// lockFirst locks the first row, as a worker of the other queue does.
func lockFirst(t *testing.T, db *sql.DB, source string) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	first := map[string]string{
		"river": "river_job WHERE id = 1", "oban": "oban_jobs WHERE id = 1",
		"gue": "gue_jobs WHERE job_id = '01HF0'", "gue with numbers": "gue_jobs WHERE job_id = 1",
		"graphile-worker": "graphile_worker._private_jobs WHERE payload::text = '0'",
		"pg-boss":         firstOfBoss, "pg-boss before 12": firstOfBoss,
	}[source]
	var one int
	if err := tx.QueryRowContext(t.Context(), "SELECT 1 FROM "+cmp.Or(first, "jobs WHERE id = 1")+" FOR UPDATE").Scan(&one); err != nil {
		t.Fatal(err)
	}
	return tx
}
