package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sqlqueue/sqlqueue/migrations"
)

// source is another queue.
type source struct {
	tables        []string // their usual names, in the order in which a job goes from one to the next
	failedTable   string
	dialects      []migrations.Dialect
	layouts       []layout
	failedLayouts []failedLayout
}

// layout is a table of jobs that wait or run.
type layout struct {
	dialect          migrations.Dialect // empty: all of the source's
	needs            []string           // columns
	id               string             // the column; empty: id
	columns          string             // expressions for the other members of row, in their order; {schema} stands for that of the table
	waiting, running string             // conditions
	with             string             // another table, whose row with the job's id goes with it
	convert          func(row) (job, error)
}

func (l layout) key() string { return cmp.Or(l.id, "id") }

// failedLayout is a table of failed jobs: id, queue, payload, exception and when it failed.
type failedLayout struct {
	needs    []string
	failedAt string // the column
}

var all = []migrations.Dialect{migrations.Postgres, migrations.MySQL, migrations.SQLite}

var sources = map[string]source{
	"laravel": {
		tables: []string{"jobs"}, failedTable: "failed_jobs", dialects: all,
		layouts: []layout{{
			needs:   []string{"id", "queue", "payload", "attempts", "reserved_at", "available_at", "created_at"},
			columns: "queue, payload, attempts, available_at, '', 0, 0",
			waiting: "reserved_at IS NULL", running: "reserved_at IS NOT NULL", convert: php,
		}},
		failedLayouts: []failedLayout{{[]string{"id", "queue", "payload", "exception", "failed_at"}, "failed_at"}},
	},
	"think-queue": {
		tables: []string{"jobs"}, failedTable: "failed_jobs", dialects: all,
		layouts: []layout{{
			needs:   []string{"id", "queue", "payload", "attempts", "reserved", "reserved_at", "available_at", "created_at"},
			columns: "queue, payload, attempts, available_at, '', 0, 0",
			waiting: "reserved = 0", running: "reserved <> 0", convert: php,
		}, {
			needs:   []string{"id", "queue", "payload", "attempts", "reserve_time", "available_time", "create_time"},
			columns: "queue, payload, attempts, available_time, '', 0, 0",
			waiting: "reserve_time IS NULL", running: "reserve_time IS NOT NULL", convert: php,
		}},
		failedLayouts: []failedLayout{{[]string{"id", "queue", "payload", "exception", "fail_time"}, "fail_time"}},
	},
	"river": {
		tables: []string{"river_job"}, dialects: []migrations.Dialect{migrations.Postgres},
		layouts: []layout{{
			needs:   []string{"id", "state", "attempt", "max_attempts", "scheduled_at", "priority", "args", "kind", "queue"},
			columns: "queue, args::text, attempt, extract(epoch FROM scheduled_at)::double precision, kind, max_attempts, priority",
			waiting: "state IN ('available', 'scheduled', 'retryable')", running: "state = 'running'", convert: river,
		}},
	},
	"gue": {
		tables: []string{"gue_jobs"}, dialects: []migrations.Dialect{migrations.Postgres, migrations.MySQL},
		layouts: []layout{gueLayout(migrations.Postgres), gueLayout(migrations.MySQL)},
	},
	"oban": {
		tables: []string{"oban_jobs"}, dialects: all,
		layouts: []layout{obanLayout(migrations.Postgres), obanLayout(migrations.MySQL), obanLayout(migrations.SQLite)},
	},
	"graphile-worker": {
		tables: []string{"graphile_worker._private_jobs"}, dialects: []migrations.Dialect{migrations.Postgres},
		layouts: []layout{{
			needs: []string{"id", "job_queue_id", "task_id", "payload", "priority", "run_at", "attempts", "max_attempts", "locked_at"},
			columns: "coalesce((SELECT queue_name FROM {schema}_private_job_queues AS q WHERE q.id = job_queue_id), 'default'), " +
				"payload::text, attempts, " + fmt.Sprintf(utc[migrations.Postgres], "run_at") + ", " +
				"(SELECT identifier FROM {schema}_private_tasks AS t WHERE t.id = task_id), max_attempts, priority",
			waiting: "locked_at IS NULL AND attempts < max_attempts", running: "locked_at IS NOT NULL", convert: oban,
		}},
	},
	"solid-queue": {
		tables:   []string{"solid_queue_scheduled_executions", "solid_queue_blocked_executions", "solid_queue_ready_executions"},
		dialects: all,
		layouts: []layout{
			solidScheduled(migrations.Postgres), solidScheduled(migrations.MySQL), solidScheduled(migrations.SQLite), solidLayout("0"),
		},
	},
	"pg-boss": {
		tables: []string{"pgboss.job"}, dialects: []migrations.Dialect{migrations.Postgres},
		layouts: []layout{bossLayout(" AND NOT blocked", "blocked"), bossLayout("")},
	},
}

// utc is a time of UTC, or one with its zone, as seconds since 1970, by dialect.
var utc = map[migrations.Dialect]string{
	migrations.Postgres: "extract(epoch FROM %s)::double precision",
	migrations.MySQL:    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %s) / 1000000",
	migrations.SQLite:   "(julianday(%s) - 2440587.5) * 86400",
}

// gueLayout is the table of gue. A job that runs is one whose row a transaction of gue's has locked.
func gueLayout(d migrations.Dialect) layout {
	return layout{
		dialect: d, id: "job_id",
		needs:   []string{"job_id", "priority", "run_at", "job_type", "args", "error_count", "queue"},
		columns: "queue, args, error_count, " + fmt.Sprintf(utc[d], "run_at") + ", job_type, 0, priority",
		waiting: "1 = 1", running: "1 = 0", convert: gue,
	}
}

func obanLayout(d migrations.Dialect) layout {
	return layout{
		dialect: d,
		needs:   []string{"id", "state", "queue", "worker", "args", "attempt", "max_attempts", "scheduled_at", "priority"},
		columns: "queue, args, attempt, " + fmt.Sprintf(utc[d], "scheduled_at") + ", worker, max_attempts, priority",
		waiting: "state IN ('available', 'scheduled', 'retryable')", running: "state = 'executing'", convert: oban,
	}
}

// bossLayout is the table of pg-boss, which since version 12 has jobs that wait for others. Its greater priorities run first.
func bossLayout(waiting string, needs ...string) layout {
	return layout{
		needs: append(needs, "id", "name", "priority", "data", "state", "retry_limit", "retry_count", "start_after"),
		columns: "name, coalesce(data, 'null')::text, retry_count, " + fmt.Sprintf(utc[migrations.Postgres], "start_after") +
			", name, retry_limit + 1, -priority",
		waiting: "state IN ('created', 'retry')" + waiting, running: "state = 'active'", convert: oban,
	}
}

// solidLayout is a table of Solid Queue that says where a job stands; what it is stands in solid_queue_jobs. Whoever takes a job locks its
// row in the former.
func solidLayout(at string) layout {
	const of = "(SELECT %s FROM {schema}solid_queue_jobs AS j WHERE j.id = job_id), "
	return layout{
		id: "job_id", needs: []string{"job_id", "queue_name", "priority"},
		columns: "queue_name, " + fmt.Sprintf(of, "arguments") + "0, " + at + ", " + fmt.Sprintf(of, "class_name") + "0, priority",
		waiting: "1 = 1", running: "1 = 0", with: "{schema}solid_queue_jobs", convert: solid,
	}
}

func solidScheduled(d migrations.Dialect) layout {
	l := solidLayout(fmt.Sprintf(utc[d], "scheduled_at"))
	l.dialect, l.needs = d, append(l.needs, "scheduled_at")
	return l
}

// Sources lists the queues that jobs are imported from.
func Sources() []string { return slices.Sorted(maps.Keys(sources)) }
