package migrationstest

import (
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// A table of the same name is neither used nor dropped, and nothing is left beside it.
// What others have under one of our names is recognised before anything is changed.
func (s suite) tablesOfOthers(t *testing.T) {
	columns := "id integer, " // as another framework has them
	for _, name := range []string{
		"queue", "payload", "attempts", "reserved_at", "available_at", "created_at", "name", "url", "minute", "host",
	} {
		columns += name + " integer, "
	}
	columns = strings.TrimSuffix(columns, ", ")
	others := map[string][]string{
		"the view job_queues": {"CREATE TABLE theirs (id integer)", "CREATE VIEW job_queues AS SELECT id FROM theirs"},
	}
	for _, table := range sqldb.Tables() {
		others["the table "+table+" "] = []string{"CREATE TABLE " + table + " (" + columns + ")"}
	}
	if s.dialect != migrations.MySQL { // where an index belongs to its table
		for _, index := range []string{"jobs_ready", "jobs_unique", "failed_jobs_queue", "job_counts_minute"} {
			others["the index "+index+" "] = []string{"CREATE TABLE theirs (id integer)", "CREATE INDEX " + index + " ON theirs (id)"}
		}
	}
	if s.dialect == migrations.Postgres {
		others["the sequence jobs "] = []string{"CREATE SEQUENCE jobs"}
		others["the type job_workers "] = []string{"CREATE TYPE job_workers AS ENUM ('a')"}
		others["the materialized view jobs "] = []string{"CREATE MATERIALIZED VIEW jobs AS SELECT 1 AS id"}
	}
	for what, statements := range others {
		t.Run(strings.TrimSpace(what), func(t *testing.T) {
			s.empty(t)
			for _, statement := range statements {
				if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			defer s.dropOthers(t, what)
			before := s.tables(t)
			m := s.migrator(t, s.db, "")
			_, err := m.Up(t.Context())
			if err == nil || !strings.Contains(err.Error(), what) ||
				!strings.Contains(err.Error(), "is not sqlqueue's: use a table prefix") {
				t.Errorf("Up says %v, want it to name %s", err, what)
			}
			s.wantVersion(t, m, 0)
			if after := s.tables(t); !slices.Equal(after, before) {
				t.Errorf("the tables were %v, and are %v", before, after)
			}
			if _, err := s.up(t, "app_").DownAll(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// tablesOfQueues: tables of Laravel and think-queue, which have our names, are known as theirs.
func (s suite) tablesOfQueues(t *testing.T) {
	for _, c := range []struct{ table, columns, says string }{
		{
			"jobs", "queue, payload, attempts, reserved_at, available_at, created_at",
			"Laravel's queue, whose jobs sqlqueue import laravel takes over",
		},
		{
			"jobs", "queue, payload, attempts, reserve_time, available_time, create_time",
			"think-queue's queue, whose jobs sqlqueue import think-queue takes over",
		},
		{"jobs", "queue, payload, attempts, reserved, reserved_at, available_at, created_at", "think-queue's queue"},
		{"failed_jobs", "uuid, connection, queue, payload, exception, failed_at", "Laravel's queue"},
		{"failed_jobs", "connection, queue, payload, exception, fail_time", "think-queue's queue"},
		{"job_batches", "name, total_jobs, pending_jobs, failed_jobs, failed_job_ids, options", "Laravel's queue"},
	} {
		s.empty(t)
		statement := "CREATE TABLE " + c.table + " (id integer, " + strings.ReplaceAll(c.columns, ",", " integer,") + " integer)"
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		before := s.tables(t)
		_, err := s.migrator(t, s.db, "").Up(t.Context())
		want := "the table " + c.table +
			" exists already and is not sqlqueue's: use a table prefix, another schema or another database (it is that of " + c.says
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Up says %v, want %s", err, want)
		}
		if after := s.tables(t); !slices.Equal(after, before) {
			t.Errorf("the tables were %v, and are %v", before, after)
		}
	}
}

// dropOthers drops what is not a table.
func (s suite) dropOthers(t *testing.T, what string) {
	t.Helper()
	words := strings.Fields(what)
	if kind := strings.Join(words[1:len(words)-1], " "); kind != "table" && kind != "index" {
		if _, err := s.db.ExecContext(t.Context(), "DROP "+kind+" "+words[len(words)-1]); err != nil {
			t.Error(err)
		}
	}
}
