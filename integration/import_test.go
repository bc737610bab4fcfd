package integration

import (
	"database/sql"
	"fmt"
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
			`CREATE TABLE failed_jobs (id bigserial PRIMARY KEY, uuid varchar(255) NOT NULL, connection text NOT NULL, queue text NOT NULL, payload text NOT NULL,
				exception text NOT NULL, failed_at timestamp(0) NOT NULL DEFAULT CURRENT_TIMESTAMP)`,
		},
		"mysql": {
			"CREATE TABLE jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, queue varchar(255) NOT NULL, payload longtext NOT NULL," +
				" attempts tinyint unsigned NOT NULL, reserved_at int unsigned, available_at int unsigned NOT NULL, created_at int unsigned NOT NULL, KEY (queue)) ENGINE=InnoDB",
			"CREATE TABLE failed_jobs (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, uuid varchar(255) NOT NULL, connection text NOT NULL, queue text NOT NULL," +
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
				" attempts tinyint(3) unsigned NOT NULL, reserved tinyint(3) unsigned NOT NULL DEFAULT 0, reserved_at int(10) unsigned DEFAULT NULL," +
				" available_at int(10) unsigned NOT NULL, created_at int(10) unsigned NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8",
		},
	},
	"river": {
		"postgres": {
			`CREATE TYPE river_job_state AS ENUM ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled')`,
			`CREATE TABLE river_job (id bigserial PRIMARY KEY, state river_job_state NOT NULL DEFAULT 'available', attempt smallint NOT NULL DEFAULT 0,
				max_attempts smallint NOT NULL, attempted_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), finalized_at timestamptz,
				scheduled_at timestamptz NOT NULL DEFAULT now(), priority smallint NOT NULL DEFAULT 1, args jsonb NOT NULL, attempted_by text[], errors jsonb[],
				kind text NOT NULL, metadata jsonb NOT NULL DEFAULT '{}', queue text NOT NULL DEFAULT 'default', tags varchar(255)[] NOT NULL DEFAULT '{}')`,
		},
	},
}

// otherJobs inserts the i-th job, the last of which a worker of the other queue has.
var otherJobs = map[string]string{
	"laravel":     `INSERT INTO jobs (queue, payload, attempts, reserved_at, available_at, created_at) VALUES ('mail', '{"displayName":"a","job":"a","data":%[1]d}', 1, %[2]s, 1700000000, 1)`,
	"think-queue": `INSERT INTO jobs (queue, payload, attempts, reserve_time, available_time, create_time) VALUES ('mail', '{"job":"a","data":%[1]d}', 1, %[2]s, 1700000000, 1)`,
	"river":       `INSERT INTO river_job (kind, args, attempt, max_attempts, queue, scheduled_at, priority, state) VALUES ('a', '%[1]d', 1, 7, 'mail', to_timestamp(1700000000), 2, %[3]s)`,
}

// TestImport: jobs of other queues' tables become sqlqueue's, with their attempts and times, while a row that their workers have locked is left to them.
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

	const jobs = 4
	insert := otherJobs[source]
	if source == "think-queue" && s.Engine != "postgres" {
		insert = `INSERT INTO jobs (queue, payload, attempts, reserved_at, reserved, available_at, created_at) VALUES ('mail', '{"job":"a","data":%[1]d}', 1, %[2]s, %[2]s IS NOT NULL, 1700000000, 1)`
	}
	for i := range jobs {
		reserved, state := "NULL", "'available'"
		if i == jobs-1 {
			reserved, state = "1700000000", "'running'"
		}
		exec(fmt.Sprintf(insert, i, reserved, state))
	}
	locked := lockFirst(t, db, source)
	c.expect("imported 2 jobs\n", "import", source, "--prefix", "sq_", "--yes")
	if err := locked.Rollback(); err != nil {
		t.Fatal(err)
	}
	c.expect("imported 1 job\n", "import", source, "--prefix", "sq_", "--yes", "--rename", "a=b")
	c.expect("imported 0 jobs\n", "import", source, "--prefix", "sq_", "--yes")
	found := c.jobs("--prefix", "sq_")
	if len(found) != jobs-1 {
		t.Fatalf("imported are %+v", found)
	}
	for _, j := range found {
		if j.Queue != "mail" || j.Attempts != 1 || j.AvailableAt.Unix() != 1_700_000_000 || source == "river" && (j.Priority != 1 || !strings.Contains(string(j.Payload), `"tries":7`)) {
			t.Errorf("imported is %+v", j)
		}
	}
	if last := string(found[jobs-2].Payload); !strings.HasPrefix(last, `{"job":"b","data":0`) {
		t.Errorf("the one that was locked is %s", last)
	}
	if source == "laravel" {
		exec(`INSERT INTO failed_jobs (uuid, connection, queue, payload, exception, failed_at) VALUES ('u', 'd', 'mail', '{"job":"a","data":1}', 'boom
#0 main', '2026-01-02 03:04:05')`)
		c.expect("imported 1 job\n", "import", source, "--prefix", "sq_", "--yes", "--failed")
		if got := c.ok("failed", "--prefix", "sq_", "--json"); !strings.Contains(got, `"error":"boom"`) || !strings.Contains(got, `"stack":"#0 main"`) {
			t.Errorf("failed are %s", got)
		}
	}
}

// lockFirst locks the first row, as a worker of the other queue does.
func lockFirst(t *testing.T, db *sql.DB, source string) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	table := map[bool]string{true: "river_job", false: "jobs"}[source == "river"]
	var id int64
	if err := tx.QueryRowContext(t.Context(), "SELECT id FROM "+table+" WHERE id = 1 FOR UPDATE").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return tx
}
