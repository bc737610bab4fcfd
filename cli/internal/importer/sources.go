package importer

import (
	"maps"
	"slices"

	"github.com/sqlqueue/sqlqueue/migrations"
)

// source is another queue.
type source struct {
	table, failedTable string // their usual names
	dialects           []migrations.Dialect
	layouts            []layout
	failedLayouts      []failedLayout
}

// layout is a table of jobs that wait or run.
type layout struct {
	needs            []string // columns
	columns          string   // expressions for the members of row, in their order
	waiting, running string   // conditions
	convert          func(row) (job, error)
}

// failedLayout is a table of failed jobs: id, queue, payload, exception and when it failed.
type failedLayout struct {
	needs    []string
	failedAt string // the column
}

var all = []migrations.Dialect{migrations.Postgres, migrations.MySQL, migrations.SQLite}

var sources = map[string]source{
	"laravel": {
		table: "jobs", failedTable: "failed_jobs", dialects: all,
		layouts: []layout{{
			needs:   []string{"id", "queue", "payload", "attempts", "reserved_at", "available_at", "created_at"},
			columns: "id, queue, payload, attempts, available_at, '', 0, 0",
			waiting: "reserved_at IS NULL", running: "reserved_at IS NOT NULL", convert: php,
		}},
		failedLayouts: []failedLayout{{[]string{"id", "queue", "payload", "exception", "failed_at"}, "failed_at"}},
	},
	"think-queue": {
		table: "jobs", failedTable: "failed_jobs", dialects: all,
		layouts: []layout{{
			needs:   []string{"id", "queue", "payload", "attempts", "reserved", "reserved_at", "available_at", "created_at"},
			columns: "id, queue, payload, attempts, available_at, '', 0, 0",
			waiting: "reserved = 0", running: "reserved <> 0", convert: php,
		}, {
			needs:   []string{"id", "queue", "payload", "attempts", "reserve_time", "available_time", "create_time"},
			columns: "id, queue, payload, attempts, available_time, '', 0, 0",
			waiting: "reserve_time IS NULL", running: "reserve_time IS NOT NULL", convert: php,
		}},
		failedLayouts: []failedLayout{{[]string{"id", "queue", "payload", "exception", "fail_time"}, "fail_time"}},
	},
	"river": {
		table: "river_job", dialects: []migrations.Dialect{migrations.Postgres},
		layouts: []layout{{
			needs:   []string{"id", "state", "attempt", "max_attempts", "scheduled_at", "priority", "args", "kind", "queue"},
			columns: "id, queue, args::text, attempt, extract(epoch FROM scheduled_at)::double precision, kind, max_attempts, priority",
			waiting: "state IN ('available', 'scheduled', 'retryable')", running: "state = 'running'", convert: river,
		}},
	},
}

// Sources lists the queues that jobs are imported from.
func Sources() []string { return slices.Sorted(maps.Keys(sources)) }
