package pgqueue

import (
	"strings"
	"sync"
)

// names puts a prefix before the names of tables, which stand in double quotes in this package's SQL, as nothing else does.
type names struct {
	replacer *strings.Replacer
	done     sync.Map // of SQL without a prefix to SQL with it
}

func newNames(prefix string) *names {
	if prefix == "" {
		return &names{}
	}
	var pairs []string
	for _, table := range []string{"jobs", "failed_jobs", "job_queues", "job_workers", "job_counts"} {
		pairs = append(pairs, `"`+table+`"`, `"`+prefix+table+`"`)
	}
	return &names{replacer: strings.NewReplacer(pairs...)}
}

func (n *names) in(query string) string {
	if n.replacer == nil {
		return query
	}
	if named, ok := n.done.Load(query); ok {
		return named.(string)
	}
	named := n.replacer.Replace(query)
	n.done.Store(query, named)
	return named
}
