package migrations

import (
	"slices"
	"strings"
)

// foreignTable is a table of another queue that has a name of ours, known by its columns.
type foreignTable struct {
	table   string
	columns []string // that it has
	lacks   []string // that tables of others with those columns have
	owner   string
	imports string // what sqlqueue import calls it; empty: nothing is taken over
}

var foreignTables = []foreignTable{
	{
		"jobs",
		[]string{"queue", "payload", "attempts", "reserved_at", "available_at", "created_at"},
		[]string{"reserved", "priority"},
		"Laravel", "laravel",
	},
	{
		"jobs",
		[]string{"queue", "payload", "attempts", "reserve_time", "available_time", "create_time"},
		[]string{"priority"},
		"think-queue", "think-queue",
	},
	{
		"jobs",
		[]string{"queue", "payload", "attempts", "reserved", "reserved_at", "available_at", "created_at"},
		[]string{"priority"},
		"think-queue", "think-queue",
	},
	{"failed_jobs", []string{"connection", "queue", "payload", "exception", "failed_at"}, nil, "Laravel", "laravel"},
	{"failed_jobs", []string{"connection", "queue", "payload", "exception", "fail_time"}, nil, "think-queue", "think-queue"},
	{"job_batches", []string{"total_jobs", "pending_jobs", "failed_job_ids"}, nil, "Laravel", ""},
}

// ownerOf says whose table it is and what can be done with its jobs, or nothing. The name may have a prefix.
func ownerOf(found object) string {
	has := func(column string) bool {
		return slices.ContainsFunc(found.columns, func(c string) bool { return strings.EqualFold(c, column) })
	}
	for _, f := range foreignTables {
		lacks := func(column string) bool { return !has(column) }
		if !strings.HasSuffix(found.name, f.table) || slices.ContainsFunc(f.columns, lacks) || slices.ContainsFunc(f.lacks, has) {
			continue
		}
		says := "it is that of " + f.owner + "'s queue"
		if f.imports != "" {
			says += ", whose jobs sqlqueue import " + f.imports + " takes over"
		}
		return says
	}
	return ""
}
