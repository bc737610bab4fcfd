package sqldb

import (
	"slices"
	"strings"
	"sync"
)

// Tables and indexes, whose names get the prefix. A test of package migrations finds a name that is missing here.
var (
	tables = []string{
		"jobs", "failed_jobs", "job_queues", "job_workers", "job_counts", "job_subscriptions", "job_once", "job_batches", "job_limits",
		"job_permits", "job_schedules", "job_errors", "job_operations", "job_finished", "job_progress",
		"job_cancelled",
		"job_names", "job_sizes", "job_upkeep",
		"job_schema",
	}
	indexes = []string{
		"jobs_ready", "jobs_expiry", "jobs_unique", "jobs_running",
		"failed_jobs_queue", "failed_jobs_failed_at",
		"job_counts_minute",
		"job_subscriptions_queue",
		"job_once_key", "job_once_until",
		"job_batches_open",
		"job_schedules_next",
		"job_errors_job", "job_errors_at", "job_operations_at",
		"job_cancelled_undo", "job_cancelled_at",
		"job_finished_job", "job_finished_queue", "job_finished_name", "job_finished_until", "job_progress_at",
		"job_names_step",
	}
	names = slices.Concat(tables, indexes, []string{"sqlqueue_migrations"})
)

// Tables are the names of all tables, without a prefix, except that of package migrations.
func Tables() []string { return slices.Clone(tables) }

// Table returns the real name of a table or an index, quoted: with the schema and the prefix before it.
func (d *Database) Table(name string) string {
	quote := d.Dialect.Quote
	table := quote + d.Prefix + name + quote
	if d.Schema == "" {
		return table
	}
	return quote + d.Schema + quote + "." + table
}

// Names puts the real names of tables and indexes into a store's SQL. It is safe for concurrent use.
type Names struct {
	replacer *strings.Replacer // nil: the SQL has the real names already
	done     sync.Map          // of SQL to the same with real names
}

// Names returns a Names for SQL in which the names are between two marks, such as {jobs} or "jobs". Nothing else between these marks may
// be the name of a table or an index.
func (d *Database) Names(left, right string) *Names {
	if d.Schema == "" && d.Prefix == "" && left == d.Dialect.Quote && right == d.Dialect.Quote {
		return &Names{}
	}
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, left+name+right, d.Table(name))
	}
	return &Names{replacer: strings.NewReplacer(pairs...)}
}

// In returns the SQL with the real names. It remembers every answer, so give it constants, and add values afterwards.
func (n *Names) In(sql string) string {
	if n.replacer == nil {
		return sql
	}
	if named, ok := n.done.Load(sql); ok {
		return named.(string)
	}
	named := n.replacer.Replace(sql)
	n.done.Store(sql, named)
	return named
}
